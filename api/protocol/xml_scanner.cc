// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_scanner.h"

#include <algorithm>
#include <array>

namespace spantape::api {
namespace {

constexpr bool is_name_start(unsigned char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == ':' || byte >= 0x80;
}
constexpr bool is_name(unsigned char byte) {
    return is_name_start(byte) || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.';
}
constexpr bool is_digit(unsigned char byte) { return byte >= '0' && byte <= '9'; }
constexpr int hex_value(unsigned char byte) {
    if (is_digit(byte)) return byte - '0';
    const char letter = upper(static_cast<char>(byte));
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

// Text bytes that change no state.
constexpr auto kPlainText = [] {
    std::array<bool, 256> plain{};
    for (int byte = 0x20; byte < 0x80; ++byte) plain[static_cast<std::size_t>(byte)] = true;
    plain['\t'] = plain['\r'] = plain['\n'] = true;
    plain['<'] = plain['&'] = plain[']'] = plain['>'] = false;
    return plain;
}();

constexpr std::string_view kCdataStart = "CDATA[";

}  // namespace

void XmlScanner::reset() {
    state_ = State::kBetween;
    reference_ = Reference::kNone;
    utf8_.reset();
    names_.clear();
    starts_.clear();
}

XmlScanner::Event XmlScanner::scan(std::string_view bytes, std::size_t& used) {
    for (used = 0; used < bytes.size();) {
        const auto byte = static_cast<unsigned char>(bytes[used]);
        if (state_ == State::kText && reference_ == Reference::kNone && kPlainText[byte] && !utf8_.inside()) {
            brackets_ = 0;
            ++used;
            continue;
        }
        ++used;
        if (const Event event = step(byte); event != Event::kMore) return event;
    }
    return Event::kMore;
}

XmlScanner::Event XmlScanner::step(unsigned char byte) {
    // Clients in C send the end of their string, too.
    if (byte == 0 && state_ == State::kBetween && starts_.empty()) return Event::kMore;
    const bool byte_order_mark =
        state_ == State::kBetween || state_ == State::kByteOrderMark1 || state_ == State::kByteOrderMark2;
    if (utf8_.inside()) {
        if (!utf8_.take(byte)) return broken("not UTF-8, or a character outside XML 1.0");
        if (state_ != State::kEndName && state_ != State::kStartName) return Event::kMore;  // its first byte counted
    } else if (byte >= 0x80 && !byte_order_mark) {
        if (!utf8_.take(byte)) return broken("not UTF-8");
    } else if (!is_xml_character(byte)) {
        return broken("a control character");
    }
    switch (state_) {
        case State::kStartName:
        case State::kInTag:
        case State::kAttributeName:
        case State::kBeforeEquals:
        case State::kBeforeQuote:
        case State::kAttributeValue:
        case State::kAfterValue:
        case State::kEmptyEnd:
            return step_tag(byte);
        case State::kEndName:
        case State::kAfterEndName:
            return step_end_tag(byte);
        case State::kText:
            return step_text(byte);
        case State::kBetween:
        case State::kByteOrderMark1:
        case State::kByteOrderMark2:
        case State::kOpening:
        case State::kBang:
            return step_markup(byte);
        default:
            return step_aside(byte);
    }
}

XmlScanner::Event XmlScanner::step_markup(unsigned char byte) {
    const bool outside = starts_.empty();
    switch (state_) {
        case State::kBetween:
            if (is_blank(static_cast<char>(byte))) return Event::kMore;
            if (byte == 0xef) return go(State::kByteOrderMark1);
            if (byte != '<') return broken("text outside of a request");
            state_ = State::kOpening;
            return Event::kBegun;
        case State::kByteOrderMark1:
            return byte == 0xbb ? go(State::kByteOrderMark2) : broken("text outside of a request");
        case State::kByteOrderMark2:
            return byte == 0xbf ? go(State::kBetween) : broken("text outside of a request");
        case State::kOpening:
            if (is_name_start(byte)) return begin_name(byte);
            matched_ = 0;
            if (byte == '!') return go(State::kBang);
            if (byte == '?') return go(State::kInstructionTarget);
            if (byte == '/' && !outside) return go(State::kEndName);
            return broken("'<' that starts no element");
        default:  // kBang
            if (byte == '-') return go(State::kCommentOpening);
            if (byte == '[' && !outside) return go(State::kCdataOpening);
            return broken(outside && byte != '[' ? "a document type is not allowed" : "a declaration is not allowed");
    }
}

XmlScanner::Event XmlScanner::step_tag(unsigned char byte) {
    const bool blank = is_blank(static_cast<char>(byte));
    switch (state_) {
        case State::kStartName:
            if (is_name(byte)) {
                names_ += static_cast<char>(byte);
                return Event::kMore;
            }
            if (blank) return end_start_name(State::kInTag);
            if (byte == '/') return end_start_name(State::kEmptyEnd);
            if (byte == '>') return end_start_name(State::kText);
            return broken("a character that no element name has");
        case State::kAfterValue:
        case State::kInTag:
            if (blank) return go(State::kInTag);
            if (byte == '/') return go(State::kEmptyEnd);
            if (byte == '>') return go(State::kText);
            if (state_ == State::kInTag && is_name_start(byte)) return go(State::kAttributeName);
            return broken("a tag is malformed");
        case State::kAttributeName:
        case State::kBeforeEquals:
            if (byte == '=') return go(State::kBeforeQuote);
            if (blank) return go(State::kBeforeEquals);
            if (state_ == State::kAttributeName && is_name(byte)) return Event::kMore;
            return broken("an attribute without value");
        case State::kBeforeQuote:
            if (blank) return Event::kMore;
            if (byte != '"' && byte != '\'') return broken("an attribute value without quotes");
            quote_ = static_cast<char>(byte);
            return go(State::kAttributeValue);
        case State::kAttributeValue:
            if (byte == '<') return broken("'<' in an attribute value");
            if (!reference_allows(byte)) return broken("a reference to a character outside XML 1.0");
            if (static_cast<char>(byte) == quote_) {
                reference_ = Reference::kNone;
                return go(State::kAfterValue);
            }
            return Event::kMore;
        default:  // kEmptyEnd
            return byte == '>' ? close_element() : broken("'/' in a tag");
    }
}

XmlScanner::Event XmlScanner::step_end_tag(unsigned char byte) {
    const std::string_view name = innermost();
    if (matched_ == name.size()) {
        if (byte == '>') return close_element();
        if (is_blank(static_cast<char>(byte))) return go(State::kAfterEndName);
    } else if (state_ == State::kEndName && static_cast<char>(byte) == name[matched_]) {
        ++matched_;
        return Event::kMore;
    }
    return broken("an end tag that does not match its start tag");
}

XmlScanner::Event XmlScanner::step_text(unsigned char byte) {
    if (!reference_allows(byte)) return broken("a reference to a character outside XML 1.0");
    if (byte == '<') {
        reference_ = Reference::kNone;
        brackets_ = 0;
        return go(State::kOpening);
    }
    if (byte == '>' && brackets_ >= 2) return broken("']]>' in text");
    brackets_ = byte == ']' ? brackets_ + 1 : 0;
    return Event::kMore;
}

XmlScanner::Event XmlScanner::step_aside(unsigned char byte) {
    switch (state_) {
        case State::kCommentOpening:
            return byte == '-' ? go(State::kComment) : broken("a malformed comment");
        case State::kComment:
            return byte == '-' ? go(State::kCommentDash) : Event::kMore;
        case State::kCommentDash:
            return go(byte == '-' ? State::kCommentEnd : State::kComment);
        case State::kCommentEnd:
            return byte == '>' ? end_aside() : broken("'--' in a comment");
        case State::kCdataOpening:
            if (static_cast<char>(byte) != kCdataStart[matched_]) return broken("a malformed CDATA section");
            brackets_ = 0;
            return ++matched_ == kCdataStart.size() ? go(State::kCdata) : Event::kMore;
        case State::kCdata:
            if (byte == '>' && brackets_ >= 2) return end_aside();
            brackets_ = byte == ']' ? brackets_ + 1 : 0;
            return Event::kMore;
        case State::kInstructionTarget:
            if (matched_ == 0 ? is_name_start(byte) : is_name(byte)) {
                constexpr std::string_view kReserved = "XML";
                const bool same = matched_ < 3 && upper(static_cast<char>(byte)) == kReserved[matched_];
                matched_ = same ? matched_ + 1 : kReserved.size() + 1;
                return Event::kMore;
            }
            if (matched_ == 0) return broken("a malformed processing instruction");
            // An XML declaration in the middle of a document is the start of the next one, after one that was not
            // finished.
            if (matched_ == 3 && !starts_.empty()) return broken("an XML declaration inside of a request");
            if (byte == '?') return go(State::kInstructionEnd);
            if (is_blank(static_cast<char>(byte))) return go(State::kInstruction);
            return broken("a malformed processing instruction");
        case State::kInstruction:
            return byte == '?' ? go(State::kInstructionEnd) : Event::kMore;
        default:  // kInstructionEnd
            if (byte == '>') return end_aside();
            return go(byte == '?' ? State::kInstructionEnd : State::kInstruction);
    }
}

XmlScanner::Event XmlScanner::go(State state) {
    state_ = state;
    return Event::kMore;
}

XmlScanner::Event XmlScanner::broken(const char* reason) {
    reason_ = reason;
    if (starts_.size() <= 1 && !names_.empty()) root_name_ = names_;  // broken within the root's own tag
    return Event::kBroken;
}

XmlScanner::Event XmlScanner::begin_name(unsigned char byte) {
    if (starts_.size() == kMaxDepth) return broken("elements nested too deeply");
    if (starts_.empty()) root_name_.clear();
    starts_.push_back(names_.size());
    names_ += static_cast<char>(byte);
    return go(State::kStartName);
}

XmlScanner::Event XmlScanner::end_start_name(State next) {
    if (starts_.size() == 1) root_name_ = names_;
    brackets_ = 0;
    return go(next);
}

XmlScanner::Event XmlScanner::close_element() {
    names_.resize(starts_.back());
    starts_.pop_back();
    if (!starts_.empty()) return go(State::kText);
    state_ = State::kBetween;
    return Event::kComplete;
}

XmlScanner::Event XmlScanner::end_aside() {
    brackets_ = 0;
    if (!starts_.empty()) return go(State::kText);
    state_ = State::kBetween;
    return Event::kSkipped;
}

bool XmlScanner::reference_allows(unsigned char byte) {
    const int digit = hex_value(byte);
    switch (reference_) {
        case Reference::kAmpersand:
            if (byte == '#') {
                reference_ = Reference::kHash;
                return true;
            }
            break;
        case Reference::kHash:
            referred_ = 0;
            if (byte == 'x') {
                reference_ = Reference::kHexStart;
                return true;
            }
            [[fallthrough]];
        case Reference::kDecimal:
            if (is_digit(byte)) {
                reference_ = Reference::kDecimal;
                referred_ = std::min<std::uint32_t>(referred_ * 10 + static_cast<std::uint32_t>(digit), 0x110000);
                return true;
            }
            break;
        case Reference::kHexStart:
        case Reference::kHex:
            if (digit >= 0) {
                reference_ = Reference::kHex;
                referred_ = std::min<std::uint32_t>(referred_ * 16 + static_cast<std::uint32_t>(digit), 0x110000);
                return true;
            }
            break;
        case Reference::kNone:
            break;
    }
    const bool numeric = reference_ == Reference::kHex || reference_ == Reference::kDecimal;
    reference_ = byte == '&' ? Reference::kAmpersand : Reference::kNone;
    return !(numeric && byte == ';') || is_xml_character(referred_);
}

std::string_view XmlScanner::innermost() const { return std::string_view(names_).substr(starts_.back()); }

}  // namespace spantape::api
