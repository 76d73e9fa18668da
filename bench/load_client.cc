// SPDX-License-Identifier: AGPL-3.0-or-later
#include "bench/load_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spantape::bench {

namespace {

constexpr std::size_t kFirstRead = 4u << 10, kMostRead = 128u << 10;

[[noreturn]] void die(std::string_view what) {
    fmt::print(stderr, "api_load: {}: {}\n", what, strerror(errno));
    std::exit(EXIT_FAILURE);
}

}  // namespace

std::string_view text_behind(std::string_view document, std::string_view tag) {
    const std::size_t at = document.find(tag);
    if (at == std::string_view::npos) return {};
    const std::size_t from = at + tag.size();
    return document.substr(from, document.find('<', from) - from);
}

std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

LoadClient::LoadClient(int epoll, std::uint16_t port, std::uint32_t number) : epoll_(epoll), number_(number) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) die("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = number}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) != 0) die("epoll_ctl");
}

LoadClient::~LoadClient() { ::close(socket_); }

void LoadClient::send(std::string_view text) {
    add(text);
    flush();
}

void LoadClient::flush() {
    std::size_t sent = 0;
    while (sent < unsent_.size()) {
        const ssize_t count =
            ::send(socket_, unsent_.data() + sent, unsent_.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) break;  // full; or closed, which the next read tells
        sent += static_cast<std::size_t>(count);
    }
    unsent_.erase(0, sent);
    if (watching_writable_ != !unsent_.empty()) watch(!unsent_.empty());
}

void LoadClient::watch(bool writable) {
    watching_writable_ = writable;
    epoll_event event{.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.u64 = number_}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event);
}

std::ptrdiff_t LoadClient::read_some() {
    if (buffer_.size() - filled_ < kFirstRead) buffer_.resize(std::max(2 * buffer_.size(), kFirstRead));
    const std::size_t room = std::min(buffer_.size() - filled_, kMostRead);
    const ssize_t count = recv(socket_, buffer_.data() + filled_, room, MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
    scanned_ = filled_;
    filled_ += static_cast<std::size_t>(count);
    drained_ = static_cast<std::size_t>(count) < room;
    if (!drained_ && buffer_.size() < kMostRead) buffer_.resize(2 * buffer_.size());
    return count;
}

void LoadClient::keep(std::string_view rest) {
    if (rest.size() < filled_) std::memmove(buffer_.data(), rest.data(), rest.size());
    filled_ = rest.size();
}

LoadClients::LoadClients() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) die("epoll_create1");
    prctl(PR_SET_TIMERSLACK, 1);  // requests leave at their times
}

LoadClients::~LoadClients() {
    clients_.clear();
    ::close(epoll_);
}

void LoadClients::open(std::uint16_t port, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        clients_.push_back(std::make_unique<LoadClient>(epoll_, port, static_cast<std::uint32_t>(clients_.size())));
}

const std::vector<std::uint64_t>& LoadClients::wait(std::int64_t until_ns) {
    std::array<epoll_event, 512> events;
    ready_.clear();
    const std::int64_t left_ns = std::max<std::int64_t>(until_ns - now_ns(), 0);
    const timespec timeout{left_ns / 1'000'000'000, left_ns % 1'000'000'000};
    const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()),
                                   until_ns < 0 ? nullptr : &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        ready_.push_back(event.data.u64 | ((event.events & EPOLLOUT) != 0 ? kWritable : 0));
    }
    return ready_;
}

}  // namespace spantape::bench
