// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/stream_framer.h"

#include <algorithm>
#include <utility>

#include "capture/sip/start_line.h"
#include "capture/sip/text.h"

namespace spantape {

namespace {

constexpr std::size_t kMaxLineBytes = 8 << 10;  // of what is no message

bool is_named(std::string_view name, std::string_view full, char compact) {
    return sip_text::equal_ignoring_case(name, full) || (name.size() == 1 && (name.front() | 0x20) == compact);
}

// Digits and nothing else, and no more than is believed.
std::optional<std::uint32_t> content_length(std::string_view value) {
    const bool digits =
        !value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return std::nullopt;
    const auto length = sip_text::leading_number<std::uint32_t>(value);
    return length && *length <= SipStreamFramer::kMaxBodyBytes ? length : std::nullopt;
}

}  // namespace

void SipStreamFramer::bytes(std::span<const std::uint8_t> piece, const Take& take) {
    const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(skip_bytes_, piece.size()));
    skip_bytes_ -= skipped;
    piece = piece.subspan(skipped);
    buffer_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    while (step(take)) {
    }
    if (state_ == State::open_body) {
        give(buffer_.size(), take);
        state_ = State::lost;
    }
    forget_consumed();
}

void SipStreamFramer::gap(std::uint64_t lost, const Take& take) {
    if (lost == 0) return;
    std::uint64_t rest = skip_bytes_;
    if (state_ == State::body) {
        rest = body_end_ - buffer_.size();
        give(buffer_.size(), take);
        state_ = State::between;
    }
    skip_bytes_ = rest - std::min(rest, lost);
    if (lost > rest) state_ = State::lost;  // beyond the body of one message nothing is known
    begin_ = line_ = scan_ = buffer_.size();
    cut_line_ = false;
    forget_consumed();
}

void SipStreamFramer::close(const Take& take) {
    if (state_ == State::body) give(buffer_.size(), take);
    const std::uint64_t resyncs = resyncs_;
    *this = SipStreamFramer();
    resyncs_ = resyncs;
}

// True when there may be more to do.
bool SipStreamFramer::step(const Take& take) { return state_ == State::body ? take_body(take) : take_line(take); }

bool SipStreamFramer::take_body(const Take& take) {
    if (buffer_.size() < body_end_) return false;
    give(body_end_, take);
    state_ = State::between;
    return true;
}

bool SipStreamFramer::take_line(const Take& take) {
    const std::size_t end = buffer_.find('\n', scan_);
    if (end == std::string::npos) {
        scan_ = buffer_.size();
        return bound_line();
    }
    const std::size_t line_begin = line_;
    line_ = scan_ = end + 1;
    if (too_long(line_)) {
        lose();
        begin_ = line_;
        cut_line_ = false;
        return true;
    }
    std::string_view line = std::string_view(buffer_).substr(line_begin, end - line_begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    on_line(line, line_begin, take);
    return true;
}

// Garbage, or headers that are none. A body is bounded by its length or by the piece.
bool SipStreamFramer::too_long(std::size_t end) const {
    return state_ != State::open_body && end - begin_ > (state_ == State::headers ? kMaxHeaderBytes : kMaxLineBytes);
}

bool SipStreamFramer::bound_line() {
    if (!too_long(buffer_.size())) return false;
    lose();
    begin_ = line_ = scan_ = buffer_.size();
    cut_line_ = true;
    return false;
}

void SipStreamFramer::on_line(std::string_view line, std::size_t line_begin, const Take& take) {
    const bool cut = std::exchange(cut_line_, false);
    const bool starts = !cut && is_sip_start_line(line);
    switch (state_) {
        case State::headers:
            if (!starts) return line.empty() ? on_headers_end() : read_header(line);
            ++resyncs_;  // the message before it had no end
            return begin_message(line_begin);
        case State::open_body:
            if (!starts) return;
            give(line_begin, take);
            return begin_message(line_begin);
        case State::between:
        case State::lost:
            if (starts) return begin_message(line_begin);
            begin_ = line_;
            if (!line.empty()) lose();
            if (const std::size_t at = find_sip_start_line(line); !cut && at != std::string_view::npos)
                begin_message(line_begin + at);
            return;
        case State::body:
            return;  // not read by lines
    }
}

void SipStreamFramer::begin_message(std::size_t line_begin) {
    begin_ = line_begin;
    line_ = scan_ = buffer_.find('\n', line_begin) + 1;
    length_.reset();
    content_type_seen_ = length_follows_ = false;
    state_ = State::headers;
}

void SipStreamFramer::read_header(std::string_view line) {
    const bool folded = line.front() == ' ' || line.front() == '\t';  // RFC 3261 §7.3.1
    bool is_length = folded && length_follows_;
    if (!folded) {
        const std::string_view name = sip_text::trim(sip_text::take_until(line, ':'));
        is_length = is_named(name, "content-length", 'l');
        content_type_seen_ |= is_named(name, "content-type", 'c');
    }
    line = sip_text::trim(line);
    if (is_length && !length_) length_ = content_length(line);
    length_follows_ = is_length && line.empty();
}

void SipStreamFramer::on_headers_end() {
    body_end_ = line_ + length_.value_or(0);
    state_ = length_ || !content_type_seen_ ? State::body : State::open_body;
}

// The message, begin_ to `end`.
void SipStreamFramer::give(std::size_t end, const Take& take) {
    take({reinterpret_cast<const std::uint8_t*>(buffer_.data()) + begin_, end - begin_});
    begin_ = line_ = scan_ = end;
}

void SipStreamFramer::lose() {
    if (state_ != State::lost) ++resyncs_;
    state_ = State::lost;
}

void SipStreamFramer::forget_consumed() {
    buffer_.erase(0, begin_);
    line_ -= begin_;
    scan_ -= begin_;
    body_end_ -= std::min(body_end_, begin_);
    begin_ = 0;
    if (buffer_.empty()) std::string().swap(buffer_);
}

}  // namespace spantape
