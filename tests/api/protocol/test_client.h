// SPDX-License-Identifier: AGPL-3.0-or-later
// A client for the tests: a blocking socket, plain or under TLS, that reads with a time limit and never throws.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;

namespace spantape::api::test {

class TestClient {
public:
    // Connects to 127.0.0.1. receive_bytes: the socket's receive buffer, 0 for the system's.
    explicit TestClient(int port, int receive_bytes = 0);
    // Takes over a socket that is connected already.
    static TestClient from_socket(int fd);
    TestClient(TestClient&& other) noexcept;
    ~TestClient();

    // From here on under TLS; 0 = any version, else TLS1_1_VERSION and the like. False: the handshake failed.
    bool start_tls(int version = 0);

    bool send(std::string_view bytes);
    void send_end();  // no more will be sent
    void reset();     // closes so that the server gets a reset
    void close();

    // Up to and with the next CR LF, or what came until the end or the time limit.
    std::string line(int timeout_ms = 10'000);
    // True when the server has ended or cut the connection, and nothing was left to read.
    bool ended(int timeout_ms = 10'000);
    // Something can be read within the time.
    bool readable(int timeout_ms);
    std::string exactly(std::size_t bytes, int timeout_ms = 10'000);

    struct Response {
        int status = 0;
        std::map<std::string, std::string> fields;  // names lower case
        std::string body;
        std::vector<std::string> chunks;  // read_chunk()
    };
    // An HTTP answer with its body, unless it is endless or `head`.
    Response response(bool head = false);
    std::string chunk();

    [[nodiscard]] int fd() const { return fd_; }

private:
    TestClient() = default;
    bool fill(int timeout_ms);

    int fd_ = -1;
    std::string buffer_;
    ssl_ctx_st* context_ = nullptr;
    ssl_st* tls_ = nullptr;
};

// The text of the first element of that name.
std::string element(std::string_view document, std::string_view name);

}  // namespace spantape::api::test
