// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/xml_client.h"

#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <pugixml.hpp>

namespace spantape::cli {
namespace {

constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::size_t kLargestDocument = 1u << 30;
constexpr unsigned kParseFlags = pugi::parse_escapes | pugi::parse_cdata | pugi::parse_eol | pugi::parse_ws_pcdata;

// Depth is bounded by XmlScanner, which has let the document through.
api::Element to_element(pugi::xml_node node) {
    api::Element element{node.name(), {}, {}};
    for (const pugi::xml_node& part : node.children()) {
        if (part.type() == pugi::node_element) element.children.push_back(to_element(part));
        if (part.type() == pugi::node_pcdata || part.type() == pugi::node_cdata) element.text += part.value();
    }
    if (!element.children.empty()) element.text.clear();  // blanks between the children
    return element;
}

}  // namespace

Result<std::optional<std::string>> AnswerFramer::next() {
    while (read_ < bytes_.size()) {
        std::size_t used = 0;
        const auto event = scanner_.scan(std::string_view(bytes_).substr(read_), used);
        read_ += used;
        using Event = api::XmlScanner::Event;
        if (event == Event::kBegun) begin_ = read_ - 1;
        if (event == Event::kBroken) return fail("the answer is no XML: {}", scanner_.reason());
        if (event != Event::kComplete) continue;
        std::optional document(bytes_.substr(begin_, read_ - begin_));
        bytes_.erase(0, read_);
        begin_ = read_ = 0;
        scanner_.reset();
        return document;
    }
    if (scanner_.between_documents()) {
        bytes_.clear();
        begin_ = read_ = 0;
    }
    if (bytes_.size() > kLargestDocument) return fail("the answer is larger than {} bytes", kLargestDocument);
    return std::nullopt;
}

Result<api::Element> read_document(const std::string& document) {
    pugi::xml_document parsed;
    const auto status = parsed.load_buffer(document.data(), document.size(), kParseFlags, pugi::encoding_utf8);
    const pugi::xml_node root = parsed.document_element();
    if (!status || !root) return fail("the answer is no XML: {}", status.description());
    return to_element(root);
}

const api::Element* child(const api::Element& element, std::string_view name) {
    for (const api::Element& each : element.children) {
        if (each.name == name) return &each;
    }
    return nullptr;
}

std::string child_text(const api::Element& element, std::string_view name) {
    const api::Element* found = child(element, name);
    return found != nullptr ? found->text : std::string();
}

bool is_ok(const api::Element& result) {
    return result.name == "RESULT" &&
           child_text(result, "RESULTCODE") == fmt::to_string(static_cast<int>(api::ResultCode::API_OK));
}

std::string failure_text(const api::Element& result) {
    return fmt::format("{} ({}): {}", child_text(result, "RESULTTYPE"), child_text(result, "RESULTCODE"),
                       child_text(result, "RESULTMSG"));
}

Result<std::unique_ptr<XmlClient>> XmlClient::connect(const std::string& server) {
    auto connection = TcpConnection::open(server, kConnectLimit);
    if (!connection) return std::unexpected(connection.error());
    return std::unique_ptr<XmlClient>(new XmlClient(std::move(*connection)));
}

void XmlClient::send(std::string requests, bool last) {
    requests_ = std::move(requests);
    connection_->stream().expires_never();
    boost::asio::async_write(connection_->stream(), boost::asio::buffer(requests_),
                             [this, last](boost::system::error_code error, std::size_t) {
                                 send_error_ = error;
                                 boost::system::error_code ignored;  // a broken connection shows when we read
                                 if (last)
                                     connection_->stream().socket().shutdown(
                                         boost::asio::ip::tcp::socket::shutdown_send, ignored);
                             });
}

Result<std::optional<std::string>> XmlClient::read(std::optional<std::chrono::seconds> limit) {
    while (true) {
        auto document = framer_.next();
        if (!document || *document) return document;
        boost::system::error_code error;
        std::size_t bytes = 0;
        bool done = false;
        if (limit) {
            connection_->stream().expires_after(*limit);
        } else {
            connection_->stream().expires_never();
        }
        connection_->stream().async_read_some(boost::asio::buffer(input_),
                                              [&](boost::system::error_code result, std::size_t count) {
                                                  error = result;
                                                  bytes = count;
                                                  done = true;
                                              });
        connection_->run_until(done);
        if (connection_->interrupted()) return std::nullopt;
        if (error == boost::asio::error::eof && framer_.mid_document())
            return fail("{} closed the connection in the middle of an answer", connection_->server());
        if (error == boost::asio::error::eof && send_error_)
            return fail("sending to {} failed: {}", connection_->server(), send_error_.message());
        if (error == boost::asio::error::eof) return std::nullopt;
        if (error == boost::beast::error::timeout)
            return fail("{} did not answer in {} s", connection_->server(), limit->count());
        if (error) return fail("connection to {} broke: {}", connection_->server(), error.message());
        framer_.add({input_.data(), bytes});
    }
}

Result<api::Element> XmlClient::ask(std::string_view type) {
    send(fmt::format("<REQUEST><TYPE>{}</TYPE><REQUESTID>1</REQUESTID></REQUEST>\r\n", type), false);
    auto document = read(kAnswerLimit);
    if (!document) return std::unexpected(document.error());
    if (!*document) return fail("{} closed the connection without an answer", connection_->server());
    auto result = read_document(**document);
    if (result && !is_ok(*result)) return fail("{} answered {}", connection_->server(), failure_text(*result));
    return result;
}

}  // namespace spantape::cli
