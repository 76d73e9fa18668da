// SPDX-License-Identifier: AGPL-3.0-or-later
// Small files that must be there, whole, after a power loss: keys, journals. Errors name the file and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "capture/base/result.h"

namespace spantape {

// A file descriptor, closed when this goes away; below 0: none.
class Descriptor {
public:
    explicit Descriptor(int file = -1) : file_(file) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(file_, other.file_);
        return *this;
    }
    [[nodiscard]] int get() const { return file_; }

private:
    int file_;
};

// Exactly so many bytes, however often the system must be asked; else the error (EOF is one).
Result<> read_at(int file, std::span<std::byte> into, std::uint64_t offset);
Result<> write_at(int file, std::span<const std::byte> bytes, std::uint64_t offset);
Result<> sync_file(int file);
// Makes what was created, renamed or removed in a directory durable.
Result<> sync_directory(const std::string& directory);
// Makes a file (0600) that must not be there yet, with these bytes; file and name are durable when this returns.
// Leaves nothing behind when it fails.
Result<> write_new_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace spantape
