// SPDX-License-Identifier: AGPL-3.0-or-later
// A client of the XML API (manual: Message Structure, Results, Event Interface): sends requests, takes the stream of
// answers and events apart into documents, and reads them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/message.h"
#include "api/protocol/xml_scanner.h"
#include "capture/base/result.h"
#include "tools/cli/tcp_connection.h"

namespace spantape::cli {

// Bytes in, complete documents out.
class AnswerFramer {
public:
    void add(std::string_view bytes) { bytes_ += bytes; }
    // The next document, nullopt when more bytes are needed. An error: the bytes are no XML.
    Result<std::optional<std::string>> next();
    [[nodiscard]] bool mid_document() const { return !scanner_.between_documents(); }

private:
    api::XmlScanner scanner_;
    std::string bytes_;
    std::size_t begin_ = 0;  // of the document under way
    std::size_t read_ = 0;   // by the scanner
};

// A document, as framed by AnswerFramer, to its root element.
Result<api::Element> read_document(const std::string& document);
// The first child of that name, or nullptr; its text, or "".
[[nodiscard]] const api::Element* child(const api::Element& element, std::string_view name);
[[nodiscard]] std::string child_text(const api::Element& element, std::string_view name);

// What a RESULT says.
[[nodiscard]] bool is_ok(const api::Element& result);
[[nodiscard]] std::string failure_text(const api::Element& result);  // "API_FILE_NOT_FOUND (41): no such recording"

class XmlClient {
public:
    static constexpr std::chrono::seconds kAnswerLimit{30};

    // An error names the server and the reason.
    static Result<std::unique_ptr<XmlClient>> connect(const std::string& server);

    // Sends while answers are read; `last`: no request follows, so our half of the connection is closed. Once only.
    void send(std::string requests, bool last);
    // The next document; nullopt when the server closed the connection, or a signal came. No limit: nullopt.
    Result<std::optional<std::string>> read(std::optional<std::chrono::seconds> limit);
    // One request without parameters and its RESULT; an answer whose code is not API_OK is an error.
    Result<api::Element> ask(std::string_view type);

    [[nodiscard]] TcpConnection& connection() { return *connection_; }

private:
    explicit XmlClient(std::unique_ptr<TcpConnection> connection) : connection_(std::move(connection)) {}

    std::string requests_;  // being sent: outlives the connection that sends them
    boost::system::error_code send_error_;
    std::vector<char> input_ = std::vector<char>(64u << 10);
    AnswerFramer framer_;
    std::unique_ptr<TcpConnection> connection_;
};

}  // namespace spantape::cli
