// SPDX-License-Identifier: AGPL-3.0-or-later
// Bodies sent in chunks (RFC 9112 §7.1), incrementally. Extensions and trailers are read over. Our own, because the
// parser of Boost.Beast 1.81 aborts on a last chunk that comes in pieces (boostorg/beast#2861).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace spantape::api {

class ChunkDecoder {
public:
    enum class Status { kMore, kComplete, kMalformed, kTooLarge };

    explicit ChunkDecoder(std::size_t max_body_bytes) : max_body_bytes_(max_body_bytes) {}

    // Reads from `bytes`, appends to `body`; `used` bytes were read, all of them when more are needed.
    Status feed(std::string_view bytes, std::size_t& used, std::string& body);

private:
    enum class State : std::uint8_t {
        kFirstDigit,
        kSize,
        kExtension,
        kSizeEnd,
        kData,
        kDataReturn,
        kDataEnd,
        kTrailerStart,
        kTrailer,
        kTrailerEnd,
        kLastEnd,
    };

    Status step(char byte);
    Status take_digit(char byte);
    Status expect(char byte, char expected, State next);

    // Sizes, extensions and trailers: bytes that are no body still cost.
    static constexpr std::size_t kMaxOverheadBytes = 64u << 10;

    const std::size_t max_body_bytes_;
    State state_ = State::kFirstDigit;
    std::uint64_t chunk_bytes_ = 0;  // still to come
    std::size_t body_bytes_ = 0;     // of all chunks announced so far
    std::size_t overhead_bytes_ = 0;
};

}  // namespace spantape::api
