// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/link_types.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

namespace spantape {

std::optional<LinkType> link_type_of(int number) {
    switch (number) {
        case 1:
            return LinkType::ethernet;
        case 113:
            return LinkType::linux_cooked_v1;
        case 276:
            return LinkType::linux_cooked_v2;
        case 12:   // DLT_RAW
        case 14:   // DLT_RAW of OpenBSD
        case 101:  // LINKTYPE_RAW
        case 228:  // IPv4
        case 229:  // IPv6
            return LinkType::raw_ip;
        case 0:    // null
        case 108:  // loop: the same with the family in network order
            return LinkType::null_loopback;
        case 9:    // PPP
        case 50:   // PPP in HDLC's framing, or Cisco HDLC
        case 104:  // Cisco HDLC
        case 166:  // pppd's, with a direction for the address
            return LinkType::serial;
        case 51:
            return LinkType::pppoe;
        case 197:
            return LinkType::erf;
        default:
            return std::nullopt;
    }
}

std::string link_type_name(int number) {
    const char* name = pcap_datalink_val_to_name(number);
    const char* description = pcap_datalink_val_to_description(number);
    if (name == nullptr) return fmt::format("{}", number);
    return fmt::format("{} ({}: {})", number, name, description == nullptr ? "" : description);
}

}  // namespace spantape
