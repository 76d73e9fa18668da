// SPDX-License-Identifier: AGPL-3.0-or-later
// Hostile frames into the playout and its decoders (static types for G.722, G.723.1, GSM, G.729): any sequence numbers,
// timestamps, arrivals, payload types, lengths and contents. The input is a list of records of 12 bytes and their
// payload lengths' worth of bytes. The length of what is rendered must come out right whatever happens.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "capture/base/address.h"
#include "capture/base/byte_reader.h"
#include "storage/audio/codec.h"
#include "storage/audio/live_mix.h"
#include "storage/audio/recording_audio.h"
#include "storage/audio/redundancy.h"

namespace spantape {
namespace {

constexpr TimeNs kStart = 1'700'000'000 * kNsPerSecond;
constexpr TimeNs kDuration = 3 * kNsPerSecond + 12'345;

struct FuzzFrame {
    StoredFrame frame;
    int stream = 0;
};

std::vector<FuzzFrame> parse(ByteReader reader) {
    std::vector<FuzzFrame> frames;
    TimeNs arrival_ns = kStart;
    while (reader.left() >= 12) {
        FuzzFrame each;
        const std::uint8_t flags = reader.u8();
        each.stream = flags & 3;
        each.frame.payload_type = reader.u8();
        each.frame.sequence = reader.u16();
        each.frame.timestamp = reader.u32();
        const auto step = static_cast<std::int16_t>(reader.u16());
        // Mostly milliseconds on from the last frame; at times anywhere.
        arrival_ns =
            (flags & 4) != 0 ? static_cast<TimeNs>(mix_bits(arrival_ns + step)) : arrival_ns + step * kNsPerMs / 16;
        each.frame.arrival_ns = arrival_ns;
        if ((flags & 4) != 0) arrival_ns = kStart;
        each.frame.payload = reader.bytes(std::min<std::size_t>(reader.u16() % 512, reader.left()));
        frames.push_back(each);
    }
    return frames;
}

class FuzzChunks : public ChunkSource {
public:
    explicit FuzzChunks(const std::vector<FuzzFrame>& frames) : frames_(frames) {}
    Result<std::unique_ptr<StreamChunks>> open(std::uint64_t stream_id, TimeNs, TimeNs) override {
        return std::make_unique<Reader>(frames_, static_cast<int>(stream_id));
    }

private:
    class Reader : public StreamChunks {
    public:
        Reader(const std::vector<FuzzFrame>& frames, int stream) : frames_(frames), stream_(stream) {}
        Step next(const FrameVisitor& visit) override {
            if (at_ == frames_.size()) return Step::end;
            for (std::size_t n = 0; n < 8 && at_ < frames_.size(); ++at_) {
                if (frames_[at_].stream != stream_) continue;
                visit(frames_[at_].frame);
                ++n;
            }
            return at_ % 7 == 6 ? Step::damaged : Step::frames;
        }

    private:
        const std::vector<FuzzFrame>& frames_;
        int stream_;
        std::size_t at_ = 0;
    };
    const std::vector<FuzzFrame>& frames_;
};

Recording recording_of_four_streams() {
    Recording recording;
    recording.start_ns = kStart;
    recording.stop_ns = kStart + kDuration;
    for (std::uint64_t id = 0; id < 4; ++id) {
        RecordedStream stream;
        stream.stream_id = id;
        stream.flow.ssrc = static_cast<std::uint32_t>(id / 2);
        stream.side = id == 3 ? Side::far : Side::device;
        stream.relay_copy = id == 2;
        stream.payloads = {{96, "L16", 16000, 1, ""},     {97, "L16", 8000, 2, ""},
                           {98, "PCMU", 11025, 1, ""},    {99, "G726-16", 8000, 1, ""},
                           {100, "G726-40", 8000, 1, ""}, {102, "AAL2-G726-24", 8000, 1, ""},
                           {111, "opus", 48000, 2, ""},   {121, "red", 8000, 1, ""},
                           {104, "AMR-WB", 16000, 1, ""}, {101, "telephone-event", 8000, 1, ""}};
        recording.streams.push_back(stream);
    }
    return recording;
}

void check_length(const std::vector<FuzzFrame>& frames) {
    auto audio = open_recording_audio(std::make_unique<FuzzChunks>(frames), recording_of_four_streams(), 0);
    if (!audio) std::abort();
    std::uint64_t samples = 0;
    for (;;) {
        const auto block = (*audio)->next();
        if (!block) std::abort();
        if (block->empty()) break;
        samples += block->size() / 2;
    }
    if (samples != (*audio)->total_frames()) std::abort();
}

// As they come, to who listens; at times that a capture clock can tell.
void listen(const std::vector<FuzzFrame>& frames) {
    const PayloadTable formats = payload_table(recording_of_four_streams().streams.front().payloads);
    LiveMix mix(8000, kStart);
    TimeNs now_ns = kStart;
    for (const FuzzFrame& each : frames) {
        constexpr TimeNs kMargin = 60 * kNsPerSecond;
        if (each.frame.arrival_ns < kStart - kMargin || each.frame.arrival_ns > kStart + kMargin) continue;
        now_ns = std::max(now_ns, each.frame.arrival_ns);
        for_each_audio_frame(each.frame, formats, [&](const StoredFrame& frame, const PayloadFormat& format) {
            mix.push(static_cast<std::uint64_t>(each.stream), each.stream == 3 ? Side::far : Side::device, format,
                     frame);
        });
        if (!mix.render(now_ns)) std::abort();
    }
}

}  // namespace
}  // namespace spantape

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape;
    const auto frames = parse(ByteReader({data, size}));
    check_length(frames);
    listen(frames);
    return 0;
}
