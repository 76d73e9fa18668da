// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/archive_target.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "storage/durable_file.h"
#include "storage/export/wav.h"
#include "storage/signing_key.h"

namespace spantape {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* kMark = "/.spantape-archive";
constexpr std::string_view kMarkText =
    "Spantape archives to this directory. Without this file it takes the directory for a share that is not mounted.\n";
constexpr std::size_t kMaxSidecarBytes = 4u << 20;
constexpr TimeNs kSilenceMarginNs = 500 * kNsPerMs;
constexpr TimeNs kNsPerDay = 86'400 * kNsPerSecond;

std::string json_text(std::string_view text) { return json::serialize(json::string(valid_utf8(text))); }

template <class Value>
bool read_member(const json::object& object, const char* name, Value& value) {
    const json::value* found = object.if_contains(name);
    if (found == nullptr) return false;
    if constexpr (std::is_same_v<Value, std::string>) {
        if (found->is_string()) value = found->get_string();
        return found->is_string();
    } else {
        json::error_code error;
        value = found->to_number<Value>(error);
        return !error;
    }
}

TimeNs time_of(double seconds) {
    constexpr double kMost = 4e9;  // two of them are what TimeNs holds
    return static_cast<TimeNs>(std::clamp(seconds, -kMost, kMost) * static_cast<double>(kNsPerSecond));
}

// Calls with the objects of a list.
void for_each_of(const json::object& members, const char* list, const std::function<void(const json::object&)>& take) {
    const json::value* found = members.if_contains(list);
    if (found == nullptr || !found->is_array()) return;
    for (const json::value& each : found->get_array())
        if (each.is_object()) take(each.get_object());
}
void read_blackouts(const json::object& recording, std::vector<BlackoutWindow>& windows) {
    for_each_of(recording, "blackouts", [&](const json::object& each) {
        double from = 0, to = 0;
        if (!read_member(each, "from", from)) return;
        windows.push_back({time_of(from), read_member(each, "to", to) ? time_of(to) : INT64_MAX});
    });
}
void read_streams(const json::object& recording, std::set<std::string>& streams) {
    for_each_of(recording, "streams", [&](const json::object& each) {
        std::string ssrc, source, destination;
        if (read_member(each, "ssrc", ssrc) && read_member(each, "source", source) &&
            read_member(each, "destination", destination))
            streams.insert(fmt::format("{} {} {}", ssrc, source, destination));
    });
}

std::optional<Sidecar> parse_sidecar(std::string_view text) {
    json::error_code error;
    const json::value document = json::parse(text, error);
    if (error || !document.is_object()) return std::nullopt;
    const json::value* archive = document.get_object().if_contains("archive");
    const json::value* recording = document.get_object().if_contains("recording");
    if (archive == nullptr || !archive->is_object() || recording == nullptr || !recording->is_object())
        return std::nullopt;
    const json::object& members = archive->get_object();
    Sidecar sidecar;
    const bool whole = read_member(members, "store", sidecar.store) && read_member(members, "action", sidecar.action) &&
                       read_member(members, "audio", sidecar.audio) && read_member(members, "bytes", sidecar.bytes) &&
                       read_member(members, "sha256", sidecar.sha256) &&
                       read_member(members, "archived_ns", sidecar.archived_ns) &&
                       read_member(recording->get_object(), "ident", sidecar.ident);
    read_blackouts(recording->get_object(), sidecar.blackouts);
    read_streams(recording->get_object(), sidecar.streams);
    return whole ? std::optional(sidecar) : std::nullopt;
}

bool is_there(const std::string& path) {
    struct stat status{};
    return lstat(path.c_str(), &status) == 0;
}

Result<> remove_file(const std::string& path) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail("{}: cannot be removed: {}", path, strerror(errno));
}

// Audio first: as long as the sidecar stands, what a crash interrupts is found again.
Result<> remove_pair(const std::string& target, const std::string& audio) {
    if (auto removed = remove_file(audio); !removed) return removed;
    if (auto removed = remove_file(sidecar_path(audio)); !removed) return removed;
    const fs::path device = fs::path(audio).parent_path();
    if (auto synced = sync_directory(device); !synced) return synced;
    // Not the target itself; a directory that still holds something stays.
    for (fs::path folder = device; folder != fs::path(target) && folder.has_relative_path();
         folder = folder.parent_path())
        if (rmdir(folder.c_str()) != 0) break;
    return {};
}

