// SPDX-License-Identifier: AGPL-3.0-or-later
// Does a recording hold all of its call? If not, why.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/recording.h"

namespace spantape {

enum class Shortfall : std::uint8_t {
    no_channel,      // never recorded: all channels were in use
    disk_full,       // never recorded: no room
    no_media,        // answered, and no packet of its audio was seen
    one_side,        // of one of two parties nothing was seen
    lost_before,     // packets were lost before they reached us
    dropped_kernel,  // packets were dropped by the kernel, the card, or the spread among workers
    dropped_us,      // packets were dropped by us: the disk did not keep up
    undecryptable,   // SRTP whose key was not seen
    pre_empted,      // gave way to a higher priority
    interrupted,     // by a crash or kill
};
inline constexpr std::size_t kShortfalls = 10;
[[nodiscard]] std::string_view name_of(Shortfall shortfall);         // "no_channel"
[[nodiscard]] std::string_view description_of(Shortfall shortfall);  // as above

// Of one that has ended; empty: all of it is there. What a blackout left out, and silence, is no shortfall.
[[nodiscard]] std::vector<Shortfall> shortfalls_of(const Recording& recording);

}  // namespace spantape
