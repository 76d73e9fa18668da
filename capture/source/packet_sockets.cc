// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/packet_sockets.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <string>

#include <linux/if_packet.h>
#include <sys/socket.h>

namespace spantape {

namespace {

bool is_packet_socket(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET;
}

std::set<int> packet_sockets() {
    std::set<int> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const std::string name = entry.path().filename();
        int fd = -1;
        std::from_chars(name.data(), name.data() + name.size(), fd);
        if (fd >= 0 && is_packet_socket(fd)) found.insert(fd);
    }
    return found;
}

}  // namespace

PacketSockets::PacketSockets() : before_(packet_sockets()) {}

void PacketSockets::find_new() {
    const std::set<int> now = packet_sockets();
    ours_.clear();
    std::ranges::set_difference(now, before_, std::inserter(ours_, ours_.end()));
    static_cast<void>(take_drops());
}

std::uint64_t PacketSockets::take_drops() const {
    std::uint64_t drops = 0;
    for (const int fd : ours_) {
        tpacket_stats sums{};
        socklen_t size = sizeof sums;
        if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &sums, &size) == 0) drops += sums.tp_drops;
    }
    return drops;
}

}  // namespace spantape
