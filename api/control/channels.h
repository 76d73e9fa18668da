// SPDX-License-Identifier: AGPL-3.0-or-later
// The recording slots (manual: CHANNELS). Bounds what is recorded at once.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "capture/base/clock.h"

namespace spantape {

enum class ChannelState : std::uint8_t {  // manual: Parameter Definitions, STATE
    idle,
    off_hook,
    recording,
    playback,
    waiting,
    error,
    resetting,
    preparing_to_record,
    finish_recording,
    dialing_for_playback
};
[[nodiscard]] std::string_view name_of(ChannelState state);  // "PreparingToRecord"

class Channels {
public:
    struct Channel {
        ChannelState state = ChannelState::idle;
        TimeNs since_ns = 0;
    };
    Channels(std::uint32_t count, TimeNs now_ns) : channels_(count, Channel{ChannelState::idle, now_ns}) {
        for (std::uint32_t number = 1; number <= count; ++number) free_.insert(free_.end(), number);
    }

    // The lowest free channel, 1 …; 0 when none is free. It is preparing_to_record then.
    std::uint32_t take(TimeNs now_ns) {
        if (free_.empty()) return 0;
        const std::uint32_t number = *free_.begin();
        free_.erase(free_.begin());
        set(number, ChannelState::preparing_to_record, now_ns);
        return number;
    }
    void set(std::uint32_t number, ChannelState state, TimeNs now_ns) {
        if (number == 0 || number > channels_.size()) return;
        channels_[number - 1] = {state, now_ns};
        if (state == ChannelState::idle) free_.insert(number);
    }
    [[nodiscard]] const std::vector<Channel>& all() const { return channels_; }
    [[nodiscard]] std::size_t in_use() const { return channels_.size() - free_.size(); }

private:
    std::vector<Channel> channels_;
    std::set<std::uint32_t> free_;
};

}  // namespace spantape
