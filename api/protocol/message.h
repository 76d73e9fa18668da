// SPDX-License-Identifier: AGPL-3.0-or-later
// Requests and replies between the protocol servers and the functions; knows neither XML nor HTTP.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/result.h"

namespace spantape::api {

// manual: Result Codes/Result Types
enum class ResultCode : int {
#define RESULT_CODE(number, name) name = number,
#include "api/protocol/result_codes.def"
#undef RESULT_CODE
};
[[nodiscard]] std::string_view label_of(ResultCode code);  // "API_OK"; 16 and 17 share API_INVALID_MESSAGE_FORMAT

struct Request {
    std::string type;             // upper case, aliases resolved ("COMBINEDEXPORT")
    std::string request_id_text;  // as sent
    std::int32_t request_id = 0;  // checked by the codec: 0 … 2147483647
    // Parameters in the order sent; names upper case, aliases resolved; values trimmed, UTF-8. A tag sent empty is
    // present with "" (clears the field in updates).
    std::vector<std::pair<std::string, std::string>> parameters;

    // Last value of the parameter; nullopt when absent. `text` treats empty as absent.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] std::string_view text(std::string_view name) const;

    // Asked for by a path of its own: who asks is a browser or a player, and is refused by a status of HTTP.
    bool is_resource = false;
    // Upper case, but spelled as the client did ("ADDDGROUP"): REQUESTTYPE of the answer.
    std::string type_sent;
};

// An element of a result or event document.
struct Element {
    std::string name;
    std::string text;  // used when there are no children
    std::vector<Element> children;
};

// Audio (or another file) as an answer: WebAPI EXPORT. `read` is called on the exporter pool, never concurrently.
struct FileAnswer {
    std::string content_type;                   // "audio/wav"
    std::string name;                           // for Content-Disposition
    std::optional<std::uint64_t> bytes;         // exact length, where it is known
    std::function<Result<std::string>()> read;  // next piece; empty at the end
};

// A page of text that is no answer of the API.
struct TextPage {
    std::string content_type;
    std::string text;
};

struct Event;

// An answer that goes on while something happens, over the WebAPI. `next` is called every kLiveTick on the control
// thread; nullopt ends it.
struct LiveAnswer {
    std::string content_type;
    std::function<std::optional<std::string>()> next;
};
inline constexpr std::chrono::milliseconds kLiveTick{20};

struct Reply {
    ResultCode code = ResultCode::API_OK;
    std::string message;  // RESULTMSG; the code's label when empty
    std::vector<Element> body;
    std::string body_xml;                   // behind it: a long list, which append_element() wrote on the pool
    std::size_t found = 0;                  // recordings in it: for the audit log
    std::optional<FileAnswer> file;         // instead of a RESULT, over the WebAPI
    std::optional<LiveAnswer> live;         // likewise
    std::vector<std::uint64_t> recordings;  // given out or changed: for the audit log, not for the client
    // EVENTS accepted: the connection becomes (also) a subscriber of this.
    struct Subscription {
        std::string event_class;                         // ALL, CALL, RECORD
        std::string device_id;                           // "" = all
        std::function<bool(const Event&)> visible = {};  // to this subscriber; empty: all are
    };
    std::optional<Subscription> subscription;
    int http_status = 0;  // not 0: over the WebAPI this fault of HTTP with the message, instead of a RESULT
};

// Who asks.
struct Client {
    std::string address;                // "127.0.0.1:50312"
    bool web = false;                   // over the WebAPI
    std::string listener;               // "xml", "events", "webapi", "tls", "xml_tls"
    std::string authorization = {};     // of the HTTP request's header
    std::string certificate_name = {};  // common name of the TLS client's certificate, which was proven
};

// The functions, behind one door. Called on the control thread; `done` is called exactly once, on the control thread,
// now or later. The server keeps answers of one connection in order.
class RequestHandler {
public:
    virtual ~RequestHandler() = default;
    virtual void handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) = 0;
    // May the client see the pages beside the API? Calls back with a reply whose http_status is 0 when he may.
    virtual void admit_to_pages(const Client& /*client*/, std::function<void(Reply&&)> done) { done({}); }
};

// One event, ready to be written; EVENTXREF differs by subscriber and is filled in by the server.
struct Event {
    std::string event_class;  // CALL or RECORD
    std::string type;         // CALLSTART, RECORDINGSTARTED, …
    std::string module;       // "Api" or ""
    std::string device_id;
    std::vector<Element> data;  // EVENTDATA's children, in the manual's order
    std::int32_t agent_id = 0;  // whose call it is; 0: not known
};

}  // namespace spantape::api
