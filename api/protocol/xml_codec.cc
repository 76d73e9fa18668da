// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_codec.h"

#include <charconv>

#include <pugixml.hpp>

#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

constexpr unsigned kParseFlags =
    pugi::parse_escapes | pugi::parse_cdata | pugi::parse_eol | pugi::parse_ws_pcdata;  // never DTDs or entities

// The element's own text; a comment or a CDATA section may divide it.
void append_text(std::string& out, pugi::xml_node element) {
    for (const pugi::xml_node& part : element.children()) {
        if (part.type() == pugi::node_pcdata || part.type() == pugi::node_cdata) out += part.value();
    }
}

// Depth is ours: bodies are built by the functions, never from what a client sent.
void append_elements(std::string& out, const std::vector<Element>& elements) {
    for (const Element& element : elements) {
        if (element.children.empty()) {
            append_element(out, element.name, element.text);
            continue;
        }
        out += '<';
        out += element.name;
        out += '>';
        append_elements(out, element.children);
        out += "</";
        out += element.name;
        out += '>';
    }
}

void append_head(std::string& out, const Asked& asked, ResultCode code, std::string_view message, ResultStyle style) {
    const std::string_view label = label_of(code);
    char digits[12];
    const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<int>(code)).ptr;
    out += "<RESULT>";
    append_element(out, "REQUESTTYPE", asked.type);
    append_element(out, "REQUESTID", asked.request_id_text);
    append_element(out, "RESULTTYPE", style.error_word && !is_success(code) ? "ERROR" : label);
    append_element(out, "RESULTCODE", {digits, static_cast<std::size_t>(end - digits)});
    append_element(out, "RESULTMSG", message.empty() ? label : message);
}

}  // namespace

void append_element(std::string& out, std::string_view name, std::string_view text) {
    out += '<';
    out += name;
    out += '>';
    append_escaped(out, text);
    out += "</";
    out += name;
    out += '>';
}

std::expected<Request, Refusal> parse_request(std::span<char> document) {
    pugi::xml_document parsed;
    const auto status = parsed.load_buffer_inplace(document.data(), document.size(), kParseFlags, pugi::encoding_utf8);
    const pugi::xml_node root = parsed.document_element();
    if (!status || !root) {
        return std::unexpected(Refusal{ResultCode::API_INVALID_MESSAGE_FORMAT, "not well-formed", "", ""});
    }
    RequestBuilder builder(root.name());
    std::string text;
    for (const pugi::xml_node& parameter : root.children()) {
        if (parameter.type() != pugi::node_element) continue;
        text.clear();
        append_text(text, parameter);
        builder.add(parameter.name(), text);
    }
    return builder.finish();
}

void append_result(std::string& out, const Asked& asked, const Reply& reply, ResultStyle style) {
    append_head(out, asked, reply.code, reply.message, style);
    append_elements(out, reply.body);
    out += reply.body_xml;
    out += "</RESULT>\r\n";
}

void append_refusal(std::string& out, const Refusal& refusal, ResultStyle style) {
    append_head(out, {refusal.type, refusal.request_id_text}, refusal.code, refusal.message, style);
    out += "</RESULT>\r\n";
}

EncodedEvent encode_event(const Event& event) {
    EncodedEvent encoded;
    encoded.head = "<CALLCOPYEVENT>";
    append_element(encoded.head, "EVENTCLASS", event.event_class);
    append_element(encoded.head, "EVENTTYPE", event.type);
    append_element(encoded.head, "MODULE", event.module);
    encoded.head += "<EVENTXREF>";
    encoded.tail = "</EVENTXREF><EVENTDATA>";
    append_elements(encoded.tail, event.data);
    encoded.tail += "</EVENTDATA></CALLCOPYEVENT>\r\n";
    return encoded;
}

void append_event(std::string& out, const EncodedEvent& event, std::string_view xref) {
    out += event.head;
    append_escaped(out, xref);
    out += event.tail;
}

bool is_success(ResultCode code) {
    switch (code) {
        case ResultCode::API_OK:
        case ResultCode::API_RECORDING_STARTED:
        case ResultCode::API_RECORDING_STOPPED:
        case ResultCode::API_RECORDING_UPDATED:
        case ResultCode::API_STREAMING_STARTED:
            return true;
        default:
            return false;
    }
}

}  // namespace spantape::api
