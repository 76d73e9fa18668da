// SPDX-License-Identifier: AGPL-3.0-or-later
// `record`: captures in, recordings and audio files out. Runs the whole recorder, without listeners, on the files.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>

#include <unistd.h>

#include "appliance/appliance.h"
#include "tools/cli/audio_files.h"
#include "tools/cli/commands.h"
#include "tools/cli/recordings.h"
#include "tools/cli/stop_signals.h"

namespace spantape::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kTemporarySegmentBytes = 64u << 20;  // a small capture should not take 256 MiB of /tmp
constexpr std::uint64_t kPacketHeaderBytes = 16;             // of pcap; in pcapng about twice that

// The store's directory; one of our own making goes away with this.
class StoreDirectory {
public:
    static Result<StoreDirectory> open(const std::string& wanted) {
        if (!wanted.empty()) {
            std::error_code error;
            fs::create_directories(wanted, error);
            if (error) return fail("cannot make store {}: {}", wanted, error.message());
            return StoreDirectory(wanted, false);
        }
        const char* configured = std::getenv("TMPDIR");
        // /tmp is often in memory; a store of hours of calls is not for there.
        const std::string parent = configured != nullptr && *configured != '\0' ? configured : "/var/tmp";
        std::string path = parent + "/spantape-XXXXXX";
        if (mkdtemp(path.data()) == nullptr)
            return fail("cannot make a temporary store in {}: {}", parent, std::strerror(errno));
        return StoreDirectory(path, true);
    }
    StoreDirectory(StoreDirectory&& other) noexcept
        : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, false)) {}
    StoreDirectory(const StoreDirectory&) = delete;
    StoreDirectory& operator=(const StoreDirectory&) = delete;
    ~StoreDirectory() {
        std::error_code ignored;
        if (temporary_) fs::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool temporary() const { return temporary_; }

private:
    StoreDirectory(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}

    std::string path_;
    bool temporary_;
};

// Warnings of the recorder's threads, each said once.
class Warnings {
public:
    explicit Warnings(Progress& progress) : progress_(progress) {}
    void say(const std::string& line) {
        const std::lock_guard lock(mutex_);
        if (!line.empty() && said_.insert(line).second) progress_.warn(line);
    }

private:
    Progress& progress_;
    std::mutex mutex_;
    std::set<std::string> said_;  // under mutex_
};

// Size of all files together; an error names the one that cannot be read.
Result<std::uint64_t> total_bytes(const std::vector<std::string>& files) {
    std::uint64_t total = 0;
    for (const std::string& file : files) {
        std::error_code error;
        if (!fs::exists(file, error)) return fail("{}: no such file", file);
        if (fs::is_directory(file, error)) return fail("{}: is a directory", file);
        if (access(file.c_str(), R_OK) != 0) return fail("{}: {}", file, std::strerror(errno));
        const auto bytes = fs::file_size(file, error);
        if (!error) total += bytes;  // a pipe has none: then there is no bar
    }
    return total;
}

std::uint64_t counter(const std::vector<api::Element>& status, std::string_view name) {
    std::uint64_t number = 0;
    for (const api::Element& each : status) {
        if (each.name == name) std::from_chars(each.text.data(), each.text.data() + each.text.size(), number);
    }
    return number;
}

// What the sources have given so far, as bytes of their files.
std::uint64_t bytes_read(const std::vector<api::Element>& status) {
    std::uint64_t bytes = 0;
    for (const api::Element& each : status) {
        if (each.name == "SOURCE")
            bytes += counter(each.children, "BYTES") + counter(each.children, "PACKETS") * kPacketHeaderBytes;
    }
    return bytes;
}

// The recordings of this run, in order of their start.
Result<std::vector<Recording>> recordings_of(Appliance& appliance) {
    std::vector<Recording> recordings;
    for (const std::uint64_t ident : appliance.completed()) {
        auto recording = appliance.index().recording(ident);
        if (!recording) return std::unexpected(recording.error());
        if (!*recording) return fail("recording {} is not in the index", ident);
        recordings.push_back(std::move(**recording));
    }
    std::ranges::sort(recordings, {}, [](const Recording& each) { return std::pair(each.start_ns, each.ident); });
    return recordings;
}

