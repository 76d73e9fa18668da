// SPDX-License-Identifier: AGPL-3.0-or-later
// The framer must give the same messages whatever pieces the bytes come in, unless a message has a body of unknown
// length; each begins with a start line, and memory stays bounded. The byte 0x1e stands for a gap.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "capture/sip/message.h"
#include "capture/sip/start_line.h"
#include "capture/sip/stream_framer.h"
#include "capture/sip/text.h"

namespace {

using namespace spantape;

constexpr std::uint8_t kGap = 0x1e;

struct Framed {
    std::string messages;
    bool open_body = false;  // a Content-Type, and no Content-Length that is usable
};

// True unless the message surely has a length or surely names no type.
bool may_have_open_body(std::string_view message) {
    bool typed = false;
    while (!message.empty()) {
        std::string_view line = sip_text::take_line(message);
        if (line.empty() || line == "\r") break;
        const std::string name = sip_text::to_lower(sip_text::trim(sip_text::take_until(line, ':')));
        typed |= name == "content-type" || name == "c";
        const std::string_view value = sip_text::trim(line);
        const bool number =
            !value.empty() && value.size() <= 5 && value.find_first_not_of("0123456789") == std::string_view::npos;
        if (name == "content-length" && number) return false;
    }
    return typed;
}

Framed frame(std::span<const std::uint8_t> bytes, std::size_t piece_bytes) {
    SipStreamFramer framer;
    Framed framed;
    const auto take = [&](std::span<const std::uint8_t> message) {
        std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
        framed.open_body |= may_have_open_body(text);
        framed.messages.append(text) += '\x1e';
        if (!is_sip_start_line(sip_text::take_line(text))) std::abort();
        const std::string copy(message.begin(), message.end());  // of its own, so that reading past it is noticed
        parse_sip_message({reinterpret_cast<const std::uint8_t*>(copy.data()), copy.size()});
    };
    while (!bytes.empty()) {
        if (bytes.front() == kGap) {
            framer.gap(bytes.size() % 97, take);
            bytes = bytes.subspan(1);
            continue;
        }
        const auto until = static_cast<std::size_t>(std::find(bytes.begin(), bytes.end(), kGap) - bytes.begin());
        const auto piece = bytes.first(std::min(piece_bytes, until));
        framer.bytes(piece, take);
        bytes = bytes.subspan(piece.size());
        if (framer.held_bytes() > 4 * SipStreamFramer::kMaxBodyBytes) std::abort();
    }
    framer.close(take);
    return framed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> bytes(data, size);
    const Framed whole = frame(bytes, size + 1);
    const Framed single = frame(bytes, 1);
    if (!whole.open_body && !single.open_body && whole.messages != single.messages) std::abort();
    return 0;
}
