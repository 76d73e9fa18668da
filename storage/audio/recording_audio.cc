// SPDX-License-Identifier: AGPL-3.0-or-later
// Opens the players of a recording's streams, one mixer a side, and gives their samples interleaved.
#include "storage/audio/recording_audio.h"

#include <algorithm>
#include <array>
#include <utility>

#include "storage/audio/codec.h"
#include "storage/audio/mix.h"
#include "storage/audio/redundancy.h"
#include "storage/audio/relay.h"
#include "storage/audio/ticks.h"

namespace spantape {
namespace {

constexpr std::uint32_t kNarrowHz = 8000;
constexpr std::uint32_t kWideHz = 16000;
constexpr std::uint32_t kFullHz = 48000;
constexpr std::size_t kChannels = 2;

// What is good enough for this payload type; 0: it holds no audio.
std::uint32_t rate_for(const PayloadFormat& format) {
    if (!format.audible()) return 0;
    if (format.encoding == Encoding::opus) return kFullHz;
    return format.sample_rate_hz() > kNarrowHz ? kWideHz : kNarrowHz;
}

// The best audio that the stream holds. What the SDP offered tells little. All of the stream is looked through for the
// best that was offered; with the static types alone, only its first chunk.
Result<std::uint32_t> rate_of(ChunkSource& chunks, const RecordedStream& recorded, TimeNs start_ns, TimeNs stop_ns) {
    const PayloadTable table = payload_table(recorded.payloads);
    std::uint32_t offered_hz = kNarrowHz;
    for (const PayloadMapping& mapping : recorded.payloads) {
        if (mapping.payload_type < table.size())
            offered_hz = std::max(offered_hz, rate_for(table[mapping.payload_type]));
    }
    auto stream = chunks.open(recorded.stream_id, start_ns, stop_ns);
    if (!stream) return std::unexpected(stream.error());
    std::uint32_t rate_hz = kNarrowHz;
    const auto visit = [&](const StoredFrame& frame) {
        for_each_audio_frame(frame, table, [&](const StoredFrame&, const PayloadFormat& format) {
            rate_hz = std::max(rate_hz, rate_for(format));
        });
    };
    while ((*stream)->next(visit) != StreamChunks::Step::end && rate_hz < offered_hz) {
    }
    return rate_hz;
}

class MixedRecording : public RecordingAudio {
public:
    MixedRecording(std::unique_ptr<ChunkSource> chunks, std::vector<std::unique_ptr<GroupPlayer>> players,
                   std::uint32_t rate_hz, std::uint64_t total_frames)
        : chunks_(std::move(chunks)),
          format_{rate_hz, kChannels},
          total_frames_(total_frames),
          sides_{ChannelMixer(rate_hz), ChannelMixer(rate_hz)} {
        for (auto& player : players) sides_[player->side() == Side::device ? 0 : 1].add(std::move(player));
    }

    AudioFormat format() const override { return format_; }
    std::uint64_t total_frames() const override { return total_frames_; }

    Result<std::vector<std::int16_t>> next() override {
        const std::uint64_t wanted = std::min<std::uint64_t>(format_.sample_rate_hz, total_frames_ - given_);
        while (ready() < wanted) {
            if (const auto rendered = render(); !rendered) return std::unexpected(rendered.error());
        }
        std::vector<std::int16_t> samples(wanted * kChannels);
        for (std::size_t side = 0; side < kChannels; ++side) sides_[side].take(wanted, side, kChannels, samples);
        given_ += wanted;
        return samples;
    }

    std::uint64_t damaged_chunks() const override { return sides_[0].damaged_chunks() + sides_[1].damaged_chunks(); }

private:
    std::uint64_t ready() const { return std::min(sides_[0].ready(), sides_[1].ready()); }

    // One more second of both sides; after the last one, what the resamplers still hold.
    Result<> render() {
        const bool last = rendered_ >= total_frames_;
        for (auto& side : sides_) {
            if (const auto done = last ? side.finish() : side.render_second(); !done) return done;
        }
        if (!last) rendered_ += format_.sample_rate_hz;
        return {};
    }

    std::unique_ptr<ChunkSource> chunks_;  // the players read through it
    AudioFormat format_;
    std::uint64_t total_frames_;
    std::uint64_t given_ = 0;
    std::uint64_t rendered_ = 0;  // samples per channel, whole seconds
    std::array<ChannelMixer, kChannels> sides_;
};

Result<std::uint32_t> output_rate(ChunkSource& chunks, const Recording& recording, TimeNs start_ns, TimeNs stop_ns) {
    std::uint32_t rate_hz = kNarrowHz;
    for (const auto& stream : recording.streams) {
        const auto best = rate_of(chunks, stream, start_ns, stop_ns);
        if (!best) return std::unexpected(best.error());
        rate_hz = std::max(rate_hz, *best);
    }
    return rate_hz;
}

}  // namespace

Result<std::unique_ptr<RecordingAudio>> open_recording_audio(std::unique_ptr<ChunkSource> chunks,
                                                             const Recording& recording, TimeNs now_ns) {
    const TimeNs start_ns = recording.start_ns;
    const TimeNs stop_ns = std::max(start_ns, recording.stop_ns != 0 ? recording.stop_ns : now_ns);
    const auto rate_hz = output_rate(*chunks, recording, start_ns, stop_ns);
    if (!rate_hz) return std::unexpected(rate_hz.error());
    const auto groups = group_streams(recording, *chunks);
    if (!groups) return std::unexpected(groups.error());
    std::vector<std::unique_ptr<GroupPlayer>> players;
    for (const auto& group : *groups) {
        auto player = GroupPlayer::open(*chunks, recording, group, start_ns, stop_ns);
        if (!player) return std::unexpected(player.error());
        players.push_back(std::move(*player));
    }
    const auto total_frames = static_cast<std::uint64_t>(ticks_of(stop_ns - start_ns, *rate_hz));
    return std::make_unique<MixedRecording>(std::move(chunks), std::move(players), *rate_hz, total_frames);
}

}  // namespace spantape
