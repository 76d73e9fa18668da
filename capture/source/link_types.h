// SPDX-License-Identifier: AGPL-3.0-or-later
// Link type numbers of capture files and interfaces -> the link layers that the decoder knows. Pure functions.
#pragma once

#include <optional>
#include <string>

#include "capture/source/source.h"

namespace spantape {

// number: LINKTYPE_… of a file or DLT_… of libpcap; where both differ (raw IP) both are taken. Empty: not known to us.
std::optional<LinkType> link_type_of(int number);

// For messages: "127 (IEEE802_11_RADIO: 802.11 plus radiotap header)".
std::string link_type_name(int number);

}  // namespace spantape
