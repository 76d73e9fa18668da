// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/output_file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/terminal_text.h"

namespace spantape::cli {
namespace {

constexpr std::size_t kLongestStem = 200;  // bytes; file systems allow 255 with ending and number
constexpr std::size_t kBufferBytes = 256u << 10;

std::string reason() { return std::strerror(errno); }

bool exists(const std::string& path) {
    struct stat ignored{};
    return lstat(path.c_str(), &ignored) == 0;
}

// Moves `from` to `to` unless `to` exists (errno is then EEXIST).
bool rename_without_replacing(const std::string& from, const std::string& to) {
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    // A file system that cannot: a second name, then the first one away.
    return link(from.c_str(), to.c_str()) == 0 && unlink(from.c_str()) == 0;
}

}  // namespace

std::string file_name_from(std::string_view path, std::string_view ending, std::string_view otherwise) {
    if (path.ends_with(ending)) path.remove_suffix(ending.size());
    path.remove_prefix(path.rfind('/') + 1);  // npos + 1 is 0
    std::string stem = printable(path.substr(0, kLongestStem));
    for (char& c : stem) {
        if (std::string_view("?*\"\\:<>|").find(c) != std::string_view::npos) c = '_';
    }
    while (stem.starts_with('.') || stem.starts_with('-')) stem.erase(0, 1);  // hidden files, options
    return (stem.empty() ? std::string(otherwise) : stem) + std::string(ending);
}

Result<std::unique_ptr<OutputDirectory>> OutputDirectory::open(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return fail("cannot make directory {}: {}", path, error.message());
    if (!std::filesystem::is_directory(path, error)) return fail("{} is no directory", path);
    if (access(path.c_str(), W_OK | X_OK) != 0) return fail("cannot write to directory {}: {}", path, reason());
    return std::unique_ptr<OutputDirectory>(new OutputDirectory(path));
}

std::string OutputDirectory::choose(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const std::filesystem::path wanted(name);
    for (std::uint64_t number = 1;; ++number) {
        const std::string each =
            number == 1 ? name : fmt::format("{}-{}{}", wanted.stem().string(), number, wanted.extension().string());
        std::string path = (std::filesystem::path(path_) / each).lexically_normal().string();
        if (!exists(path) && chosen_.insert(path).second) return path;
    }
}

Result<std::unique_ptr<OutputFile>> OutputFile::create(OutputDirectory& directory, std::string path) {
    static std::atomic<std::uint64_t> number{0};  // any thread; tells the unfinished files of this process apart
    auto file = std::unique_ptr<OutputFile>(new OutputFile(directory, std::move(path)));
    const std::filesystem::path folder = std::filesystem::path(file->path_).parent_path();
    file->part_path_ = (folder / fmt::format(".spantape-{}-{}.part", getpid(), ++number)).string();
    const int fd = open(file->part_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    file->file_ = fd >= 0 ? fdopen(fd, "wb") : nullptr;
    if (file->file_ == nullptr) return fail("cannot write {}: {}", file->path_, reason());
    std::setvbuf(file->file_, nullptr, _IOFBF, kBufferBytes);
    return file;
}

OutputFile::~OutputFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    unlink(part_path_.c_str());
}

Result<> OutputFile::write(std::span<const char> bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
        return fail("cannot write {}: {}", path_, reason());
    return {};
}

Result<std::string> OutputFile::keep() {
    const bool written = std::fclose(file_) == 0;
    file_ = nullptr;
    if (!written) {
        const std::string why = reason();
        unlink(part_path_.c_str());
        return fail("cannot write {}: {}", path_, why);
    }
    while (!rename_without_replacing(part_path_, path_)) {
        const int why = errno;
        if (why == EEXIST) {
            path_ = directory_.choose(std::filesystem::path(path_).filename().string());
            continue;
        }
        unlink(part_path_.c_str());
        return fail("cannot write {}: {}", path_, std::strerror(why));
    }
    return path_;
}

}  // namespace spantape::cli
