// SPDX-License-Identifier: AGPL-3.0-or-later
// Placed frames of the streams of one side -> the samples of one channel, second by second: added with saturation,
// each sample rate on a bus of its own, which is brought to the channel's rate as one stream. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "storage/audio/group_player.h"
#include "storage/audio/resampler.h"

namespace spantape {

class ChannelMixer {
public:
    explicit ChannelMixer(std::uint32_t rate_hz) : rate_hz_(rate_hz) {}

    void add(std::unique_ptr<GroupPlayer> player);
    Result<> render_second();
    // No more seconds: gets what the resamplers hold back.
    Result<> finish();

    // How many samples are complete.
    [[nodiscard]] std::size_t ready() const;
    // Takes that many samples, at most ready(), into out[channel], out[channel + channels], ...
    void take(std::size_t samples, std::size_t channel, std::size_t channels, std::vector<std::int16_t>& out);

    [[nodiscard]] std::uint64_t damaged_chunks() const;

private:
    struct Bus {
        std::unique_ptr<Resampler> resampler;  // none where the rates are equal
        std::vector<std::int32_t> sum;         // of the second being rendered
        std::vector<std::int16_t> out;         // at the channel's rate, not taken yet
    };
    struct Span {
        TimeNs from_ns = 0, to_ns = 0;
    };

    Result<Bus*> bus(std::uint32_t rate_hz);
    Result<> mix(GroupPlayer& player);
    Result<> mix_frame(const PlacedFrame& frame);
    [[nodiscard]] bool heard_elsewhere(const PlacedFrame& frame) const;
    Result<> close_second(Bus& bus);

    std::uint32_t rate_hz_;
    std::int64_t second_ = 0;                            // the one to be rendered next
    std::vector<std::unique_ptr<GroupPlayer>> players_;  // copies after the others
    bool has_copies_ = false;
    std::deque<Span> heard_;              // where others than copies were mixed lately
    std::map<std::uint32_t, Bus> buses_;  // by sample rate
    std::int64_t taken_ = 0;              // samples
    std::vector<std::int16_t> scratch_;
};

}  // namespace spantape
