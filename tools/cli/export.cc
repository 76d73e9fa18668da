// SPDX-License-Identifier: AGPL-3.0-or-later
// `export`: recordings to audio files, from a running appliance or straight from a store.
#include <filesystem>
#include <functional>

#include <boost/json/array.hpp>

#include "storage/export/waveform.h"
#include "tools/cli/audio_files.h"
#include "tools/cli/audit.h"
#include "tools/cli/cav.h"
#include "tools/cli/commands.h"
#include "tools/cli/web_client.h"

namespace spantape::cli {
namespace {

// One recording to a file; its path.
using Exporter = std::function<Result<std::string>(std::uint64_t ident)>;

// Prints the path of each file. What fails does not keep the others from being exported.
int export_each(const ExportCommand& command, const Console& console, Progress& progress, const Exporter& exporter) {
    int status = kFine;
    for (const std::uint64_t ident : command.idents) {
        const auto path = exporter(ident);
        if (path) {
            progress.clear();
            console.out << *path << std::endl;
        } else {
            progress.warn(fmt::format("recording {}: {}", ident, path.error().message));
            status = kFailed;
        }
    }
    return status;
}

int export_from_store(const ExportCommand& command, const Console& console, OutputDirectory& directory,
                      Progress& progress) {
    const auto index = Index::open_read_only(command.store + "/index");
    if (!index) return console.failed(index.error().message);
    const auto keyring = Keyring::open_read_only(command.store, master_key_of(command.store, command.master_key));
    if (!keyring) return console.failed(keyring.error().message);
    const AudioSource source{**index, {command.store + "/segments", *keyring}};
    api::ExportWish wish{.format = media_format(command.format).value_or(MediaFormat::wav), .seal = std::nullopt};
    if (!command.password_file.empty() && wish.format != MediaFormat::cav)
        return console.failed("--password-file: only files of --format cav are sealed");
    if (!command.password_file.empty()) {
        const auto password = first_line(command.password_file);
        if (!password) return console.failed(password.error().message);
        auto seal = CavSeal::of(*password);
        if (!seal) return console.failed(seal.error().message);
        wish.seal = std::move(*seal);
    }
    return export_each(command, console, progress, [&](std::uint64_t ident) -> Result<std::string> {
        const auto recording = source.index.recording(ident);
        if (!recording) return std::unexpected(recording.error());
        if (!*recording) return fail("there is no such recording in {}", command.store);
        // Whoever can read the store can take the audio without us; so a store that cannot be written is only told.
        auto noted = note_in_audit_log(command.store, {{"what", "EXPORT"}, {"recordings", boost::json::array{ident}}});
        if (!noted) progress.warn("not in the audit log: " + noted.error().message);
        const std::string path = directory.choose(audio_file_name(**recording, wish.format));
        return write_audio(source, **recording, wish, directory, path, progress, true);
    });
}

// A waveform of the one recording.
Result<std::string> write_picture(const ExportCommand& command) {
    if (command.idents.size() != 1) return fail("--picture shows one recording, {} are named", command.idents.size());
    const std::filesystem::path path(command.picture);
    const auto directory = OutputDirectory::open(path.has_parent_path() ? path.parent_path().string() : ".");
    if (!directory) return std::unexpected(directory.error());
    const std::uint64_t ident = command.idents.front();
    if (command.store.empty())
        return download_picture(command.webapi, fmt::to_string(ident), **directory, path.filename());
    const auto index = Index::open_read_only(command.store + "/index");
    if (!index) return std::unexpected(index.error());
    const auto keyring = Keyring::open_read_only(command.store, master_key_of(command.store, command.master_key));
    if (!keyring) return std::unexpected(keyring.error());
    const auto recording = (*index)->recording(ident);
    if (!recording) return std::unexpected(recording.error());
    if (!*recording) return fail("there is no recording {} in {}", ident, command.store);
    constexpr std::size_t kWidth = 1200, kHeight = 240;
    const auto waveform =
        waveform_of(**index, {command.store + "/segments", *keyring}, **recording, kWidth, wall_clock_ns());
    if (!waveform) return std::unexpected(waveform.error());
    const auto picture = waveform_png(*waveform, kHeight);
    if (!picture) return std::unexpected(picture.error());
    auto file = OutputFile::create(**directory, (*directory)->choose(path.filename()));
    if (!file) return std::unexpected(file.error());
    if (auto written = (*file)->write(*picture); !written) return std::unexpected(written.error());
    return (*file)->keep();
}

}  // namespace

int run(const ExportCommand& command, const Console& console) {
    if (!command.picture.empty()) {
        const auto path = write_picture(command);
        if (!path) return console.failed(path.error().message);
        console.out << *path << std::endl;
        return kFine;
    }
    const auto directory = OutputDirectory::open(command.out);
    if (!directory) return console.failed(directory.error().message);
    Progress progress(console);
    if (!command.store.empty()) return export_from_store(command, console, **directory, progress);
    return export_each(command, console, progress, [&](std::uint64_t ident) {
        return download_recording(command.webapi, fmt::to_string(ident), command.format, **directory,
                                  [&](std::uint64_t bytes, std::uint64_t total) {
                                      progress.bar(fmt::format("recording {}", ident), bytes, total);
                                  });
    });
}

}  // namespace spantape::cli
