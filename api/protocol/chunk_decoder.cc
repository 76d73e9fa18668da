// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/chunk_decoder.h"

#include <algorithm>

#include "api/protocol/xml_text.h"

namespace spantape::api {

ChunkDecoder::Status ChunkDecoder::feed(std::string_view bytes, std::size_t& used, std::string& body) {
    for (used = 0; used < bytes.size();) {
        if (state_ == State::kData) {
            const auto count = std::min<std::uint64_t>(chunk_bytes_, bytes.size() - used);
            body += bytes.substr(used, count);
            used += count;
            chunk_bytes_ -= count;
            if (chunk_bytes_ == 0) state_ = State::kDataReturn;
            continue;
        }
        if (++overhead_bytes_ > kMaxOverheadBytes) return Status::kTooLarge;
        if (const Status status = step(bytes[used++]); status != Status::kMore) return status;
    }
    return Status::kMore;
}

ChunkDecoder::Status ChunkDecoder::step(char byte) {
    switch (state_) {
        case State::kFirstDigit:
            chunk_bytes_ = 0;
            state_ = State::kSize;
            return take_digit(byte);
        case State::kSize:
            if (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t') return take_digit(byte);
            state_ = byte == '\r' ? State::kSizeEnd : State::kExtension;
            return Status::kMore;
        case State::kExtension:
            if (byte == '\n') return Status::kMalformed;
            if (byte == '\r') state_ = State::kSizeEnd;
            return Status::kMore;
        case State::kSizeEnd:
            return expect(byte, '\n', chunk_bytes_ == 0 ? State::kTrailerStart : State::kData);
        case State::kDataReturn:
            return expect(byte, '\r', State::kDataEnd);
        case State::kDataEnd:
            return expect(byte, '\n', State::kFirstDigit);
        case State::kTrailerStart:
            state_ = byte == '\r' ? State::kLastEnd : State::kTrailer;
            return byte == '\n' ? Status::kMalformed : Status::kMore;
        case State::kTrailer:
            if (byte == '\n') return Status::kMalformed;
            if (byte == '\r') state_ = State::kTrailerEnd;
            return Status::kMore;
        case State::kTrailerEnd:
            return expect(byte, '\n', State::kTrailerStart);
        default:
            return byte == '\n' ? Status::kComplete : Status::kMalformed;  // kLastEnd
    }
}

ChunkDecoder::Status ChunkDecoder::take_digit(char byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto digit = kDigits.find(upper(byte));
    if (digit == std::string_view::npos) return Status::kMalformed;
    chunk_bytes_ = chunk_bytes_ * 16 + digit;
    return chunk_bytes_ > max_body_bytes_ - body_bytes_ ? Status::kTooLarge : Status::kMore;
}

ChunkDecoder::Status ChunkDecoder::expect(char byte, char expected, State next) {
    if (byte != expected) return Status::kMalformed;
    if (state_ == State::kSizeEnd) body_bytes_ += static_cast<std::size_t>(chunk_bytes_);
    state_ = next;
    return Status::kMore;
}

}  // namespace spantape::api
