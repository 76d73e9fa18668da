// SPDX-License-Identifier: AGPL-3.0-or-later
// Why a packet was not used: the table of drop_reasons.def as an enum with names. Constants; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spantape {

enum class DropReason : std::uint8_t {
    none = 0,
#define DROP_REASON(name, text) name,
#include "capture/packet/drop_reasons.def"
#undef DROP_REASON
    count,
    held = 255,  // not decided yet, so never counted: Fragments keeps the packet and tells later what became of it
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count);

[[nodiscard]] std::string_view name_of(DropReason reason);         // "not_ip"
[[nodiscard]] std::string_view description_of(DropReason reason);  // "not IPv4 or IPv6 (ARP, STP, LLDP, ...)"

}  // namespace spantape
