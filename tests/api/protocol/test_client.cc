// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tests/api/protocol/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace spantape::api::test {

TestClient::TestClient(int port, int receive_bytes) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_bytes > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) close();
}

TestClient TestClient::from_socket(int fd) {
    TestClient client;
    client.fd_ = fd;
    return client;
}

TestClient::TestClient(TestClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      context_(std::exchange(other.context_, nullptr)),
      tls_(std::exchange(other.tls_, nullptr)) {}

TestClient::~TestClient() { close(); }

bool TestClient::start_tls(int version) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context_, 0);  // or the client itself would refuse the old versions
    SSL_CTX_set_min_proto_version(context_, version);
    SSL_CTX_set_max_proto_version(context_, version);
    tls_ = SSL_new(context_);
    SSL_set_fd(tls_, fd_);
    return SSL_connect(tls_) == 1;
}

bool TestClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto count = tls_ ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

void TestClient::send_end() {
    if (tls_) SSL_shutdown(tls_);
    if (!tls_) shutdown(fd_, SHUT_WR);
}

void TestClient::reset() {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
}

void TestClient::close() {
    SSL_free(std::exchange(tls_, nullptr));
    SSL_CTX_free(std::exchange(context_, nullptr));
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool TestClient::readable(int timeout_ms) {
    if (!buffer_.empty() || (tls_ && SSL_pending(tls_) > 0)) return true;
    pollfd waiting{fd_, POLLIN, 0};
    return poll(&waiting, 1, timeout_ms) == 1;
}

bool TestClient::fill(int timeout_ms) {
    pollfd waiting{fd_, POLLIN, 0};
    if (fd_ < 0 || (!(tls_ && SSL_pending(tls_) > 0) && poll(&waiting, 1, timeout_ms) != 1)) return false;
    char bytes[65536];
    const auto count = tls_ ? SSL_read(tls_, bytes, sizeof bytes) : recv(fd_, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(count));
    return true;
}

std::string TestClient::line(int timeout_ms) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
        if (!fill(timeout_ms)) return std::exchange(buffer_, "");
    }
    std::string result = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 2);
    return result;
}

bool TestClient::ended(int timeout_ms) {
    if (!buffer_.empty()) return false;
    if (fd_ < 0) return true;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, timeout_ms) != 1) return false;
    return !fill(0) && std::chrono::steady_clock::now() <= until + std::chrono::seconds(1);
}

std::string TestClient::exactly(std::size_t bytes, int timeout_ms) {
    while (buffer_.size() < bytes && fill(timeout_ms)) {
    }
    std::string result = buffer_.substr(0, bytes);
    buffer_.erase(0, result.size());
    return result;
}

TestClient::Response TestClient::response(bool head) {
    Response result;
    const std::string status = line();
    if (status.starts_with("HTTP/1.1 ")) result.status = std::stoi(status.substr(9, 3));
    for (std::string field = line(); field.size() > 2; field = line()) {
        const auto colon = field.find(": ");
        std::string name = field.substr(0, colon);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        result.fields[name] = field.substr(colon + 2, field.size() - colon - 4);
    }
    const auto length = result.fields.find("content-length");
    if (!head && length != result.fields.end()) result.body = exactly(std::stoul(length->second));
    return result;
}

std::string TestClient::chunk() {
    const std::string size = line();
    if (size.empty()) return "";
    const std::string bytes = exactly(std::stoul(size, nullptr, 16));
    line();
    return bytes;
}

std::string element(std::string_view document, std::string_view name) {
    const std::string open = "<" + std::string(name) + ">";
    const auto begin = document.find(open);
    const auto end = document.find("</" + std::string(name) + ">");
    if (begin == std::string_view::npos || end == std::string_view::npos) return "(none)";
    return std::string(document.substr(begin + open.size(), end - begin - open.size()));
}

}  // namespace spantape::api::test
