// SPDX-License-Identifier: AGPL-3.0-or-later
// The byte stream of one direction of a connection -> whole SIP messages (RFC 3261 §7.5, §18.3). Content-Length
// delimits them; where it cannot be trusted, or bytes are missing, the next line that is a start line begins the next
// message. One instance a direction, on the signalling thread; memory bounded by kMaxHeaderBytes + kMaxBodyBytes and
// the largest piece.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spantape {

class SipStreamFramer {
public:
    // Takes one message, start line to the end of the body, as if it were a datagram; the bytes are valid for the call.
    using Take = std::function<void(std::span<const std::uint8_t>)>;

    static constexpr std::size_t kMaxHeaderBytes = 64 << 10;
    static constexpr std::size_t kMaxBodyBytes = 256 << 10;

    // The next bytes of the stream. A message without a usable Content-Length ends with its headers, or, when it names
    // a Content-Type, with the next start line or the piece.
    void bytes(std::span<const std::uint8_t> piece, const Take& take);
    // `lost` bytes are missing here. A message whose headers are whole is given as far as it came, and a hole within
    // its body does not cost the next one.
    void gap(std::uint64_t lost, const Take& take);
    // Nothing more will come. The framer is as new then.
    void close(const Take& take);

    // 0 between messages.
    [[nodiscard]] std::size_t held_bytes() const { return buffer_.empty() ? 0 : buffer_.capacity(); }
    // How often something was skipped that is no SIP, or a message without end was given up; gaps apart.
    [[nodiscard]] std::uint64_t resyncs() const { return resyncs_; }

private:
    enum class State : std::uint8_t {
        between,    // a message may begin here, or keep-alives come
        lost,       // anything may come; a start line ends it
        headers,    // begin_ is the start line
        body,       // body_end_ is known
        open_body,  // nobody knows where the body ends
    };

    bool step(const Take& take);
    bool take_body(const Take& take);
    bool take_line(const Take& take);
    [[nodiscard]] bool too_long(std::size_t end) const;
    bool bound_line();
    void on_line(std::string_view line, std::size_t line_begin, const Take& take);
    void begin_message(std::size_t line_begin);
    void read_header(std::string_view line);
    void on_headers_end();
    void give(std::size_t end, const Take& take);
    void lose();
    void forget_consumed();

    std::string buffer_;
    std::size_t begin_ = 0;  // of the message, or of the line when there is none; what is before was consumed
    std::size_t line_ = 0;   // of the line that is being read
    std::size_t scan_ = 0;   // line_..scan_ has no LF
    std::size_t body_end_ = 0;
    std::uint64_t skip_bytes_ = 0;  // rest of a body that was given without it
    std::optional<std::uint32_t> length_;
    State state_ = State::lost;
    bool content_type_seen_ = false;
    bool length_follows_ = false;  // Content-Length whose value stands on the next line
    bool cut_line_ = false;        // the beginning of this line was thrown away: it is no start line
    std::uint64_t resyncs_ = 0;
};

}  // namespace spantape
