// SPDX-License-Identifier: AGPL-3.0-or-later
// The bytes of a file, front to back, unpacked on the way when it is gzip. One owner, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/base/result.h"

struct gzFile_s;

namespace spantape {

class FileBytes {
public:
    // Errors: no such file, no permission, a directory; the message does not name the file.
    static Result<std::unique_ptr<FileBytes>> open(const std::string& path);
    // Takes the descriptor over.
    static Result<std::unique_ptr<FileBytes>> from_descriptor(int fd);
    ~FileBytes();
    FileBytes(const FileBytes&) = delete;
    FileBytes& operator=(const FileBytes&) = delete;

    // The next bytes without taking them: `count` of them, or fewer at the end of the file. They stay where they are,
    // taken or not, until peek() or skip() is asked for more than is ready().
    std::span<const std::uint8_t> peek(std::size_t count);
    // What can be had without reading more of the file.
    [[nodiscard]] std::span<const std::uint8_t> ready() const {
        return std::span(buffer_).subspan(begin_, end_ - begin_);
    }
    // Takes `count` of them; false when the file ended before.
    bool skip(std::size_t count);

    // How many bytes were taken, of the unpacked ones.
    [[nodiscard]] std::uint64_t position() const { return taken_; }
    // Why the file ended where it did, when that was not its proper end: damaged or unfinished gzip, a read error.
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    explicit FileBytes(gzFile_s* file);
    void fill(std::size_t wanted);

    gzFile_s* file_;
    std::vector<std::uint8_t> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::uint64_t taken_ = 0;
    bool ended_ = false;
    std::string error_;
};

}  // namespace spantape
