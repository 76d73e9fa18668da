// SPDX-License-Identifier: AGPL-3.0-or-later
// Sends through a packet socket. Packets wait in a batch until one is due later than now, or the batch is full.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "tools/gen/sink.h"

namespace spantape::gen {
namespace {

constexpr std::size_t kBatch = 64;
constexpr TimeNs kLateNs = 10 * kNsPerMs;

void sleep_until(TimeNs time_ns) {
    const timespec until{static_cast<time_t>(time_ns / kNsPerSecond), static_cast<long>(time_ns % kNsPerSecond)};
    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

class InterfaceSink : public PacketSink {
public:
    InterfaceSink(std::string interface, int fd) : interface_(std::move(interface)), fd_(fd) {}
    ~InterfaceSink() override { close(fd_); }

    Result<> put(TimeNs time_ns, std::span<const std::uint8_t> packet) override {
        const TimeNs now_ns = wall_clock_ns();
        if (time_ns > now_ns) {
            if (const auto sent = send_batch(); !sent) return sent;
            sleep_until(time_ns);
        } else if (now_ns - time_ns > kLateNs) {
            ++late_;
        }
        batch_[waiting_++].assign(packet.begin(), packet.end());
        return waiting_ == kBatch ? send_batch() : Result<>{};
    }
    Result<> finish() override { return send_batch(); }
    std::uint64_t late() const override { return late_; }

private:
    Result<> send_batch() {
        std::array<mmsghdr, kBatch> messages{};
        std::array<iovec, kBatch> parts{};
        for (std::size_t i = 0; i < waiting_; ++i) {
            parts[i] = {batch_[i].data(), batch_[i].size()};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        for (std::size_t done = 0; done < waiting_;) {
            const int sent = sendmmsg(fd_, messages.data() + done, static_cast<unsigned>(waiting_ - done), 0);
            if (sent > 0) {
                done += static_cast<std::size_t>(sent);
            } else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR) {
                sleep_until(wall_clock_ns() + 100'000);  // the interface's queue is full: let it drain
            } else {
                return fail("{}: cannot send: {}", interface_, std::strerror(errno));
            }
        }
        waiting_ = 0;
        return {};
    }

    std::string interface_;
    int fd_;
    std::array<std::vector<std::uint8_t>, kBatch> batch_;
    std::size_t waiting_ = 0;
    std::uint64_t late_ = 0;
};

}  // namespace

Result<std::unique_ptr<PacketSink>> open_interface_sink(const std::string& interface) {
    const unsigned index = if_nametoindex(interface.c_str());
    if (index == 0) return fail("{}: no such interface", interface);
    // Protocol 0: this socket only sends, nothing is queued to it.
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail("{}: cannot open a packet socket: {}", interface, std::strerror(errno));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(index);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int reason = errno;
        close(fd);
        return fail("{}: cannot be bound: {}", interface, std::strerror(reason));
    }
    const int bytes = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return std::make_unique<InterfaceSink>(interface, fd);
}

}  // namespace spantape::gen