// YYYYMMDD of the day, in the appliance's time zone, as FILENAME has it.
std::string day_of(TimeNs time_ns) {
    const auto whole = static_cast<std::time_t>(time_ns / kNsPerSecond);
    std::tm local{};
    localtime_r(&whole, &local);
    return fmt::format("{:04}{:02}{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

// Names in a directory, sorted; what is not there has none.
std::vector<std::string> names_in(const std::string& folder, const std::function<void(const std::string&)>& problem) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename());
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
        problem(fmt::format("{}: {}", folder, error.message()));
    std::ranges::sort(names);
    return names;
}

}  // namespace

bool is_archive_day(const std::string& name) {
    return name.size() == 8 && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

Result<std::string> archive_identity(const std::string& store) {
    const std::string path = verifying_key_path(store);
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    if (text.str().empty()) return fail("{}: cannot be read", path);
    constexpr std::size_t kDigits = 16;
    return sha256_hex(text.str()).substr(0, kDigits);
}

std::string to_json(const Sidecar& sidecar, const ArchiveAction& action, const Recording& recording) {
    return fmt::format(
        "{{\"archive\":{{\"store\":{},\"action\":{},\"name\":{},\"mode\":\"{}\",\"format\":\"{}\",\"audio\":{},"
        "\"bytes\":{},\"sha256\":{},\"archived_ns\":{}}},\"recording\":{}}}\n",
        json_text(sidecar.store), sidecar.action, json_text(action.name), kArchiveModes[static_cast<int>(action.mode)],
        kArchiveFormats[static_cast<int>(action.format)], json_text(sidecar.audio), sidecar.bytes,
        json_text(sidecar.sha256), sidecar.archived_ns, to_public_json(recording));
}

namespace {

// nullopt: there is no such file.
Result<std::optional<std::string>> sidecar_text(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0 && errno == ENOENT) return std::optional<std::string>();
    struct stat status{};
    if (file.get() < 0 || fstat(file.get(), &status) != 0) return fail("{}: {}", path, strerror(errno));
    if (!S_ISREG(status.st_mode) || static_cast<std::size_t>(status.st_size) > kMaxSidecarBytes)
        return fail("{}: is no sidecar of an archived recording", path);
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (auto read = read_at(file.get(), std::as_writable_bytes(std::span(text)), 0); !read)
        return fail("{}: {}", path, read.error().message);
    return text;
}

// What it says of the recording: columns that tell whose it is, and its times.
Recording recording_of(std::string_view sidecar) {
    Recording recording;
    recording.state = RecordingState::stored;
    json::error_code error;
    const json::value document = json::parse(sidecar, error);
    if (error) return recording;
    const json::object& members = document.at("recording").as_object();
    const auto seconds = [&](const char* name) {
        double value = 0;
        read_member(members, name, value);
        return time_of(value);
    };
    read_member(members, "ident", recording.ident);
    read_member(members, "agent_id", recording.agent_id);
    read_member(members, "device_id", recording.device_id);
    read_member(members, "device_alias", recording.device_alias);
    read_member(members, "sys_user", recording.sys_user);
    read_member(members, "crm_user", recording.crm_user);
    recording.start_ns = seconds("recording_time");
    recording.stop_ns = recording.start_ns + seconds("duration");
    return recording;
}

// From and to: since the recording's beginning.
Result<> silence(int file, TimeNs from_ns, TimeNs to_ns) {
    const auto places = wav_places(file);
    if (!places) return std::unexpected(places.error());
    const auto place_of = [&](TimeNs at_ns) {
        const auto frame = static_cast<std::uint64_t>(static_cast<double>(std::max<TimeNs>(at_ns, 0)) /
                                                      static_cast<double>(kNsPerSecond) * places->rate_hz);
        return std::min(places->data + frame * places->frame_bytes, places->end);
    };
    const std::vector<std::byte> zeros(256u << 10);
    const std::uint64_t end = place_of(to_ns);
    for (std::uint64_t at = place_of(from_ns); at < end;) {
        const std::size_t bytes = std::min<std::uint64_t>(zeros.size(), end - at);
        if (auto written = write_at(file, std::span(zeros).first(bytes), at); !written) return written;
        at += bytes;
    }
    return sync_file(file);
}

// The sidecar with another hash of its audio, and with one blackout more.
std::string blacked_out(std::string text, const Sidecar& sidecar, const std::string& sha256,
                        const BlackoutWindow& window) {
    // Within a text of JSON there is no quotation mark that has no backslash before it: these are found once.
    const std::string hash = fmt::format("\"sha256\":\"{}\"", sidecar.sha256);
    if (const auto at = text.find(hash); at != std::string::npos)
        text.replace(at, hash.size(), fmt::format("\"sha256\":\"{}\"", sha256));
    constexpr std::string_view kList = "\"blackouts\":[";
    if (const auto at = text.find(kList); at != std::string::npos) {
        const bool first = text[at + kList.size()] == ']';
        const auto seconds = [](TimeNs time_ns) {
            return static_cast<double>(time_ns) / static_cast<double>(kNsPerSecond);
        };
        text.insert(at + kList.size(), fmt::format("{{\"from\":{:.6f},\"to\":{:.6f}}}{}", seconds(window.from_ns),
                                                   seconds(window.to_ns), first ? "" : ","));
    }
    return text;
}

}  // namespace

