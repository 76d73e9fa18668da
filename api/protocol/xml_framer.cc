// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_framer.h"

#include <algorithm>

#include "api/protocol/aliases.h"
#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

bool is_line_end(char byte) { return byte == '\r' || byte == '\n' || byte == '\0'; }

bool starts_name(char byte) {
    const char letter = upper(byte);
    return (letter >= 'A' && letter <= 'Z') || byte == '_' || byte == ':' || static_cast<unsigned char>(byte) >= 0x80;
}

bool ends_name(char byte) { return is_blank(byte) || byte == '>' || byte == '/' || byte == '<'; }

}  // namespace

XmlFramer::Item XmlFramer::next() {
    while (true) {
        if (search_ != Search::kOff) search();
        if (search_ != Search::kOff || read_ == input_.view().size()) return {};
        if (const Item item = scan(); item.kind != Item::Kind::kNeedMore) return item;
    }
}

XmlFramer::Item XmlFramer::scan() {
    const std::size_t limit = std::min(input_.view().size(), max_message_bytes_);
    std::size_t used = 0;
    const auto event = scanner_.scan(input_.view().substr(read_, limit - read_), used);
    read_ += used;
    switch (event) {
        case XmlScanner::Event::kBegun:
            --read_;
            forget_read();
            read_ = 1;
            ++messages_begun_;
            return {};
        case XmlScanner::Event::kSkipped:
            forget_read();
            return {};
        case XmlScanner::Event::kComplete: {
            const auto document = input_.bytes().first(read_);
            forget_read();
            return {Item::Kind::kDocument, document, ""};
        }
        case XmlScanner::Event::kBroken:
            return after_broken();
        case XmlScanner::Event::kMore:
            break;
    }
    if (scanner_.between_documents()) {
        forget_read();
    } else if (read_ == max_message_bytes_) {
        return {Item::Kind::kTooLarge, {}, "a message over the size limit"};
    }
    return {};
}

XmlFramer::Item XmlFramer::after_broken() {
    const std::string_view seen = input_.view().substr(0, read_);
    const char offender = seen.back();
    const auto before = std::find_if_not(seen.rbegin() + 1, seen.rend(), [](char c) { return c == ' ' || c == '\t'; });
    const bool at_line_start = before != seen.rend() && is_line_end(*before);
    inside_broken_ = scanner_.inside_root();
    broken_root_ = scanner_.root_name();
    scanner_.reset();
    search_ = Search::kRestOfLine;
    if (is_line_end(offender)) search_ = Search::kLineStart;
    if (offender == '<' && at_line_start) {  // this line may itself be the next that starts a request
        --read_;
        search_ = Search::kLineStart;
    }
    forget_read();
    return {Item::Kind::kBroken, {}, scanner_.reason()};
}

void XmlFramer::search() {
    while (search_ != Search::kOff && read_ < input_.view().size()) search_byte(input_.view()[read_]);
    // A line that may start a request stays in the buffer from its '<' on.
    if (search_ != Search::kTag && search_ != Search::kOff) forget_read();
}

void XmlFramer::search_byte(char byte) {
    switch (search_) {
        case Search::kRestOfLine:
            if (is_line_end(byte)) search_ = Search::kLineStart;
            ++read_;
            return;
        case Search::kLineStart:
            if (byte == '<') {
                forget_read();
                tag_.clear();
                search_ = Search::kTag;
            } else if (!is_blank(byte) && byte != 0) {
                search_ = Search::kRestOfLine;
            }
            ++read_;
            return;
        default:  // kTag
            if (ends_name(byte) && !(byte == '/' && tag_.empty())) return judge_tag();
            tag_ += byte;
            ++read_;
            if (tag_.size() == kMaxTagName) judge_tag();
    }
}

// The name of the line's first tag is known; read_ is behind it.
void XmlFramer::judge_tag() {
    const bool starts_element = !tag_.empty() && starts_name(tag_.front());
    const bool starts_request = equal_ignoring_case(tag_, "?xml") || is_request_root(tag_) ||
                                (starts_element && (!inside_broken_ || tag_ == broken_root_));
    if (tag_.starts_with('/') && std::string_view(tag_).substr(1) == broken_root_) inside_broken_ = false;
    if (starts_request) {
        search_ = Search::kOff;
        read_ = 0;  // the scanner reads the line from its '<' on
    } else {
        search_ = Search::kRestOfLine;
    }
}

void XmlFramer::forget_read() {
    input_.consume(read_);
    read_ = 0;
}

}  // namespace spantape::api
