// SPDX-License-Identifier: AGPL-3.0-or-later
// Which TCP segments the signalling thread is to see: those of the SIP ports, and those of connections on other ports
// that were seen to carry SIP. The worker's; a table of fixed size, no allocation after construction.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "capture/packet/datagram.h"

namespace spantape {

class SipTcpFilter {
public:
    explicit SipTcpFilter(std::vector<std::uint16_t> sip_ports);

    // A segment of a SIP port that carries bytes or SYN, FIN or RST; on other ports, once a segment of its connection
    // began with a whole SIP start line. TLS never does.
    [[nodiscard]] bool wants(const Datagram& segment);

private:
    struct alignas(64) Set {
        std::array<std::uint64_t, 8> connections{};  // hashes; the one used last first
    };
    static constexpr std::size_t kSets = 1024;

    [[nodiscard]] bool is_sip_port(std::uint16_t port) const;
    static bool find(Set& set, std::uint64_t connection);

    std::vector<std::uint16_t> sip_ports_;
    std::vector<Set> sets_;
};

}  // namespace spantape