Result<std::optional<Sidecar>> read_sidecar(const std::string& path) {
    const auto text = sidecar_text(path);
    if (!text) return std::unexpected(text.error());
    if (!*text) return std::optional<Sidecar>();
    auto sidecar = parse_sidecar(**text);
    if (!sidecar) return fail("{}: is no sidecar of an archived recording", path);
    return sidecar;
}

Result<> check_archive_target(const std::string& path, Index& index) {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return fail("{}: {}", path, strerror(errno));
    if (!S_ISDIR(status.st_mode)) return fail("{}: is no directory", path);
    // How often it was taken into use, in the index: there a share that was archived to before is known.
    const std::string series = "archive " + path;
    const auto next = index.next_number(series);
    if (!next) return std::unexpected(next.error());
    const bool marked = is_there(path + kMark);
    if (marked && *next > 1) return {};
    if (!marked && *next > 1)
        return fail("{}: is not the directory that was archived to before: {} is missing; is the share mounted?", path,
                    path + kMark);
    if (!marked)
        if (auto made = write_new_file(path + kMark, std::as_bytes(std::span(kMarkText))); !made) return made;
    const auto taken = index.take_numbers(series, 1);
    return taken ? Result<>{} : std::unexpected(taken.error());
}

Result<> remove_archived(const ArchivedCopy& copy, const std::string& identity) {
    if (!is_there(copy.target + kMark))
        return fail("{}: is out of reach ({} is missing)", copy.target, copy.target + kMark);
    const std::string audio = fmt::format("{}/{}", copy.target, copy.name);
    const auto sidecar = read_sidecar(sidecar_path(audio));
    if (!sidecar) return std::unexpected(sidecar.error());
    if (!*sidecar) return is_there(audio) ? fail("{}: has no sidecar that says whose it is", audio) : Result<>{};
    if ((*sidecar)->store != identity || (*sidecar)->ident != copy.ident) return {};  // ours is not there any more
    return remove_pair(copy.target, audio);
}

Result<ErasedCopies> erase_archived(Index& index, std::uint64_t ident, const std::string& identity) {
    const auto copies = index.archived(ident);
    if (!copies) return std::unexpected(copies.error());
    ErasedCopies result;
    for (const ArchivedCopy& copy : *copies) {
        if (auto removed = remove_archived(copy, identity); !removed) {
            result.left.push_back(
                fmt::format("recording {}: its archived copy is left: {}", ident, removed.error().message));
            continue;
        }
        if (auto forgotten = index.forget_archived(copy); !forgotten) return std::unexpected(forgotten.error());
        result.erased.push_back(copy);
    }
    return result;
}

bool Sidecar::holds(const std::vector<BlackoutWindow>& windows) const {
    constexpr TimeNs kRoundingNs = kNsPerMs;
    auto wider = blackouts;
    for (BlackoutWindow& each : wider)
        each = {each.from_ns - kRoundingNs, each.to_ns == INT64_MAX ? INT64_MAX : each.to_ns + kRoundingNs};
    wider = merged(std::move(wider));
    return std::ranges::all_of(windows, [&](const BlackoutWindow& window) {
        return std::ranges::any_of(wider, [&](const BlackoutWindow& each) {
            return each.from_ns <= window.from_ns && each.to_ns >= window.to_ns;
        });
    });
}

bool may_hold(const ArchivedCopy& copy, TimeNs from_ns, const BlackoutWindow& window) {
    const std::string day = copy.name.substr(0, copy.name.find('/'));
    // Whatever time zone a day was named in.
    return is_archive_day(day) && day >= day_of(from_ns - kNsPerDay) && day <= day_of(window.to_ns + kNsPerDay);
}

