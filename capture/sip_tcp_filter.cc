// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip_tcp_filter.h"

#include <algorithm>

#include "capture/sip/start_line.h"

namespace spantape {

namespace {

constexpr std::uint8_t kFinSynRst = 1 | 2 | 4;

// The same for both directions; 0 stands for a free place.
std::uint64_t connection_of(const Datagram& segment) {
    return std::max<std::uint64_t>(mix_bits(hash_of(segment.source) + hash_of(segment.destination)), 1);
}

// The oldest of the set makes room.
void remember(std::array<std::uint64_t, 8>& connections, std::uint64_t connection) {
    std::rotate(connections.begin(), connections.end() - 1, connections.end());
    connections.front() = connection;
}

}  // namespace

SipTcpFilter::SipTcpFilter(std::vector<std::uint16_t> sip_ports) : sip_ports_(std::move(sip_ports)), sets_(kSets) {}

bool SipTcpFilter::wants(const Datagram& segment) {
    if (segment.payload.empty() && (segment.tcp_flags & kFinSynRst) == 0) return false;
    if (is_sip_port(segment.destination.port) || is_sip_port(segment.source.port)) return true;
    const std::uint64_t connection = connection_of(segment);
    Set& set = sets_[connection & (kSets - 1)];
    if (find(set, connection)) return true;
    if (!begins_with_sip_start_line(segment.payload)) return false;
    remember(set.connections, connection);
    return true;
}

bool SipTcpFilter::is_sip_port(std::uint16_t port) const {
    return std::find(sip_ports_.begin(), sip_ports_.end(), port) != sip_ports_.end();
}

bool SipTcpFilter::find(Set& set, std::uint64_t connection) {
    const auto found = std::find(set.connections.begin(), set.connections.end(), connection);
    if (found == set.connections.end()) return false;
    std::rotate(set.connections.begin(), found, found + 1);
    return true;
}

}  // namespace spantape
