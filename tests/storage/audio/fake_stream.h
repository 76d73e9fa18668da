// SPDX-License-Identifier: AGPL-3.0-or-later
// For the tests of playout and export: streams built frame by frame, and a chunk source that holds them in memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capture/base/address.h"
#include "storage/audio/codec.h"
#include "storage/audio/recording_audio.h"

namespace spantape::test {

inline constexpr TimeNs kStart = 1'700'000'000 * kNsPerSecond;
inline constexpr std::uint8_t kPcmu = 0;
inline constexpr std::uint8_t kPcma = 8;
inline constexpr std::uint8_t kComfortNoise = 13;

struct Frame {
    TimeNs arrival_ns = 0;
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    std::uint8_t payload_type = kPcmu;
    std::vector<std::uint8_t> payload;

    StoredFrame stored() const { return {sequence, payload_type, false, timestamp, arrival_ns, payload}; }
};
using Frames = std::vector<Frame>;

// Payload that names its frame: code k of frame n. Never a code that decodes to zero.
inline std::uint8_t code_of(int frame, int k) {
    return static_cast<std::uint8_t>(mix_bits(static_cast<std::uint64_t>(frame) << 32 | static_cast<std::uint32_t>(k)) %
                                     126);
}
inline std::vector<std::uint8_t> payload_of(int frame, int samples = 160) {
    std::vector<std::uint8_t> payload;
    for (int k = 0; k < samples; ++k) payload.push_back(code_of(frame, k));
    return payload;
}

// `count` frames of 20 ms from `first_ms` after the start of the recording, one every 20 ms.
inline Frames even_frames(int count, int first_ms = 0, std::uint16_t sequence = 1000,
                          std::uint32_t timestamp = 50'000) {
    Frames frames;
    for (int n = 0; n < count; ++n) {
        frames.push_back({kStart + (first_ms + n * 20) * kNsPerMs, static_cast<std::uint16_t>(sequence + n),
                          timestamp + static_cast<std::uint32_t>(n) * 160, kPcmu, payload_of(n)});
    }
    return frames;
}

class FakeChunks : public ChunkSource {
public:
    // chunk_frames: how many frames to a chunk; a chunk number in `damaged` cannot be read.
    void add(std::uint64_t stream_id, Frames frames, std::size_t chunk_frames = 25, std::vector<int> damaged = {}) {
        streams_[stream_id] = {std::move(frames), chunk_frames, std::move(damaged)};
    }

    Result<std::unique_ptr<StreamChunks>> open(std::uint64_t stream_id, TimeNs from_ns, TimeNs to_ns) override {
        return std::make_unique<Reader>(streams_[stream_id], from_ns, to_ns);
    }

private:
    struct Stream {
        Frames frames;
        std::size_t chunk_frames = 25;
        std::vector<int> damaged;
    };
    class Reader : public StreamChunks {
    public:
        Reader(const Stream& stream, TimeNs from_ns, TimeNs to_ns)
            : stream_(stream), from_ns_(from_ns), to_ns_(to_ns) {}
        Step next(const FrameVisitor& visit) override {
            while (at_ < stream_.frames.size()) {
                const std::size_t end = std::min(at_ + stream_.chunk_frames, stream_.frames.size());
                const auto number = static_cast<int>(at_ / stream_.chunk_frames);
                const std::size_t begin = std::exchange(at_, end);
                if (stream_.frames[end - 1].arrival_ns < from_ns_ || stream_.frames[begin].arrival_ns > to_ns_)
                    continue;
                if (std::ranges::count(stream_.damaged, number) > 0) return Step::damaged;
                for (std::size_t i = begin; i < end; ++i) visit(stream_.frames[i].stored());
                return Step::frames;
            }
            return Step::end;
        }

    private:
        const Stream& stream_;
        TimeNs from_ns_, to_ns_;
        std::size_t at_ = 0;
    };
    std::map<std::uint64_t, Stream> streams_;
};

inline Recording recording_of(double duration_s) {
    Recording recording;
    recording.ident = 1;
    recording.start_ns = kStart;
    recording.stop_ns = kStart + std::llround(duration_s * 1e9);
    return recording;
}

inline RecordedStream& add_stream(Recording& recording, FakeChunks& chunks, Side side, Frames frames,
                                  std::uint32_t ssrc = 0x1234) {
    RecordedStream stream;
    stream.stream_id = recording.streams.size() + 1;
    stream.side = side;
    stream.flow.ssrc = ssrc;
    stream.flow.source.port = static_cast<std::uint16_t>(stream.stream_id);
    if (!frames.empty()) stream.start_ns = frames.front().arrival_ns;
    stream.counters.stored = frames.size();
    chunks.add(stream.stream_id, std::move(frames));
    recording.streams.push_back(stream);
    return recording.streams.back();
}

struct Rendered {
    AudioFormat format;
    std::vector<std::int16_t> left, right;
    std::uint64_t damaged_chunks = 0;
    std::string error;
};

inline Rendered render(const Recording& recording, const FakeChunks& chunks, TimeNs now_ns = 0) {
    Rendered out;
    auto audio = open_recording_audio(std::make_unique<FakeChunks>(chunks), recording, now_ns);
    if (!audio) {
        out.error = audio.error().message;
        return out;
    }
    out.format = (*audio)->format();
    for (;;) {
        const auto samples = (*audio)->next();
        if (!samples) {
            out.error = samples.error().message;
            return out;
        }
        if (samples->empty()) break;
        for (std::size_t i = 0; i < samples->size(); i += 2) {
            out.left.push_back((*samples)[i]);
            out.right.push_back((*samples)[i + 1]);
        }
    }
    out.damaged_chunks = (*audio)->damaged_chunks();
    return out;
}

// Where frame `n` (payload_of, mu-law) stands in `channel`, in samples; -1 when it is not there whole.
inline long find_frame(const std::vector<std::int16_t>& channel, int n, long from = 0) {
    std::vector<std::int16_t> wanted;
    for (int k = 0; k < 160; ++k) wanted.push_back(decode_mulaw(code_of(n, k)));
    const auto found = std::search(channel.begin() + std::min<long>(from, static_cast<long>(channel.size())),
                                   channel.end(), wanted.begin(), wanted.end());
    return found == channel.end() ? -1 : found - channel.begin();
}

inline bool silent(const std::vector<std::int16_t>& channel, long from, long to) {
    return std::all_of(channel.begin() + from, channel.begin() + to, [](std::int16_t sample) { return sample == 0; });
}

}  // namespace spantape::test
