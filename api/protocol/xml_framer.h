// SPDX-License-Identifier: AGPL-3.0-or-later
// Bytes in, complete request documents out. A document ends where its root element does; blanks, line ends, XML
// declarations and comments between documents are skipped. After bytes that cannot become a well-formed document
// everything is dropped up to the next line that starts a request. Each byte is looked at a bounded number of times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "api/protocol/input_buffer.h"
#include "api/protocol/xml_scanner.h"

namespace spantape::api {

class XmlFramer {
public:
    struct Item {
        enum class Kind {
            kNeedMore,
            kDocument,
            kBroken,    // not well-formed; the framer has gone on to look for the next request
            kTooLarge,  // over the limit; nothing more will come out of this framer
        };
        Kind kind = Kind::kNeedMore;
        std::span<char> document =
            {};                   // kDocument: from the root's '<' to its '>'; may be changed; lives until space()
        const char* reason = "";  // kBroken, kTooLarge
    };

    explicit XmlFramer(std::size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

    std::span<char> space(std::size_t min_bytes) { return input_.space(min_bytes); }
    void filled(std::size_t bytes) { input_.filled(bytes); }

    Item next();

    // A message has begun and is not complete.
    [[nodiscard]] bool mid_message() const { return search_ == Search::kOff && !scanner_.between_documents(); }
    // Rises with every message that begins; tells one incomplete message from the next.
    [[nodiscard]] std::uint64_t messages_begun() const { return messages_begun_; }

private:
    // Looking for the next line that starts a request.
    enum class Search : std::uint8_t { kOff, kRestOfLine, kLineStart, kTag };

    Item scan();
    Item after_broken();
    void search();
    void search_byte(char byte);
    void judge_tag();
    void forget_read();

    static constexpr std::size_t kMaxTagName = 64;

    const std::size_t max_message_bytes_;
    InputBuffer input_;
    std::size_t read_ = 0;  // bytes of input_ that the scanner or the search has seen
    XmlScanner scanner_;
    std::uint64_t messages_begun_ = 0;
    Search search_ = Search::kOff;
    bool inside_broken_ = false;  // what is dropped may still be inside of the broken request
    std::string broken_root_;
    std::string tag_;  // of the line looked at, from behind its '<'
};

}  // namespace spantape::api
