// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/byte_stream.h"

#include <array>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace spantape::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class PlainStream : public ByteStream {
public:
    explicit PlainStream(TcpSocket&& socket) : socket_(std::move(socket)) {}

    void open(Opened opened) override {
        asio::post(socket_.get_executor(), [opened = std::move(opened)] { opened({}); });
    }
    void read_some(std::span<char> space, Done done) override {
        socket_.async_read_some(asio::buffer(space.data(), space.size()), std::move(done));
    }
    void write_some(std::string_view bytes, Done done) override {
        socket_.async_write_some(asio::buffer(bytes), std::move(done));
    }
    void shutdown_send(std::function<void()> done) override {
        error_code ignored;
        socket_.shutdown(TcpSocket::shutdown_send, ignored);
        asio::post(socket_.get_executor(), std::move(done));
    }
    void wait_gone(std::function<void()> gone) override {
        socket_.async_wait(TcpSocket::wait_error, [gone = std::move(gone)](const error_code&) { gone(); });
    }
    void close() override {
        error_code ignored;
        socket_.close(ignored);
    }

private:
    TcpSocket socket_;
};

class TlsStream : public ByteStream {
public:
    TlsStream(TcpSocket&& socket, TlsContextPtr context)
        : context_(std::move(context)), stream_(std::move(socket), *context_) {}

    void open(Opened opened) override { stream_.async_handshake(asio::ssl::stream_base::server, std::move(opened)); }
    void read_some(std::span<char> space, Done done) override {
        stream_.async_read_some(asio::buffer(space.data(), space.size()),
                                [done = std::move(done)](error_code error, std::size_t bytes) {
                                    // A client that closes without close_notify has ended all the same.
                                    if (error == asio::ssl::error::stream_truncated) error = asio::error::eof;
                                    done(error, bytes);
                                });
    }
    void write_some(std::string_view bytes, Done done) override {
        stream_.async_write_some(asio::buffer(bytes), std::move(done));
    }
    void shutdown_send(std::function<void()> done) override {
        stream_.async_shutdown([done = std::move(done)](const error_code&) { done(); });
    }
    void wait_gone(std::function<void()> gone) override {
        stream_.next_layer().async_wait(TcpSocket::wait_error, [gone = std::move(gone)](const error_code&) { gone(); });
    }
    void close() override {
        error_code ignored;
        stream_.next_layer().close(ignored);
    }

    std::string peer_name() const override {
        // The handshake has proven it against the authorities, or there is none.
        auto* ssl = const_cast<asio::ssl::stream<TcpSocket>&>(stream_).native_handle();
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), &X509_free);
        if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK) return {};
        std::array<char, 256> name{};
        const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                                                     name.data(), static_cast<int>(name.size()));
        return length > 0 ? std::string(name.data(), static_cast<std::size_t>(length)) : std::string();
    }

private:
    const TlsContextPtr context_;  // outlives the stream
    asio::ssl::stream<TcpSocket> stream_;
};

// Waits for the first byte and looks at it without taking it; then it is one of the two above.
class EitherStream : public ByteStream {
public:
    EitherStream(TcpSocket&& socket, TlsContextPtr context)
        : socket_(std::move(socket)), context_(std::move(context)) {}

    void open(Opened opened) override {
        socket_.async_wait(TcpSocket::wait_read, [this, opened = std::move(opened)](error_code error) mutable {
            if (error) return opened(error);
            const auto kind = first_byte(error);
            if (error) return opened(error);
            constexpr unsigned char kTlsHandshake = 0x16;  // RFC 8446 §5.1; no HTTP request begins so
            stream_ = kind == kTlsHandshake ? make_tls_stream(std::move(socket_), context_)
                                            : make_plain_stream(std::move(socket_));
            stream_->open(std::move(opened));
        });
    }
    void read_some(std::span<char> space, Done done) override { stream_->read_some(space, std::move(done)); }
    void write_some(std::string_view bytes, Done done) override { stream_->write_some(bytes, std::move(done)); }
    void shutdown_send(std::function<void()> done) override { stream_->shutdown_send(std::move(done)); }
    void wait_gone(std::function<void()> gone) override { stream_->wait_gone(std::move(gone)); }
    std::string peer_name() const override { return stream_ ? stream_->peer_name() : std::string(); }
    void close() override {
        if (stream_) return stream_->close();
        error_code ignored;
        socket_.close(ignored);
    }

private:
    unsigned char first_byte(error_code& error) {
        unsigned char byte = 0;
        socket_.non_blocking(true, error);
        if (!error) socket_.receive(asio::buffer(&byte, 1), TcpSocket::message_peek, error);
        return byte;
    }

    TcpSocket socket_;
    const TlsContextPtr context_;
    std::unique_ptr<ByteStream> stream_;
};

}  // namespace

std::unique_ptr<ByteStream> make_plain_stream(TcpSocket&& socket) {
    return std::make_unique<PlainStream>(std::move(socket));
}

std::unique_ptr<ByteStream> make_tls_stream(TcpSocket&& socket, TlsContextPtr context) {
    return std::make_unique<TlsStream>(std::move(socket), std::move(context));
}

std::unique_ptr<ByteStream> make_either_stream(TcpSocket&& socket, TlsContextPtr context) {
    return std::make_unique<EitherStream>(std::move(socket), std::move(context));
}

Result<TlsContextPtr> make_tls_context(const std::string& certificate_file, const std::string& key_file,
                                       const std::string& client_ca) {
    auto context = std::make_shared<TlsContext>(TlsContext::tls_server);
    context->set_options(TlsContext::default_workarounds | TlsContext::no_sslv2 | TlsContext::no_sslv3 |
                         TlsContext::no_tlsv1 | TlsContext::no_tlsv1_1);
    error_code error;
    context->use_certificate_chain_file(certificate_file, error);
    if (error) return fail("TLS certificate {}: {}", certificate_file, error.message());
    context->use_private_key_file(key_file, TlsContext::pem, error);
    if (error) return fail("TLS key {}: {}", key_file, error.message());
    if (SSL_CTX_check_private_key(context->native_handle()) != 1)
        return fail("TLS key {}: it is not that of {}", key_file, certificate_file);
    if (client_ca.empty()) return context;
    context->load_verify_file(client_ca, error);
    if (error) return fail("TLS client authorities {}: {}", client_ca, error.message());
    if (STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(client_ca.c_str()))
        SSL_CTX_set_client_CA_list(context->native_handle(), names);  // takes them
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, error);
    if (error) return fail("TLS client authorities {}: {}", client_ca, error.message());
    return context;
}

}  // namespace spantape::api
