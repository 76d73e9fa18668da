// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/servers.h"

#include "api/protocol/hub.h"
#include "api/protocol/listener.h"
#include "api/protocol/web_connection.h"
#include "api/protocol/xml_connection.h"

namespace spantape::api {
namespace {

using ConnectionMaker = std::function<void(TcpSocket&& socket, const std::string& peer, const std::string& listener)>;
using StreamMaker = std::function<std::unique_ptr<ByteStream>(TcpSocket&&)>;

StreamMaker tls_streams(const std::shared_ptr<Hub>& hub) {
    return [hub](TcpSocket&& socket) { return make_tls_stream(std::move(socket), hub->tls); };
}

// TLS too where there is a certificate.
StreamMaker web_streams(const std::shared_ptr<Hub>& hub) {
    if (!hub->tls) return make_plain_stream;
    return [hub](TcpSocket&& socket) { return make_either_stream(std::move(socket), hub->tls); };
}

template <class Protocol>
ConnectionMaker connections_of(const std::shared_ptr<Hub>& hub, StreamMaker make_stream) {
    return [hub, make_stream = std::move(make_stream)](TcpSocket&& socket, const std::string& peer,
                                                       const std::string& listener) {
        hub->welcome(std::make_shared<Protocol>(make_stream(std::move(socket)), hub, peer, listener));
    };
}

Result<TlsContextPtr> tls_of(const ServerOptions& options) {
    if (options.certificate.empty() && options.key.empty()) {
        if (options.webapi_tls.empty() && options.xml_tls.empty()) return nullptr;
        return fail("a TLS listener needs a certificate and a key");
    }
    return make_tls_context(options.certificate, options.key, options.client_ca);
}

class TcpServers final : public Servers {
public:
    explicit TcpServers(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {}
    ~TcpServers() override {
        close_listeners();
        hub_->close_all();
    }

    Result<> open(const std::string& name, const std::string& address, ConnectionMaker make) {
        if (address.empty()) return {};
        auto accepted = [name, make = std::move(make)](TcpSocket&& socket, const std::string& peer) {
            make(std::move(socket), peer, name);
        };
        auto listener = Listener::open(name, address, hub_, std::move(accepted));
        if (!listener) return std::unexpected(listener.error());
        listeners_.emplace_back(name, *listener);
        return {};
    }
    void serve() {
        for (const auto& [name, listener] : listeners_) listener->start();
    }

    void publish(const Event& event) override { hub_->publish(event); }

    void stop(std::function<void()> done) override {
        close_listeners();
        hub_->stop(std::move(done));
    }

    [[nodiscard]] std::string addresses() const override {
        std::string line;
        for (const auto& [name, listener] : listeners_) {
            if (listener->address().empty()) continue;
            line += fmt::format("{}{}={}", line.empty() ? "" : " ", name, listener->address());
        }
        return line;
    }

    [[nodiscard]] std::vector<std::pair<std::string, std::string>> failures() const override {
        std::vector<std::pair<std::string, std::string>> all;
        for (const auto& [name, listener] : listeners_) all.emplace_back(name, listener->failure());
        return all;
    }

    Result<> reload_certificates() override {
        if (!hub_->tls) return {};
        auto tls = tls_of(hub_->options);
        if (!tls) return std::unexpected(tls.error());
        hub_->tls = std::move(*tls);
        return {};
    }

    [[nodiscard]] ServerCounters counters() const override {
        ServerCounters counters = hub_->counters;
        counters.subscribers = hub_->subscribers();
        return counters;
    }

private:
    void close_listeners() {
        for (const auto& [name, listener] : listeners_) listener->close();
    }

    const std::shared_ptr<Hub> hub_;
    std::vector<std::pair<std::string, std::shared_ptr<Listener>>> listeners_;
};

}  // namespace

Result<std::unique_ptr<Servers>> Servers::start(boost::asio::io_context& control, boost::asio::thread_pool& pool,
                                                const ServerOptions& options, RequestHandler& handler) {
    auto allowed = AccessList::parse(options.allow);
    if (!allowed) return std::unexpected(allowed.error());
    auto tls = tls_of(options);
    if (!tls) return std::unexpected(tls.error());
    const auto hub = std::make_shared<Hub>(control, pool, options, std::move(*allowed), *tls, handler);
    auto servers = std::make_unique<TcpServers>(hub);
    const auto xml = connections_of<XmlConnection>(hub, make_plain_stream);
    const auto web = connections_of<WebConnection>(hub, web_streams(hub));
    Result<> opened = servers->open("xml", options.xml, xml);
    if (opened) opened = servers->open("events", options.events, xml);
    if (opened) opened = servers->open("webapi", options.webapi, web);
    if (opened) opened = servers->open("tls", options.webapi_tls, connections_of<WebConnection>(hub, tls_streams(hub)));
    if (opened)
        opened = servers->open("xml_tls", options.xml_tls, connections_of<XmlConnection>(hub, tls_streams(hub)));
    if (!opened) return std::unexpected(opened.error());
    servers->serve();
    return servers;
}

}  // namespace spantape::api
