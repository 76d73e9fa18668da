// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/packet/drop_reason.h"

#include <iterator>

namespace spantape {

namespace {

struct ReasonText {
    std::string_view name;
    std::string_view description;
};

constexpr ReasonText kReasons[] = {
    {"none", "the packet was used"},
#define DROP_REASON(name, text) {#name, text},
#include "capture/packet/drop_reasons.def"
#undef DROP_REASON
};
static_assert(std::size(kReasons) == kDropReasons);

constexpr ReasonText kHeld{"held", "a fragment whose datagram is not whole yet"};
constexpr ReasonText kUnknown{"unknown", "not a drop reason"};

const ReasonText& text_of(DropReason reason) {
    const auto index = static_cast<std::size_t>(reason);
    if (index < kDropReasons) return kReasons[index];
    return reason == DropReason::held ? kHeld : kUnknown;
}

}  // namespace

std::string_view name_of(DropReason reason) { return text_of(reason).name; }
std::string_view description_of(DropReason reason) { return text_of(reason).description; }

}  // namespace spantape
