// SPDX-License-Identifier: AGPL-3.0-or-later
// Bytes received and not yet consumed, in one contiguous piece. Moves what is left to the front only when that is no
// more than what was consumed since, so that each byte is moved a bounded number of times.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace spantape::api {

class InputBuffer {
public:
    // Room for at least `min_bytes` more; ends the life of all views of the buffer.
    std::span<char> space(std::size_t min_bytes) {
        if (begin_ == end_) begin_ = end_ = 0;
        if (bytes_.size() - end_ < min_bytes) make_room(min_bytes);
        return std::span(bytes_).subspan(end_);
    }
    void filled(std::size_t count) { end_ += count; }

    [[nodiscard]] std::span<char> bytes() { return std::span(bytes_).subspan(begin_, end_ - begin_); }
    [[nodiscard]] std::string_view view() const { return {bytes_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t count) { begin_ += count; }

private:
    void make_room(std::size_t min_bytes) {
        const std::size_t left = end_ - begin_;
        if (begin_ >= left && bytes_.size() - left >= min_bytes) {
            std::memcpy(bytes_.data(), bytes_.data() + begin_, left);
        } else {
            std::vector<char> larger(2 * left + min_bytes);
            if (left > 0) std::memcpy(larger.data(), bytes_.data() + begin_, left);
            bytes_.swap(larger);
        }
        begin_ = 0;
        end_ = left;
    }

    std::vector<char> bytes_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace spantape::api
