// SPDX-License-Identifier: AGPL-3.0-or-later
// A connected client's bytes, plain or under TLS, behind one interface, so that the protocols are written once. Owned
// by a connection on the control thread; every callback must keep that connection alive. Callbacks never run inside
// of the call that takes them. At most one read_some and one write_some at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "capture/base/result.h"

namespace spantape::api {

class ByteStream {
public:
    using Opened = std::function<void(const boost::system::error_code&)>;
    using Done = std::function<void(const boost::system::error_code&, std::size_t)>;

    virtual ~ByteStream() = default;

    virtual void open(Opened opened) = 0;  // first of all: the TLS handshake where there is one
    virtual void read_some(std::span<char> space, Done done) = 0;
    virtual void write_some(std::string_view bytes, Done done) = 0;
    // No more will be sent; what was written still arrives.
    virtual void shutdown_send(std::function<void()> done) = 0;
    // After the client has ended its side: tells when the connection is wholly gone.
    virtual void wait_gone(std::function<void()> gone) = 0;
    virtual void close() = 0;
    // After open(): the common name of the TLS client's certificate, which an authority of ours has signed; else "".
    [[nodiscard]] virtual std::string peer_name() const { return {}; }
};

using TcpSocket = boost::asio::ip::tcp::socket;
using TlsContext = boost::asio::ssl::context;

[[nodiscard]] std::unique_ptr<ByteStream> make_plain_stream(TcpSocket&& socket);
using TlsContextPtr = std::shared_ptr<TlsContext>;
[[nodiscard]] std::unique_ptr<ByteStream> make_tls_stream(TcpSocket&& socket, TlsContextPtr context);
// Plain or TLS, by the first byte that the client sends.
[[nodiscard]] std::unique_ptr<ByteStream> make_either_stream(TcpSocket&& socket, TlsContextPtr context);

// A server's context, TLS 1.2 and later. client_ca: PEM file of the authorities without whose certificate no client is
// let in; "": clients need none. An error names the file and why.
[[nodiscard]] Result<TlsContextPtr> make_tls_context(const std::string& certificate_file, const std::string& key_file,
                                                     const std::string& client_ca = "");

}  // namespace spantape::api
