// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/web_client.h"

#include <array>
#include <optional>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "api/protocol/url_codec.h"
#include "api/protocol/xml_text.h"
#include "storage/export/media_format.h"
#include "tools/cli/tcp_connection.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {
namespace {

namespace http = boost::beast::http;

constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::chrono::seconds kPieceLimit{60};
constexpr std::size_t kPieceBytes = 64u << 10;
constexpr std::size_t kLargestAnswer = 1u << 20;  // of a RESULT document, or of an HTTP fault's text

// One exchange: the header first, then the body piece by piece.
class WebExchange {
public:
    explicit WebExchange(TcpConnection& connection) : connection_(connection) { parser_.body_limit(boost::none); }

    Result<> ask(const std::string& target) {
        http::request<http::empty_body> request(http::verb::get, target, 11);
        request.set(http::field::host, connection_.server());
        request.set(http::field::user_agent, "spantape/" SPANTAPE_VERSION);
        request.set(http::field::connection, "close");
        auto sent = wait([&](auto done) { http::async_write(connection_.stream(), request, done); });
        if (!sent) return sent;
        return wait([&](auto done) { http::async_read_header(connection_.stream(), buffer_, parser_, done); });
    }

    // The next bytes of the body; empty at its end.
    Result<std::span<const char>> piece() {
        while (!parser_.is_done()) {
            parser_.get().body().data = piece_.data();
            parser_.get().body().size = piece_.size();
            auto got = wait([&](auto done) { http::async_read_some(connection_.stream(), buffer_, parser_, done); });
            if (!got) return std::unexpected(got.error());
            const std::size_t bytes = piece_.size() - parser_.get().body().size;
            if (bytes != 0) return std::span<const char>(piece_.data(), bytes);
        }
        return std::span<const char>{};
    }

    [[nodiscard]] int status() const { return static_cast<int>(parser_.get().result_int()); }
    [[nodiscard]] std::string field(http::field name) const { return std::string(parser_.get()[name]); }
    [[nodiscard]] std::uint64_t length() const { return parser_.content_length().value_or(0); }

private:
    template <class Start>
    Result<> wait(Start start) {
        boost::system::error_code error;
        bool done = false;
        connection_.stream().expires_after(kPieceLimit);
        start([&](boost::system::error_code result, std::size_t) {
            error = result;
            done = true;
        });
        connection_.run_until(done);
        if (error == http::error::need_buffer) return {};  // the piece is full
        if (error == http::error::end_of_stream || error == http::error::partial_message)
            return fail("{} closed the connection before the answer was complete", connection_.server());
        if (error == boost::beast::error::timeout)
            return fail("{} did not answer in {} s", connection_.server(), kPieceLimit.count());
        if (error) return fail("connection to {} broke: {}", connection_.server(), error.message());
        return {};
    }

    TcpConnection& connection_;
    boost::beast::flat_buffer buffer_;
    http::response_parser<http::buffer_body> parser_;
    std::array<char, kPieceBytes> piece_{};
};

Result<std::string> whole_body(WebExchange& exchange) {
    std::string body;
    while (true) {
        auto piece = exchange.piece();
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) return body;
        if (body.size() + piece->size() > kLargestAnswer) return fail("the answer is too large for an error");
        body.append(piece->begin(), piece->end());
    }
}

// What an answer that is no audio says.
Result<std::string> refusal(WebExchange& exchange, const std::string& server) {
    const auto body = whole_body(exchange);
    if (!body) return std::unexpected(body.error());
    if (exchange.status() != 200)
        return fail("{} answered HTTP {}: {}", server, exchange.status(), api::trimmed(*body));
    const auto result = read_document(*body);
    if (!result) return fail("{} answered neither audio nor a result: {}", server, result.error().message);
    return fail("{}", failure_text(*result));
}

// One parameter of a field such as: attachment; filename="a \"b\".wav"; filename*=UTF-8''a.wav
std::optional<std::string> field_parameter(std::string_view field, std::string_view wanted) {
    std::size_t at = field.find(';');
    while (at < field.size()) {
        const std::size_t equals = field.find('=', ++at);
        if (equals == std::string_view::npos) return std::nullopt;
        const std::string_view name = api::trimmed(field.substr(at, equals - at));
        std::string value;
        at = equals + 1;
        const bool is_quoted = at < field.size() && field[at] == '"';
        if (is_quoted) {
            for (++at; at < field.size() && field[at] != '"'; ++at) {
                if (field[at] == '\\' && at + 1 < field.size()) ++at;
                value += field[at];
            }
        }
        const std::size_t end = std::min(field.find(';', at), field.size());
        if (!is_quoted) value = api::trimmed(field.substr(at, end - at));
        if (api::equal_ignoring_case(name, wanted)) return value;
        at = end;
    }
    return std::nullopt;
}

}  // namespace

std::string disposition_name(std::string_view field) {
    constexpr std::string_view kUtf8 = "UTF-8''";
    if (const auto extended = field_parameter(field, "filename*");
        extended && api::equal_ignoring_case(extended->substr(0, kUtf8.size()), kUtf8)) {
        const auto decoded = api::split_target(std::string_view(*extended).substr(kUtf8.size()));
        if (decoded && !decoded->path.empty()) return decoded->path;
    }
    return field_parameter(field, "filename").value_or("");
}

namespace {

// `name`: of the file, from the one that the answer tells.
Result<std::string> download(const std::string& server, const std::string& target, OutputDirectory& directory,
                             const std::function<std::string(const std::string& told)>& name,
                             const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    auto connection = TcpConnection::open(server, kConnectLimit);
    if (!connection) return std::unexpected(connection.error());
    WebExchange exchange(**connection);
    if (auto asked = exchange.ask(target); !asked) return std::unexpected(asked.error());
    const std::string type = exchange.field(http::field::content_type);
    if (exchange.status() != 200 || type.starts_with("text/")) return refusal(exchange, server);

    const std::string told = disposition_name(exchange.field(http::field::content_disposition));
    auto file = OutputFile::create(directory, directory.choose(name(told)));
    if (!file) return std::unexpected(file.error());
    for (std::uint64_t bytes = 0;;) {
        auto piece = exchange.piece();
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) break;
        if (auto written = (*file)->write(*piece); !written) return std::unexpected(written.error());
        bytes += piece->size();
        progress(bytes, exchange.length());
    }
    return (*file)->keep();
}

}  // namespace

Result<std::string> download_recording(const std::string& server, std::string_view ident, std::string_view format,
                                       OutputDirectory& directory,
                                       const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const auto kind = media_format(format);
    const std::string ending = fmt::format(".{}", kind ? media_kind(*kind).suffix : format);
    return download(
        server,
        fmt::format("/webAPI.aspx?type=EXPORT&REQUESTID=1&UNIQUEFIELD=ident&UNIQUEID={}&MEDIA_FORMAT={}", ident,
                    format),
        directory, [&](const std::string& told) { return file_name_from(told, ending, ident); }, progress);
}

Result<std::string> download_picture(const std::string& server, std::string_view ident, OutputDirectory& directory,
                                     const std::string& name) {
    return download(
        server, fmt::format("/waveform?UNIQUEFIELD=ident&UNIQUEID={}", ident), directory,
        [&](const std::string&) { return name; }, [](std::uint64_t, std::uint64_t) {});
}

}  // namespace spantape::cli
