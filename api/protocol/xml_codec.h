// SPDX-License-Identifier: AGPL-3.0-or-later
// Request documents to requests; results and events to documents. A document that we write is one line: nothing but
// its last two bytes, CR LF, is a line end (line ends in values are written as references), so that a client may read
// it by lines as well as by its root element. An empty value is <NAME></NAME>, as in the manual.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/message.h"
#include "api/protocol/request_builder.h"

namespace spantape::api {

// `document`: one element, as XmlFramer gives it; it is changed while it is read. Attributes, and elements inside of
// parameters, are ignored. API_INVALID_MESSAGE_FORMAT when it is no XML after all.
[[nodiscard]] std::expected<Request, Refusal> parse_request(std::span<char> document);

// How results look, by configuration.
struct ResultStyle {
    bool error_word = false;  // RESULTTYPE of a failure is ERROR (manual: Results) instead of the code's label
};

// <NAME>text</NAME>, escaped; for Reply::body_xml.
void append_element(std::string& out, std::string_view name, std::string_view text);

// Who is answered: REQUESTTYPE and REQUESTID are echoed.
struct Asked {
    std::string_view type;
    std::string_view request_id_text;
};

// manual: Results. Appends a RESULT document.
void append_result(std::string& out, const Asked& asked, const Reply& reply, ResultStyle style);
void append_refusal(std::string& out, const Refusal& refusal, ResultStyle style);

// manual: Event Interface. A CALLCOPYEVENT document around the value of EVENTXREF, by which the subscribers differ.
struct EncodedEvent {
    std::string head, tail;
};
[[nodiscard]] EncodedEvent encode_event(const Event& event);
void append_event(std::string& out, const EncodedEvent& event, std::string_view xref);

// Codes that the manual does not call an error.
[[nodiscard]] bool is_success(ResultCode code);

}  // namespace spantape::api