Result<std::optional<std::set<std::string>>> silence_archived(const ArchivedCopy& copy, const std::string& identity,
                                                              const BlackoutWindow& window, const Concerned& concerns) {
    using Streams = std::optional<std::set<std::string>>;
    if (!is_there(copy.target + kMark))
        return fail("{}: is out of reach ({} is missing)", copy.target, copy.target + kMark);
    const std::string path = fmt::format("{}/{}", copy.target, copy.name);
    auto text = sidecar_text(sidecar_path(path));
    if (!text) return std::unexpected(text.error());
    if (!*text)
        return is_there(path) ? fail("{}: has no sidecar that says whose it is", path) : Result<Streams>(std::nullopt);
    const auto sidecar = parse_sidecar(**text);
    if (!sidecar) return fail("{}: is no sidecar of an archived recording", sidecar_path(path));
    if (sidecar->store != identity || sidecar->ident != copy.ident) return Streams();  // ours is not there any more
    const Recording recording = recording_of(**text);
    const BlackoutWindow part{std::max(window.from_ns, recording.start_ns), std::min(window.to_ns, recording.stop_ns)};
    if (part.empty() || !concerns(recording, sidecar->streams)) return Streams();

    const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() < 0) return fail("{}: {}", path, strerror(errno));
    const TimeNs began_ns = recording.start_ns;
    if (auto silent =
            silence(file.get(), part.from_ns - began_ns - kSilenceMarginNs, part.to_ns - began_ns + kSilenceMarginNs);
        !silent)
        return fail("{}: {}", path, silent.error().message);
    const auto hash = hash_of_file(file.get());
    if (!hash) return fail("{}: {}", path, strerror(hash.error()));
    const std::string part_path =
        fmt::format("{}/.part-{}-{}-blackout.json", fs::path(path).parent_path().string(), identity, copy.ident);
    static_cast<void>(unlink(part_path.c_str()));  // a crash's
    const std::string renewed = blacked_out(std::move(**text), *sidecar, hash->first, part);
    if (auto written = write_new_file(part_path, std::as_bytes(std::span(renewed))); !written)
        return std::unexpected(written.error());
    if (chmod(part_path.c_str(), 0640) != 0 || std::rename(part_path.c_str(), sidecar_path(path).c_str()) != 0)
        return fail("{}: {}", sidecar_path(path), strerror(errno));
    if (auto synced = sync_directory(fs::path(path).parent_path()); !synced) return std::unexpected(synced.error());
    return Streams(sidecar->streams);
}

std::expected<std::pair<std::string, std::uint64_t>, int> hash_of_file(int file) {
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    Sha256 hash;
    std::vector<char> bytes(256u << 10);
    std::uint64_t at = 0;
    for (;;) {
        const auto got = pread(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::unexpected(errno);
        if (got == 0) return std::pair(hash.hex(), at);
        hash.add(std::string_view(bytes.data(), static_cast<std::size_t>(got)));
        at += static_cast<std::uint64_t>(got);
    }
}

// Nothing is archived before its recording began: only days that lie so far back are looked at. What has expired is
// gone from them after the first look, so that a look costs a few directories.
std::vector<ArchivedCopy> remove_expired(const ArchiveAction& action, const std::string& identity, TimeNs now_ns,
                                         const std::function<bool()>& go_on,
                                         const std::function<void(const std::string&)>& problem) {
    std::vector<ArchivedCopy> gone;
    if (action.keep_days == 0) return gone;
    const TimeNs before_ns = now_ns - static_cast<TimeNs>(action.keep_days) * kNsPerDay;
    const std::string last_day = day_of(before_ns + kNsPerDay);  // whatever time zone a day was named in
    for (const std::string& day : names_in(action.path, problem)) {
        if (!is_archive_day(day) || day > last_day) continue;
        for (const std::string& device : names_in(action.path + "/" + day, problem)) {
            const std::string folder = fmt::format("{}/{}", day, device);
            for (const std::string& name : names_in(action.path + "/" + folder, problem)) {
                if (!go_on()) return gone;
                if (!name.ends_with(".json") || name.starts_with('.')) continue;
                const auto sidecar = read_sidecar(fmt::format("{}/{}/{}", action.path, folder, name));
                if (!sidecar || !*sidecar || (*sidecar)->store != identity || (*sidecar)->action != action.number ||
                    sidecar_path((*sidecar)->audio) != name || (*sidecar)->archived_ns > before_ns)
                    continue;
                const std::string audio = fmt::format("{}/{}", folder, (*sidecar)->audio);
                if (auto removed = remove_pair(action.path, action.path + "/" + audio); !removed)
                    problem(removed.error().message);
                else
                    gone.push_back({(*sidecar)->ident, action.number, action.path, audio});
            }
        }
    }
    return gone;
}

}  // namespace spantape
