// SPDX-License-Identifier: AGPL-3.0-or-later
// Reads XML byte by byte and says where a document begins and ends, or that the bytes so far cannot become a
// well-formed one (XML 1.0 without DTD). Keeps no bytes but the names of the open elements. Lenient as the API is: a
// bare & is text, and so is a reference to an entity that XML itself does not define.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/xml_text.h"

namespace spantape::api {

class XmlScanner {
public:
    enum class Event {
        kMore,      // all bytes read; nothing happened
        kBegun,     // the last byte read is the '<' with which a document, or something before it, begins
        kSkipped,   // the last byte read ends a declaration, instruction or comment before the document
        kComplete,  // the last byte read ends the root element
        kBroken,    // the last byte read cannot be there; reset() before reading on
    };

    // Reads up to the next event; `used` bytes were read.
    Event scan(std::string_view bytes, std::size_t& used);
    void reset();

    [[nodiscard]] const char* reason() const { return reason_; }             // after kBroken
    [[nodiscard]] std::string_view root_name() const { return root_name_; }  // of the document last begun
    [[nodiscard]] bool between_documents() const { return state_ == State::kBetween; }
    [[nodiscard]] bool inside_root() const { return !starts_.empty(); }

private:
    enum class State : std::uint8_t {
        kBetween,
        kByteOrderMark1,
        kByteOrderMark2,
        kOpening,  // after '<'
        kStartName,
        kInTag,
        kAttributeName,
        kBeforeEquals,
        kBeforeQuote,
        kAttributeValue,
        kAfterValue,
        kEmptyEnd,
        kEndName,
        kAfterEndName,
        kText,
        kBang,
        kCommentOpening,
        kComment,
        kCommentDash,
        kCommentEnd,
        kCdataOpening,
        kCdata,
        kInstructionTarget,
        kInstruction,
        kInstructionEnd,
    };
    enum class Reference : std::uint8_t { kNone, kAmpersand, kHash, kHexStart, kHex, kDecimal };

    Event step(unsigned char byte);
    Event step_markup(unsigned char byte);
    Event step_tag(unsigned char byte);
    Event step_end_tag(unsigned char byte);
    Event step_text(unsigned char byte);
    Event step_aside(unsigned char byte);  // comments, CDATA sections, processing instructions

    Event go(State state);
    Event broken(const char* reason);
    Event begin_name(unsigned char byte);
    Event end_start_name(State next);
    Event close_element();
    Event end_aside();
    bool reference_allows(unsigned char byte);
    [[nodiscard]] std::string_view innermost() const;

    static constexpr std::size_t kMaxDepth = 32;

    State state_ = State::kBetween;
    Reference reference_ = Reference::kNone;
    char quote_ = 0;
    int brackets_ = 0;            // ']' seen in a row
    std::size_t matched_ = 0;     // bytes of an end tag's name, of "CDATA[" or of "xml" that were matched
    std::uint32_t referred_ = 0;  // the number in a character reference
    Utf8Checker utf8_;
    std::string names_;                // of the open elements, one behind the other
    std::vector<std::size_t> starts_;  // where each begins in names_
    std::string root_name_;
    const char* reason_ = "";
};

}  // namespace spantape::api
