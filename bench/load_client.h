// SPDX-License-Identifier: AGPL-3.0-or-later
// Clients of the XML API for the load generator: non-blocking sockets behind one epoll, answers cut into documents by
// their line ends (a document that the appliance writes is one line). Shares no code with the server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spantape::bench {

// Text between `<NAME>` and `<`; "" when there is none. `tag` with its brackets.
[[nodiscard]] std::string_view text_behind(std::string_view document, std::string_view tag);

[[nodiscard]] std::int64_t now_ns();  // monotonic

class LoadClient {
public:
    // To 127.0.0.1. Ends the program with the reason when it cannot: a load without its connections says nothing.
    LoadClient(int epoll, std::uint16_t port, std::uint32_t number);
    ~LoadClient();
    LoadClient(const LoadClient&) = delete;
    LoadClient& operator=(const LoadClient&) = delete;

    // Sends at once what the system takes, the rest by flush().
    void send(std::string_view text);
    // What is sent together: add() several, then flush().
    void add(std::string_view text) { unsent_ += text; }
    void flush();

    // Reads what is there; on_document(document) for each that is complete. False: the server has closed.
    template <class OnDocument>
    bool receive(OnDocument on_document) {
        while (true) {
            const std::ptrdiff_t got = read_some();
            if (got == 0) return false;
            if (got < 0) return true;
            std::string_view rest(buffer_.data(), filled_);
            for (std::size_t end = rest.find('\n', scanned_); end != std::string_view::npos; end = rest.find('\n')) {
                on_document(rest.substr(0, end));
                rest.remove_prefix(end + 1);
            }
            keep(rest);
            if (drained_) return true;
        }
    }

private:
    std::ptrdiff_t read_some();  // bytes; 0: closed; -1: no more now
    void keep(std::string_view rest);
    void watch(bool writable);

    const int epoll_;
    int socket_ = -1;
    const std::uint32_t number_;
    std::string unsent_;
    bool watching_writable_ = false;
    std::vector<char> buffer_;
    std::size_t filled_ = 0, scanned_ = 0;
    bool drained_ = false;  // the last read had room for more
};

// So many clients and their epoll.
class LoadClients {
public:
    LoadClients();
    ~LoadClients();
    LoadClients(const LoadClients&) = delete;
    LoadClients& operator=(const LoadClients&) = delete;

    void open(std::uint16_t port, std::size_t count);
    [[nodiscard]] std::size_t size() const { return clients_.size(); }
    LoadClient& operator[](std::size_t number) { return *clients_[number]; }

    // on_document(client number, document) for what comes; waits for it until now_ns() is that much, -1: for ever. A
    // client that is closed counts in closed().
    template <class OnDocument>
    void turn(std::int64_t until_ns, OnDocument on_document) {
        for (const std::uint64_t ready : wait(until_ns)) {
            const auto number = static_cast<std::uint32_t>(ready);
            if (!clients_[number]) continue;
            if ((ready & kWritable) != 0) clients_[number]->flush();
            if (clients_[number]->receive([&](std::string_view document) { on_document(number, document); })) continue;
            clients_[number].reset();
            ++closed_;
        }
    }
    [[nodiscard]] std::size_t closed() const { return closed_; }
    [[nodiscard]] bool open(std::size_t number) const { return clients_[number] != nullptr; }

private:
    static constexpr std::uint64_t kWritable = std::uint64_t{1} << 32;
    const std::vector<std::uint64_t>& wait(std::int64_t until_ns);  // numbers, and kWritable where that is so

    int epoll_;
    std::vector<std::unique_ptr<LoadClient>> clients_;
    std::vector<std::uint64_t> ready_;
    std::size_t closed_ = 0;
};

}  // namespace spantape::bench