// files: by recording; empty when no audio was asked for.
int print(const std::vector<Recording>& recordings, const std::vector<std::string>& files, bool as_json,
          const Console& console) {
    const ListFiles list_files = files.empty() ? ListFiles::no : ListFiles::yes;
    std::vector<ListedRecording> listed;
    for (std::size_t i = 0; i < recordings.size(); ++i)
        listed.push_back({to_public_json(recordings[i]), files.empty() ? "" : files[i]});
    if (as_json) {
        console.out << recordings_json(listed, list_files);
        return kFine;
    }
    const auto table = recordings_table(listed, list_files);
    if (!table) return console.failed(table.error().message);
    console.out << (table->empty() ? "no calls found\n" : table->text(console.width));
    return kFine;
}

ApplianceOptions appliance_options(const RecordCommand& command, const StoreDirectory& store) {
    ApplianceOptions options;
    for (const std::string& file : command.files) options.sources.push_back("file:" + file);
    options.pace = Pace::max;
    options.exit_at_end = true;
    options.serve = false;
    options.channels = command.channels;
    options.device_match = command.match;
    options.store = store.path();
    options.master_key = command.master_key;
    options.encrypt = !command.clear;
    if (store.temporary()) {
        options.segment_bytes = kTemporarySegmentBytes;
        options.encrypt = false;  // it is gone when this ends
    }
    return options;
}

// Reads the files to their end; kFailed when something of them is not recorded as it should be.
int read_captures(Appliance& appliance, Warnings& warnings, Progress& progress) {
    StopSignals signals([&appliance] { appliance.request_stop(); });
    const auto ended = appliance.run();
    progress.clear();
    if (!ended) warnings.say(ended.error().message);
    if (signals.came()) warnings.say("interrupted; what was read until then is recorded");
    const std::string source_error = appliance.source_error();
    warnings.say(source_error);
    const bool nothing_read = !source_error.empty() && counter(appliance.status(), "PACKETS") == 0;
    return !ended || signals.came() || nothing_read ? kFailed : kFine;
}

}  // namespace

int run(const RecordCommand& command, const Console& console) {
    const auto file_bytes = total_bytes(command.files);
    if (!file_bytes) return console.failed(file_bytes.error().message);
    std::unique_ptr<OutputDirectory> directory;  // null: no audio
    if (command.format != kNoAudio) {
        auto opened = OutputDirectory::open(command.out);
        if (!opened) return console.failed(opened.error().message);
        directory = std::move(*opened);
    }
    const auto store = StoreDirectory::open(command.store);
    if (!store) return console.failed(store.error().message);

    Progress progress(console);
    Warnings warnings(progress);
    std::unique_ptr<Appliance> appliance;
    ApplianceOptions options = appliance_options(command, *store);
    options.log = [&](const char* level, const std::string& line) {
        if (std::string_view(level) != "info") warnings.say(line);
    };
    // Only called while it runs, on the thread that may ask for its status.
    options.progress = [&](std::uint64_t) { progress.bar("recording", bytes_read(appliance->status()), *file_bytes); };
    auto started = Appliance::start(std::move(options));
    if (!started) return console.failed(started.error().message);
    appliance = std::move(*started);

    int status = read_captures(*appliance, warnings, progress);
    const auto recordings = recordings_of(*appliance);
    if (!recordings) return console.failed(recordings.error().message);
    std::vector<std::string> files;
    if (directory) {
        const AudioSource source{appliance->index(), appliance->segments()};
        const MediaFormat format = media_format(command.format).value_or(MediaFormat::wav);
        files = write_all_audio(source, *recordings, format, *directory, progress);
        progress.clear();
    }
    if (std::ranges::count(files, "") != 0) status = kFailed;
    return std::max(status, print(*recordings, files, command.json, console));
}

}  // namespace spantape::cli
