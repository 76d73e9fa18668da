// SPDX-License-Identifier: AGPL-3.0-or-later
// Builds SIP messages and SDP as text for the tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/address.h"

namespace spantape::sip_test {

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline Endpoint at(std::string_view ip, std::uint16_t port = 5060) { return {*IpAddress::parse(ip), port}; }

// SDP with one audio stream; `more` are further lines of the media section.
inline std::string sdp(std::string_view ip, int port, std::string_view payloads = "0", std::string_view more = "") {
    const std::string family = ip.find(':') == std::string_view::npos ? "IP4 " : "IP6 ";
    const std::string address = family + std::string(ip);
    return "v=0\r\no=- 1 1 IN " + address + "\r\ns=-\r\nc=IN " + address + "\r\nt=0 0\r\nm=audio " +
           std::to_string(port) + " RTP/AVP " + std::string(payloads) + "\r\n" + std::string(more);
}

// A message as of a dialog between alice (caller) and bob; any field can be changed before text() is taken.
struct MessageText {
    std::string start_line;
    std::string call_id = "call-1@example.com";
    std::string cseq = "1 INVITE";
    std::string from = "\"Alice\" <sip:alice@example.com>;tag=a";
    std::string to = "<sip:bob@example.com>";
    std::string via = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1";
    std::vector<std::string> headers;
    std::string content_type = "application/sdp";
    std::string body;

    [[nodiscard]] std::string text() const {
        std::string text = start_line + "\r\nVia: " + via + "\r\nFrom: " + from + "\r\nTo: " + to +
                           "\r\nCall-ID: " + call_id + "\r\nCSeq: " + cseq + "\r\n";
        for (const std::string& header : headers) text += header + "\r\n";
        if (!body.empty()) text += "Content-Type: " + content_type + "\r\n";
        return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
};

}  // namespace spantape::sip_test
