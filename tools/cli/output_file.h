// SPDX-License-Identifier: AGPL-3.0-or-later
// Audio files as a command leaves them: under a name that was free, and only when they are whole.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "capture/base/result.h"

namespace spantape::cli {

// A name for a file out of a path or name from elsewhere: its last part, without what a file system or a shell may
// take for something else, and with the ending given. `otherwise` when nothing is left.
[[nodiscard]] std::string file_name_from(std::string_view path, std::string_view ending, std::string_view otherwise);

// Hands out names that neither stand in the directory nor were handed out before: NAME.wav, NAME-2.wav, NAME-3.wav …
// Any thread.
class OutputDirectory {
public:
    // Makes the directory where it is not there. An error names it.
    static Result<std::unique_ptr<OutputDirectory>> open(const std::string& path);
    [[nodiscard]] std::string choose(const std::string& name);  // its path

private:
    explicit OutputDirectory(std::string path) : path_(std::move(path)) {}

    const std::string path_;
    std::mutex mutex_;
    std::set<std::string> chosen_;  // under mutex_
};

// Written beside its path; goes away unless it is kept.
class OutputFile {
public:
    // `name`: in `directory`, which must outlive it; `path`: as chosen there.
    static Result<std::unique_ptr<OutputFile>> create(OutputDirectory& directory, std::string path);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    Result<> write(std::span<const char> bytes);
    // Gives it its name; another free one when somebody else took that meanwhile. The path it has now.
    Result<std::string> keep();

private:
    OutputFile(OutputDirectory& directory, std::string path) : directory_(directory), path_(std::move(path)) {}

    OutputDirectory& directory_;
    std::string path_, part_path_;
    std::FILE* file_ = nullptr;
};

}  // namespace spantape::cli
