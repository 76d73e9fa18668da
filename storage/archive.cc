// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/archive.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/audio/codec.h"
#include "storage/audio/playout.h"
#include "storage/durable_file.h"
#include "storage/export/audio_file.h"
#include "storage/signing_key.h"

namespace spantape {

namespace {

namespace fs = std::filesystem;
using Failure = ArchiveFailure;

constexpr int kMostNames = 10'000;  // NAME, NAME-2 … of one recording
constexpr int kGap = 3;             // a name behind so many free ones was never taken
constexpr mode_t kFolderMode = 0750, kFileMode = 0640;

std::unexpected<Failure> of_target(std::string why) {
    return std::unexpected(Failure{Failure::Of::target, std::move(why)});
}
// The names of one recording may be too long for a target, or hold what it does not take.
std::unexpected<Failure> failed(const std::string& path, int error) {
    const bool name = error == ENAMETOOLONG || error == EILSEQ || error == EINVAL;
    return std::unexpected(
        Failure{name ? Failure::Of::recording : Failure::Of::target, fmt::format("{}: {}", path, strerror(error))});
}

std::string_view extension_of(ArchiveFormat format) {
    switch (format) {
        case ArchiveFormat::wav:
            return ".wav";
    }
    return ".wav";
}

bool is_name(const std::string& part) {
    return !part.empty() && part.front() != '.' &&
           std::ranges::none_of(part, [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20; });
}

struct Place {
    std::string day, device, stem;
};

// FILENAME is …/YYYYMMDD/DEVICE/NAME.wav; a recording that was put together from its segments alone has none.
Place place_of(const Recording& recording) {
    const fs::path named(recording.filename);
    Place place{named.parent_path().parent_path().filename(), named.parent_path().filename(), named.stem()};
    if (is_archive_day(place.day) && is_name(place.device) && is_name(place.stem)) return place;
    const auto second = static_cast<std::time_t>(recording.start_ns / kNsPerSecond);
    std::tm at{};
    localtime_r(&second, &at);
    place.day = fmt::format("{:04}{:02}{:02}", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
    place.device = is_name(recording.device_id) ? recording.device_id : "_";
    place.stem = fmt::format("recording-{}", recording.ident);
    return place;
}

// Some network file systems cannot sync a directory: what they were told is on the server then.
bool sync_folder(const std::string& path) {
    const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.get() >= 0 && (fsync(folder.get()) == 0 || errno == EINVAL || errno == EOPNOTSUPP);
}

std::expected<void, Failure> make_folder(const std::string& parent, const std::string& name) {
    const std::string path = parent + "/" + name;
    if (mkdir(path.c_str(), kFolderMode) == 0) {
        if (!sync_folder(parent)) return failed(parent, errno);
        return {};
    }
    if (errno != EEXIST) return failed(path, errno);
    return {};
}

// Unless there is a file of that name; errno tells.
bool rename_to_free_name(const std::string& from, const std::string& to) {
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return false;
    const Descriptor claim(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode));
    return claim.get() >= 0 && std::rename(from.c_str(), to.c_str()) == 0;
}

// A temporary file in the target, gone unless it got its name.
class Part {
public:
    explicit Part(std::string path)
        : path_(std::move(path)),
          file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kFileMode)) {}
    ~Part() {
        if (!path_.empty() && file_.get() >= 0) unlink(path_.c_str());
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    [[nodiscard]] int file() const { return file_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    void named() { path_.clear(); }

private:
    std::string path_;
    Descriptor file_;
};

class Archiving {
public:
    Archiving(const ArchiveSource& source, const Recording& recording, const ArchiveAction& action, TimeNs now_ns,
              const std::function<bool()>& go_on)
        : source_(source),
          recording_(recording),
          action_(action),
          now_ns_(now_ns),
          go_on_(go_on),
          place_(place_of(recording)),
          folder_(place_.day + "/" + place_.device) {}

    std::expected<ArchivedFile, Failure> run(const std::string& known_name) {
        if (!known_name.empty())
            if (auto there = take_over(known_name); !there || *there) return finish(std::move(there));
        if (auto made = make_folder(action_.path, place_.day); !made) return std::unexpected(made.error());
        if (auto made = make_folder(action_.path + "/" + place_.day, place_.device); !made)
            return std::unexpected(made.error());
        constexpr int kAttempts = 10;  // others take names at the same time
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const auto slot = find_slot();
            if (!slot) return std::unexpected(slot.error());
            if (slot->ours)
                if (auto there = take_over(slot->name); !there || *there) return finish(std::move(there));
            auto written = write(*slot);
            if (!written) return std::unexpected(written.error());
            if (*written) return finish(std::move(written));
        }
        return of_target(fmt::format("{}/{}: its names are taken as they are looked for", action_.path, folder_));
    }

private:
    struct Slot {
        std::string name;  // below the target
        bool ours = false;
    };
    // Nothing: not there.
    using Found = std::expected<std::optional<ArchivedFile>, Failure>;

    [[nodiscard]] std::string path_to(const std::string& name) const { return action_.path + "/" + name; }
    static std::expected<ArchivedFile, Failure> finish(Found&& found) {
        if (!found) return std::unexpected(found.error());
        return std::move(**found);
    }

    [[nodiscard]] bool is_ours(const Sidecar& sidecar) const {
        return sidecar.store == source_.identity && sidecar.ident == recording_.ident;
    }

    // The name under which an earlier attempt began, or the first that is free.
    std::expected<Slot, Failure> find_slot() const {
        std::string first_free;
        int free = 0;
        for (int number = 1; number <= kMostNames && free < kGap; ++number) {
            const std::string name =
                fmt::format("{}/{}{}{}", folder_, place_.stem, number == 1 ? "" : fmt::format("-{}", number),
                            extension_of(action_.format));
            const auto sidecar = read_sidecar(sidecar_path(path_to(name)));
            if (sidecar && *sidecar && is_ours(**sidecar)) return Slot{name, true};
            struct stat status{};
            const bool taken = !sidecar || *sidecar || lstat(path_to(name).c_str(), &status) == 0;
            free = taken ? 0 : free + 1;
            if (!taken && first_free.empty()) first_free = name;
        }
        if (!first_free.empty()) return Slot{first_free, false};
        return std::unexpected(Failure{Failure::Of::recording, fmt::format("{}/{}: {} names are taken",
                                                                           path_to(folder_), place_.stem, kMostNames)});
    }

    // The copy under that name, if it is this recording's and whole.
    Found take_over(const std::string& name) const {
        const auto sidecar = read_sidecar(sidecar_path(path_to(name)));
        if (!sidecar || !*sidecar || !is_ours(**sidecar)) return std::nullopt;
        if (!(*sidecar)->holds(recording_.blackouts)) return std::nullopt;  // from before a blackout reached back
        const Descriptor file(::open(path_to(name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (file.get() < 0) return std::nullopt;
        const auto hash = hash_of_file(file.get());
        if (!hash) return failed(path_to(name), hash.error());
        if (hash->first != (*sidecar)->sha256) return std::nullopt;
        if ((*sidecar)->action != action_.number) {  // another action with the same target had made it
            Sidecar renewed = **sidecar;
            renewed.action = action_.number;
            renewed.archived_ns = now_ns_;
            if (auto put = put_sidecar(renewed, name, true); !put) return std::unexpected(put.error());
            if (!sync_folder(fs::path(path_to(name)).parent_path())) return failed(path_to(name), errno);
        }
        return ArchivedFile{name, hash->first, hash->second, true};
    }

    [[nodiscard]] std::string part_path(const char* what) const {
        return path_to(fmt::format("{}/.part-{}-{}{}", folder_, source_.identity, recording_.ident, what));
    }

    // The sidecar under its name. false: the name is taken.
    std::expected<bool, Failure> put_sidecar(const Sidecar& sidecar, const std::string& name, bool replace) const {
        const fs::path to = sidecar_path(path_to(name));
        Part part((to.parent_path() / fmt::format(".part-{}-{}.json", source_.identity, recording_.ident)).string());
        if (part.file() < 0) return failed(part.path(), errno);
        const std::string text = to_json(sidecar, action_, recording_);
        auto written = write_at(part.file(), std::as_bytes(std::span(text)), 0);
        if (written) written = sync_file(part.file());
        if (!written) return of_target(fmt::format("{}: {}", part.path(), written.error().message));
        const bool named =
            replace ? std::rename(part.path().c_str(), to.c_str()) == 0 : rename_to_free_name(part.path(), to.string());
        if (!named && errno == EEXIST) return false;
        if (!named) return failed(to, errno);
        part.named();
        return true;
    }

    // Renders into the file; the hash of what was written.
    std::expected<std::string, Failure> render(const Part& part) const {
        auto audio = RecordingAudio::open(source_.index, source_.segments, recording_, recording_.stop_ns);
        if (!audio) return std::unexpected(Failure{Failure::Of::recording, audio.error().message});
        const auto file = wav_file(std::move(*audio));  // ArchiveFormat::wav
        Sha256 hash;
        for (std::uint64_t at = 0;;) {
            if (!go_on_()) return std::unexpected(Failure{Failure::Of::stopped, "stopped"});
            const auto piece = file->next();
            if (!piece) return std::unexpected(Failure{Failure::Of::recording, piece.error().message});
            if (piece->empty()) return hash.hex();
            hash.add(*piece);
            if (auto written = write_at(part.file(), std::as_bytes(std::span(*piece)), at); !written)
                return of_target(fmt::format("{}: {}", part.path(), written.error().message));
            at += piece->size();
        }
    }

    // nullopt: another recorder took the name meanwhile.
    Found write(const Slot& slot) const {
        Part part(part_path(""));
        if (part.file() < 0) return failed(part.path(), errno);
        auto hash = render(part);
        if (!hash) return std::unexpected(hash.error());
        if (auto synced = sync_file(part.file()); !synced)
            return of_target(fmt::format("{}: {}", part.path(), synced.error().message));
        const auto read_back = hash_of_file(part.file());
        if (!read_back) return failed(part.path(), read_back.error());
        if (read_back->first != *hash)
            return of_target(fmt::format("{}: what is read back is not what was written", part.path()));
        const Sidecar sidecar{source_.identity,
                              recording_.ident,
                              action_.number,
                              fs::path(slot.name).filename(),
                              read_back->second,
                              *hash,
                              now_ns_};
        const auto claimed = put_sidecar(sidecar, slot.name, slot.ours);
        if (!claimed) return std::unexpected(claimed.error());
        if (!*claimed) return std::nullopt;
        const std::string path = path_to(slot.name);
        // What has the name although nobody had claimed it is not ours to replace.
        const bool named =
            slot.ours ? std::rename(part.path().c_str(), path.c_str()) == 0 : rename_to_free_name(part.path(), path);
        if (!named) {
            const int error = errno;
            if (!slot.ours) unlink(sidecar_path(path).c_str());
            if (error == EEXIST) return std::nullopt;
            return failed(path, error);
        }
        part.named();
        if (!sync_folder(fs::path(path).parent_path())) return failed(path, errno);
        return ArchivedFile{slot.name, *hash, read_back->second, false};
    }

    const ArchiveSource& source_;
    const Recording& recording_;
    const ArchiveAction& action_;
    const TimeNs now_ns_;
    const std::function<bool()>& go_on_;
    const Place place_;
    const std::string folder_;  // below the target
};

// Static types that carry no audio: RFC 3389 comfort noise, and its number before that.
bool is_noise(std::uint8_t payload_type) { return payload_type == 13 || payload_type == 19; }

}  // namespace

std::expected<ArchivedFile, ArchiveFailure> archive(const ArchiveSource& source, const Recording& recording,
                                                    const ArchiveAction& action, const std::string& known_name,
                                                    TimeNs now_ns, const std::function<bool()>& go_on) {
    return Archiving(source, recording, action, now_ns, go_on).run(known_name);
}

Result<std::string> missing_from_export(const ArchiveSource& source, const Recording& recording) {
    SegmentReader reader(source.segments);
    for (const RecordedStream& stream : recording.streams) {
        const PayloadTable table = payload_table(stream.payloads);
        std::array<bool, 128> silent{};  // audio all the same
        for (std::size_t type = 0; type < silent.size(); ++type)
            silent[type] = !table[type].audible() && !is_noise(static_cast<std::uint8_t>(type));
        for (const PayloadMapping& mapping : stream.payloads)
            if (mapping.payload_type < silent.size() && !is_audio(mapping)) silent[mapping.payload_type] = false;
        const auto chunks = source.index.chunks(stream.stream_id);
        if (!chunks) return std::unexpected(chunks.error());
        for (const ChunkEntry& entry : *chunks) {
            const auto chunk = reader.read(entry);
            if (!chunk) return fmt::format("a chunk of it cannot be read: {}", chunk.error().message);
            int lost = -1;
            const bool sound = chunk->for_each_frame([&](const StoredFrame& frame) {
                if (silent[frame.payload_type & 0x7f]) lost = frame.payload_type & 0x7f;
            });
            if (!sound) return fmt::format("chunk {} of stream {} is damaged", entry.chunk_number, stream.stream_id);
            if (lost >= 0) return fmt::format("its audio of payload type {} is exported as silence", lost);
        }
    }
    return std::string();
}

}  // namespace spantape
