// SPDX-License-Identifier: AGPL-3.0-or-later
// Wakes one sleeping thread from others through an eventfd, which can also be given to poll() or an event loop.
// notify() makes a system call only when the owner has said that it is about to sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace spantape {

class Wakeup {
public:
    Wakeup() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (fd_ < 0) throw std::runtime_error("eventfd: no file descriptors left");
    }
    ~Wakeup() { close(fd_); }
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;

    [[nodiscard]] int fd() const { return fd_; }

    // Any thread, after its data was published.
    void notify() {
        // seq_cst pairs with prepare(): either the owner sees the data, or we see that it sleeps.
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (sleeping_.load(std::memory_order_relaxed)) signal();
    }
    // Any thread: wakes whether or not the owner said that it sleeps.
    void signal() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
    }

    // Owner: say that it will sleep; it must look at its queues once more after this, before it sleeps.
    void prepare() {
        sleeping_.store(true, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    // Owner: awake again; forgets signals that came meanwhile.
    void done() {
        sleeping_.store(false, std::memory_order_relaxed);
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
    }

    // Owner: sleeps until notified, or `extra_fd` (if not -1) is readable, or the time is over. `idle` is asked after
    // prepare(): true when the queues are still empty.
    template <class Idle>
    void wait(int timeout_ms, Idle idle, int extra_fd = -1) {
        prepare();
        if (idle()) {
            pollfd fds[2] = {{fd_, POLLIN, 0}, {extra_fd, POLLIN, 0}};
            poll(fds, extra_fd >= 0 ? 2 : 1, timeout_ms);
        }
        done();
    }

private:
    int fd_;
    std::atomic<bool> sleeping_{false};  // written by the owner
};

}  // namespace spantape
