// SPDX-License-Identifier: AGPL-3.0-or-later
// A server that takes one connection and does with it what a test says, on a thread of its own.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

namespace spantape::cli {

class FakeServer {
public:
    class Peer {
    public:
        explicit Peer(boost::asio::io_context& context) : socket(context) {}
        // Everything up to and with `end`; "" when the client closes before.
        std::string read_until(std::string_view end) {
            boost::system::error_code error;
            const std::size_t bytes = boost::asio::read_until(socket, buffer_, std::string(end), error);
            std::string text;
            if (error) return text;
            text.resize(bytes);
            buffer_.sgetn(text.data(), static_cast<std::streamsize>(bytes));
            return text;
        }
        // Everything until the client closes its half.
        std::string read_all() {
            boost::system::error_code error;
            while (!error) boost::asio::read(socket, buffer_, error);
            return {boost::asio::buffers_begin(buffer_.data()), boost::asio::buffers_end(buffer_.data())};
        }
        void write(std::string_view bytes) {
            boost::system::error_code ignored;
            boost::asio::write(socket, boost::asio::buffer(bytes), ignored);
        }
        // One segment a byte, so that the client must put them together.
        void write_in_pieces(std::string_view bytes) {
            socket.set_option(boost::asio::ip::tcp::no_delay(true));
            for (const char& byte : bytes) write({&byte, 1});
        }

        boost::asio::ip::tcp::socket socket;

    private:
        boost::asio::streambuf buffer_;
    };

    explicit FakeServer(std::function<void(Peer&)> serve)
        : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {
        thread_ = std::jthread([this, serve = std::move(serve)] {
            boost::system::error_code error;
            Peer peer(context_);
            acceptor_.accept(peer.socket, error);
            if (!error) serve(peer);
        });
    }
    // The test's client must have come by then.
    ~FakeServer() = default;

    [[nodiscard]] std::string address() const {
        return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
    }

private:
    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::jthread thread_;
};

}  // namespace spantape::cli
