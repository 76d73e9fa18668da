// SPDX-License-Identifier: AGPL-3.0-or-later
// What the writer of a chained log and its checker share: files, lines, the head. For chained_log*.cc only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "storage/signing_key.h"

namespace spantape::chained_log {

class File {
public:
    File() = default;
    explicit File(int descriptor) : descriptor_(descriptor) {}
    ~File();
    File(File&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    File& operator=(File&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] explicit operator bool() const { return descriptor_ >= 0; }

private:
    int descriptor_ = -1;
};

// flock(2) while it lives.
class Lock {
public:
    Lock(int descriptor, int how);
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    int descriptor_;
};

Result<> write_all(int file, std::string_view bytes, std::uint64_t offset);
// Fewer bytes than asked for when the file ends before.
Result<std::string> read_at(int file, std::uint64_t offset, std::size_t bytes);
Result<std::uint64_t> size_of(int file);

// The line, without a line feed. members: a JSON object's text, with its braces.
std::string make_line(std::uint64_t n, TimeNs time_ns, std::string_view members, std::string_view previous,
                      const SigningKey& key);

// Number and hash of the last line that is synced.
struct Head {
    std::uint64_t n = 0;
    std::string hash;
};
std::string head_path(const std::string& log_path);
inline constexpr std::size_t kHeadBytes = 512;  // one write that a disk does whole
// log: the file's name without its directory, so that the heads of two logs cannot be exchanged.
std::string make_head(const Head& head, std::string_view log, const SigningKey& key);
std::optional<Head> parse_head(std::string_view text, std::string_view log, const VerifyingKey& key);
std::string log_name(const std::string& path);

inline std::string no_hash() { return std::string(kSha256HexDigits, '0'); }

}  // namespace spantape::chained_log
