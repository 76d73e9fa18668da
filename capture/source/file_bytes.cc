// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/file_bytes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace spantape {

namespace {
constexpr std::size_t kBufferBytes = 256u << 10;
// zlib reads plain files straight into a buffer that is much larger than its own. Of gzip it is asked for little at a
// time, as a call that finds damage gives nothing of what it unpacked before.
constexpr unsigned kGzipBytes = 16u << 10;
}  // namespace

FileBytes::FileBytes(gzFile_s* file) : file_(file), buffer_(kBufferBytes) {}

FileBytes::~FileBytes() { gzclose_r(file_); }

Result<std::unique_ptr<FileBytes>> FileBytes::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail("{}", errno == ENOENT ? "no such file" : std::strerror(errno));
    return from_descriptor(fd);
}

Result<std::unique_ptr<FileBytes>> FileBytes::from_descriptor(int fd) {
    struct stat status{};
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        return fail("is a directory");
    }
    gzFile file = gzdopen(fd, "rb");
    if (file == nullptr) {
        close(fd);
        return fail("no memory left to read it");
    }
    gzbuffer(file, kGzipBytes);
    return std::unique_ptr<FileBytes>(new FileBytes(file));
}

std::span<const std::uint8_t> FileBytes::peek(std::size_t count) {
    if (end_ - begin_ < count) fill(count);
    return std::span(buffer_).subspan(begin_, std::min(count, end_ - begin_));
}

bool FileBytes::skip(std::size_t count) {
    while (count > 0) {
        const std::size_t here = peek(std::min(count, kBufferBytes)).size();
        if (here == 0) return false;
        begin_ += here;
        taken_ += here;
        count -= here;
    }
    return true;
}

void FileBytes::fill(std::size_t wanted) {
    if (ended_) return;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    const std::size_t most = gzdirect(file_) != 0 ? buffer_.size() : kGzipBytes;
    while (end_ < buffer_.size() && !ended_) {
        const std::size_t room = std::min(buffer_.size() - end_, most);
        const int got = gzread(file_, buffer_.data() + end_, static_cast<unsigned>(room));
        if (got > 0) {
            end_ += static_cast<std::size_t>(got);
            continue;
        }
        ended_ = true;
        // An unfinished gzip file gives all that it has, and only then this error.
        int code = Z_OK;
        const char* text = gzerror(file_, &code);
        if (code == Z_ERRNO)
            error_ = std::strerror(errno);
        else if (code != Z_OK && code != Z_STREAM_END)
            error_ = text;
    }
}

}  // namespace spantape
