// SPDX-License-Identifier: AGPL-3.0-or-later
// The writer alone: frames that lie on the rings of many streams, to encrypted chunks on the disk, indexed. What it
// takes from a ring is put there between the measured times. Prints one JSON object: megabytes a second of files
// written, and CPU-seconds.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <CLI/CLI.hpp>

#include "capture/base/huge_memory.h"
#include "storage/media_writer.h"

namespace spantape::bench {
namespace {

constexpr std::size_t kRingBytes = 16u << 10;
constexpr std::size_t kPayloadBytes = 160;
constexpr int kFramesAtOnce = 40;  // 0.8 s of G.711: what lies on a ring when the writer comes by

double cpu_s() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Recorder {
public:
    Recorder(const std::string& store, std::size_t streams, bool encrypt)
        : rings_(streams * kRingBytes), handles_(streams), queues_(streams) {
        index_ = std::move(*Index::open(store + "/index"));
        if (encrypt) keyring_ = *Keyring::open(store, *MasterKey::random());
        segments_ = std::move(*SegmentWriter::open({.directory = store + "/segments"}, 1));
        writer_ = std::make_unique<MediaWriter>(MediaWriterOptions{}, *segments_, *index_,
                                                std::vector<WorkerToWriter*>{&queues_}, commands_, events_, wakeup_,
                                                keyring_.get());
        for (std::size_t i = 0; i < streams; ++i) {
            handles_[i].ring.attach(rings_.bytes().subspan(i * kRingBytes, kRingBytes));
            handles_[i].stream_id = handles_[i].session_id = i + 1;
            queues_.opened.push(&handles_[i]);
        }
    }

    void fill() {
        std::array<std::byte, kPayloadBytes> payload{};
        for (int frame = 0; frame < kFramesAtOnce; ++frame, ++number_) {
            const RingRecord record{.sequence = static_cast<std::uint16_t>(number_),
                                    .payload_bytes = kPayloadBytes,
                                    .timestamp = number_ * static_cast<std::uint32_t>(kPayloadBytes),
                                    .arrival_ns = TimeNs{number_} * 20 * kNsPerMs};
            std::memset(payload.data(), static_cast<int>(number_), payload.size());
            for (StreamHandle& handle : handles_) {
                std::byte* room = handle.ring.reserve(sizeof record + payload.size());
                if (room == nullptr) continue;
                std::memcpy(room, &record, sizeof record);
                std::memcpy(room + sizeof record, payload.data(), payload.size());
                handle.ring.commit();
            }
        }
    }
    // Until all that is on the rings is durable and indexed.
    void store() {
        commands_.push(FlushAll{++token_});
        for (;;) {
            if (!writer_->step(monotonic_ns()))
                writer_->wakeup().wait(1, [] { return true; }, segments_->completion_fd());
            while (const auto event = events_.pop())
                if (const auto* flushed = std::get_if<Flushed>(&*event); flushed != nullptr && flushed->token == token_)
                    return;
        }
    }
    [[nodiscard]] const MediaWriterCounters& counters() const { return writer_->counters(); }

private:
    HugeMemory rings_;
    std::vector<StreamHandle> handles_;
    WorkerToWriter queues_;
    SpscQueue<WriterCommand> commands_{64};
    SpscQueue<WriterEvent> events_{1u << 14};
    Wakeup wakeup_;
    std::unique_ptr<Index> index_;
    std::shared_ptr<Keyring> keyring_;
    std::unique_ptr<SegmentWriter> segments_;
    std::unique_ptr<MediaWriter> writer_;
    std::uint32_t number_ = 0;
    std::uint64_t token_ = 0;
};

int run(int argc, char** argv) {
    CLI::App app("Stores the frames of many streams; prints megabytes a second.");
    std::size_t streams = 20'000;
    int rounds = 10;
    bool clear = false;
    std::string store = "/var/tmp/spantape-storage-bench";
    app.add_option("--streams", streams)->capture_default_str();
    app.add_option("--rounds", rounds, "Of 0.8 s of audio of each stream")->capture_default_str();
    app.add_option("--store", store, "Directory, emptied before and after")->capture_default_str();
    app.add_flag("--clear", clear, "Not encrypted");
    CLI11_PARSE(app, argc, argv);

    std::filesystem::remove_all(store);
    std::filesystem::create_directories(store + "/segments");
    double taken_s = 0, used_s = 0;
    double megabytes = 0;
    std::uint64_t frames = 0;
    {
        Recorder recorder(store, streams, !clear);
        for (int round = 0; round <= rounds; ++round) {  // the first warms up
            recorder.fill();
            const auto began = std::chrono::steady_clock::now();
            const double used_before_s = cpu_s();
            const auto bytes_before = recorder.counters().bytes_written.load();
            recorder.store();
            if (round == 0) continue;
            taken_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
            used_s += cpu_s() - used_before_s;
            megabytes += static_cast<double>(recorder.counters().bytes_written.load() - bytes_before) / 1e6;
        }
        frames = recorder.counters().frames.load();
    }
    std::filesystem::remove_all(store);
    fmt::print(
        "{{\"megabytes\":{:.1f},\"megabytes_per_s\":{:.1f},\"cpu_s\":{:.4f},\"frames\":{},\"wanted_frames\":{}}}\n",
        megabytes, megabytes / taken_s, used_s, frames, streams * static_cast<std::size_t>(rounds + 1) * kFramesAtOnce);
    return 0;
}

}  // namespace
}  // namespace spantape::bench

int main(int argc, char** argv) { return spantape::bench::run(argc, argv); }
