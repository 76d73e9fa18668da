// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/uring.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/segment/format.h"

namespace spantape {

namespace {

// Pages of our own, zeroed; unmapped with the object.
class Pages {
public:
    explicit Pages(std::size_t bytes) : bytes_(bytes) {
        void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory_ = at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
    }
    ~Pages() {
        if (memory_ != nullptr) munmap(memory_, bytes_);
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    [[nodiscard]] std::byte* data() const { return memory_; }

private:
    std::size_t bytes_;
    std::byte* memory_;
};

int open_new(const char* path) {
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    const int file = open(path, flags | O_DIRECT, 0600);
    if (file >= 0 || errno != EINVAL) return file;
    unlink(path);  // some file systems make the file before they refuse
    return open(path, flags, 0600);
}

Result<> sync_directory_of(const std::string& path) {
    const std::string directory = std::filesystem::path(path).parent_path().string();
    const int file = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool ok = file >= 0 && fsync(file) == 0;
    const int error = errno;
    if (file >= 0) ::close(file);
    if (!ok) return fail("{}: cannot sync the directory: {}", directory, strerror(error));
    return {};
}

class UringDevice final : public BlockDevice {
public:
    UringDevice(std::size_t buffers, std::size_t buffer_bytes)
        : buffers_(buffers), buffer_bytes_(buffer_bytes), memory_(buffers * buffer_bytes), block_(kBlockBytes) {}

    ~UringDevice() override {
        if (!open_) return;
        while (next(true)) {
        }
        io_uring_queue_exit(&ring_);
    }
    UringDevice(const UringDevice&) = delete;
    UringDevice& operator=(const UringDevice&) = delete;

    Result<> open_ring() {
        if (memory_.data() == nullptr || block_.data() == nullptr) return fail("write buffers: {}", strerror(errno));
        const int error = io_uring_queue_init(256, &ring_, 0);
        if (error < 0) return fail("io_uring: {}", strerror(-error));
        open_ = true;
        std::vector<iovec> vectors;
        for (std::size_t i = 0; i < buffers_; ++i) vectors.push_back({buffer(i).data(), buffer_bytes_});
        registered_ = io_uring_register_buffers(&ring_, vectors.data(), static_cast<unsigned>(vectors.size())) == 0;
        return {};
    }

    std::span<std::byte> buffer(std::size_t index) override {
        return {memory_.data() + index * buffer_bytes_, buffer_bytes_};
    }

    Result<int> create(const std::string& path, std::uint64_t bytes, std::span<const std::byte> first_block) override {
        const int file = open_new(path.c_str());
        if (file < 0) return fail("{}: cannot create: {}", path, strerror(errno));
        auto prepared = prepare(path, file, bytes, first_block);
        if (prepared) prepared = sync_directory_of(path);
        if (prepared) return file;
        close(file);
        unlink(path.c_str());
        return std::unexpected(prepared.error());
    }

    Result<> truncate(int file, std::uint64_t bytes) override {
        if (ftruncate(file, static_cast<off_t>(bytes)) != 0) return fail("truncate: {}", strerror(errno));
        return {};
    }
    void close(int file) override { ::close(file); }
    void remove(const std::string& path) override { unlink(path.c_str()); }

    void start_write(int file, std::size_t buffer_index, std::size_t from, std::size_t bytes, std::uint64_t offset,
                     std::uint64_t tag) override {
        io_uring_sqe* entry = free_entry();
        const std::byte* at = buffer(buffer_index).data() + from;
        if (registered_) {
            io_uring_prep_write_fixed(entry, file, at, static_cast<unsigned>(bytes), offset,
                                      static_cast<int>(buffer_index));
        } else {
            io_uring_prep_write(entry, file, at, static_cast<unsigned>(bytes), offset);
        }
        submit(entry, tag);
    }

    void start_sync(int file, std::uint64_t tag) override {
        io_uring_sqe* entry = free_entry();
        io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
        submit(entry, tag);
    }

    std::optional<Completion> next(bool wait) override {
        io_uring_cqe* done = nullptr;
        while (under_way_ > 0 && io_uring_peek_cqe(&ring_, &done) != 0) {
            if (!wait) {
                if (io_uring_sq_ready(&ring_) > 0) io_uring_submit(&ring_);
                return std::nullopt;
            }
            io_uring_submit_and_wait(&ring_, 1);  // an interrupted wait is waited again
        }
        if (under_way_ == 0) return std::nullopt;
        const Completion completion{done->user_data, done->res};
        io_uring_cqe_seen(&ring_, done);
        --under_way_;
        return completion;
    }

    [[nodiscard]] int completion_fd() const override { return ring_.ring_fd; }

private:
    Result<> prepare(const std::string& path, int file, std::uint64_t bytes, std::span<const std::byte> first_block) {
        // Not posix_fallocate: where the file system cannot, that one writes single bytes, which O_DIRECT refuses.
        int refused = fallocate(file, 0, 0, static_cast<off_t>(bytes));
        while (refused != 0 && errno == EINTR) refused = fallocate(file, 0, 0, static_cast<off_t>(bytes));
        if (refused != 0 && errno != EOPNOTSUPP) {
            return fail("{}: cannot allocate {} bytes: {}", path, bytes, strerror(errno));
        }
        std::memset(block_.data(), 0, kBlockBytes);
        std::memcpy(block_.data(), first_block.data(), std::min<std::size_t>(first_block.size(), kBlockBytes));
        const auto written = pwrite(file, block_.data(), kBlockBytes, 0);
        if (written == static_cast<ssize_t>(kBlockBytes)) return {};
        return fail("{}: cannot write its header at 0: {}", path, written < 0 ? strerror(errno) : "short write");
    }

    io_uring_sqe* free_entry() {
        io_uring_sqe* entry = io_uring_get_sqe(&ring_);
        while (entry == nullptr) {  // more entries than buffers: only when the kernel takes none at the moment
            io_uring_submit(&ring_);
            entry = io_uring_get_sqe(&ring_);
        }
        return entry;
    }
    void submit(io_uring_sqe* entry, std::uint64_t tag) {
        entry->user_data = tag;
        ++under_way_;
        io_uring_submit(&ring_);  // what it does not take now, next() submits
    }

    std::size_t buffers_;
    std::size_t buffer_bytes_;
    Pages memory_;
    Pages block_;  // for segment headers
    io_uring ring_{};
    bool open_ = false;
    bool registered_ = false;
    std::size_t under_way_ = 0;
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> open_uring_device(std::size_t buffers, std::size_t buffer_bytes) {
    auto device = std::make_unique<UringDevice>(buffers, buffer_bytes);
    if (auto opened = device->open_ring(); !opened) return std::unexpected(opened.error());
    return device;
}

}  // namespace spantape
