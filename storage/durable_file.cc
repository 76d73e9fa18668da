// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/durable_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace spantape {

Descriptor::~Descriptor() {
    if (file_ >= 0) ::close(file_);
}

Result<> read_at(int file, std::span<std::byte> into, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < into.size()) {
        const auto got = pread(file, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail("{}", strerror(errno));
        if (got == 0) return fail("the file ends at {}", offset + done);
        done += static_cast<std::size_t>(got);
    }
    return {};
}

Result<> write_at(int file, std::span<const std::byte> bytes, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto put = pwrite(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail("{}", strerror(errno));
        done += static_cast<std::size_t>(put);
    }
    return {};
}

Result<> sync_file(int file) {
    if (fdatasync(file) == 0) return {};
    return fail("sync: {}", strerror(errno));
}

Result<> sync_directory(const std::string& directory) {
    const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0 || fsync(opened.get()) != 0) return fail("{}: {}", directory, strerror(errno));
    return {};
}

Result<> write_new_file(const std::string& path, std::span<const std::byte> bytes) {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return fail("{}: {}", path, strerror(errno));
    auto written = write_at(file.get(), bytes, 0);
    if (written) written = sync_file(file.get());
    if (!written) {
        unlink(path.c_str());
        return fail("{}: {}", path, written.error().message);
    }
    const auto parent = std::filesystem::path(path).parent_path();
    return sync_directory(parent.empty() ? "." : parent.string());
}

}  // namespace spantape
