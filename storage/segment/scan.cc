// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/scan.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/segment/record.h"
#include "storage/segment/writer.h"

namespace spantape {

namespace {

constexpr std::size_t kWindowBytes = 4u << 20;

std::size_t leading_zeros(std::span<const std::byte> bytes) {
    std::size_t at = 0;
    for (std::uint64_t word = 0; at + sizeof word <= bytes.size(); at += sizeof word) {
        std::memcpy(&word, bytes.data() + at, sizeof word);
        if (word != 0) break;
    }
    while (at < bytes.size() && bytes[at] == std::byte{0}) ++at;
    return at;
}

class Scanner {
public:
    Scanner(const std::string& path, const RecordVisitor& visit, const ScanOptions& options)
        : path_(path), visit_(visit), options_(options) {}
    ~Scanner() {
        if (file_ >= 0) ::close(file_);
    }
    Scanner(const Scanner&) = delete;
    Scanner& operator=(const Scanner&) = delete;

    Result<ScanResult> run(std::uint64_t from) {
        file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat status{};
        if (file_ < 0 || fstat(file_, &status) != 0) return fail("{}: {}", path_, strerror(errno));
        posix_fadvise(file_, 0, 0, POSIX_FADV_SEQUENTIAL);
        result_.file_bytes = static_cast<std::uint64_t>(status.st_size);
        memory_.resize(std::min<std::uint64_t>(kWindowBytes, align_up(result_.file_bytes, kBlockBytes)));
        read_header();
        std::uint64_t at = std::max<std::uint64_t>(align_up(from, kRecordAlignment), kBlockBytes);
        result_.used_bytes = std::min(at, result_.file_bytes);
        while (at < result_.file_bytes) {
            const auto window = window_at(at);
            if (window.empty()) break;  // cut meanwhile
            auto next = step(at, window);
            if (!next) return std::unexpected(next.error());
            at = *next;
        }
        result_.used_bytes = std::max(result_.used_bytes, unreadable_end_);
        return result_;
    }

private:
    void read_header() {
        const auto window = window_at(0);
        const auto header = parse_segment_header(window);
        if (header) {
            salt_ = header->salt;
            result_.core_id = header->core_id;
        } else if (leading_zeros(window) < std::min<std::size_t>(window.size(), kBlockBytes)) {
            note_damage(0, "the segment's header is damaged");
        }
        in_damage_ = false;
    }

    // What lies at `at` and behind it: a whole record at least, unless the file ends before. Blocks that cannot be
    // read are zero in it.
    std::span<const std::byte> window_at(std::uint64_t at) {
        const bool whole =
            at >= window_begin_ && (at + SegmentWriter::kMaxRecordBytes <= window_begin_ + window_bytes_ ||
                                    window_begin_ + window_bytes_ >= result_.file_bytes);
        if (!whole) fill_window(at);
        const std::uint64_t skip = at - window_begin_;
        if (skip >= window_bytes_) return {};
        return std::span<const std::byte>(memory_).first(window_bytes_).subspan(skip);
    }

    void fill_window(std::uint64_t at) {
        window_begin_ = at;
        window_bytes_ = 0;
        while (window_bytes_ < memory_.size()) {
            const std::uint64_t from = at + window_bytes_;
            const auto got = read(std::span(memory_).subspan(window_bytes_), from);
            if (got < 0 && errno == EINTR) continue;
            if (got == 0) break;
            window_bytes_ += got > 0 ? static_cast<std::size_t>(got) : pass_unreadable(from);
        }
    }

    std::int64_t read(std::span<std::byte> into, std::uint64_t offset) {
        const auto at = static_cast<std::int64_t>(offset);
        if (options_.read_at) return options_.read_at(file_, into.data(), into.size(), at);
        return pread(file_, into.data(), into.size(), at);
    }

    // The rest of the block, as zeros; 0 at the end of the file.
    std::size_t pass_unreadable(std::uint64_t offset) {
        const int reason = errno;
        const std::uint64_t end = std::min(align_up(offset + 1, kBlockBytes), result_.file_bytes);
        const std::size_t bytes = std::min<std::uint64_t>(end - offset, memory_.size() - window_bytes_);
        std::memset(memory_.data() + window_bytes_, 0, bytes);
        if (offset + bytes > unreadable_end_) {  // not read, and told, before
            if (offset != unreadable_end_) {
                ++result_.damaged;
                tell(offset, fmt::format("cannot be read: {}", strerror(reason)));
            }
            unreadable_end_ = offset + bytes;
        }
        return bytes;
    }

    // Judges what lies at `at`; gives where to look next.
    Result<std::uint64_t> step(std::uint64_t at, std::span<const std::byte> window) {
        const RecordCheck check = check_record(window, salt_);
        if (check.state == RecordState::foreign) return at + step_over_foreign(at, window);
        const std::uint64_t end = at + align_up(check.header.total_bytes, kRecordAlignment);
        result_.used_bytes = std::min(align_up(end, kBlockBytes), result_.file_bytes);
        if (check.state == RecordState::damaged) {
            note_damage(at, "the seal is broken");
            // With no salt known yet, a length out of nowhere is not trusted.
            return salt_ ? end : at + kRecordAlignment;
        }
        in_damage_ = false;
        salt_ = check.header.salt;
        if (check.header.kind == RecordKind::padding) return end;
        if (auto visited = visit_(at, check.header, window.first(check.header.total_bytes)); !visited) {
            return std::unexpected(visited.error());
        }
        return end;
    }

    std::size_t step_over_foreign(std::uint64_t at, std::span<const std::byte> window) {
        const std::size_t zeros = leading_zeros(window);
        if (zeros == window.size()) return zeros;  // not written, or lost: nothing to say of it
        if (zeros >= kRecordAlignment) return zeros / kRecordAlignment * kRecordAlignment;
        note_damage(at, "no record is there");
        result_.used_bytes = std::min(align_up(at + kRecordAlignment, kBlockBytes), result_.file_bytes);
        return kRecordAlignment;
    }

    void note_damage(std::uint64_t at, const char* reason) {
        if (!in_damage_) {
            ++result_.damaged;
            tell(at, reason);
        }
        in_damage_ = true;
    }
    void tell(std::uint64_t at, const std::string& reason) const {
        if (options_.on_damage) options_.on_damage(at, reason);
    }

    const std::string& path_;
    const RecordVisitor& visit_;
    const ScanOptions& options_;
    std::vector<std::byte> memory_;
    int file_ = -1;
    std::uint64_t window_begin_ = 0;
    std::size_t window_bytes_ = 0;
    std::uint64_t unreadable_end_ = 0;  // behind the last block that could not be read
    std::optional<std::uint64_t> salt_;
    bool in_damage_ = false;
    ScanResult result_;
};

}  // namespace

Result<ScanResult> scan_segment(const std::string& path, std::uint64_t from, const RecordVisitor& visit,
                                const ScanOptions& options) {
    return Scanner(path, visit, options).run(from);
}

Result<std::vector<std::uint32_t>> list_segments(const std::string& directory) {
    std::vector<std::uint32_t> numbers;
    std::error_code error;
    if (!std::filesystem::exists(directory, error)) return numbers;
    std::filesystem::directory_iterator file(directory, error);
    for (; !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
        const std::string name = file->path().filename().string();
        std::uint32_t number = 0;
        const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (wrong == std::errc() && segment_path("", number) == "/" + name) numbers.push_back(number);
    }
    if (error) return fail("{}: cannot list: {}", directory, error.message());
    std::ranges::sort(numbers);
    return numbers;
}

}  // namespace spantape
