// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/audio_files.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "api/functions/exports.h"
#include "storage/audio/playout.h"

namespace spantape::cli {
namespace {

constexpr unsigned kMostThreads = 2;

}  // namespace

std::string audio_file_name(const Recording& recording, MediaFormat format) {
    return file_name_from(api::export_name(recording, format), fmt::format(".{}", media_kind(format).suffix),
                          fmt::to_string(recording.ident));
}

Result<std::string> write_audio(const AudioSource& source, const Recording& recording, const api::ExportWish& wish,
                                OutputDirectory& directory, const std::string& path, Progress& progress,
                                bool show_bar) {
    const RecordingAudio* read = nullptr;  // lives as long as what is made of it
    const auto exported = [&]() -> Result<std::unique_ptr<ExportedFile>> {
        if (wish.format == MediaFormat::cav || wish.format == MediaFormat::raw)
            return api::open_export({source.index, source.segments}, {recording}, wish, wall_clock_ns());
        auto audio = RecordingAudio::open(source.index, source.segments, recording, wall_clock_ns());
        if (!audio) return std::unexpected(audio.error());
        read = audio->get();
        return open_audio_file(wish.format, std::move(*audio));
    }();
    if (!exported) return std::unexpected(exported.error());
    auto file = OutputFile::create(directory, path);
    if (!file) return std::unexpected(file.error());

    const auto total_bytes = (*exported)->bytes();
    for (std::uint64_t bytes = 0;;) {
        const auto piece = (*exported)->next();
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) break;
        if (auto written = (*file)->write(*piece); !written) return std::unexpected(written.error());
        bytes += piece->size();
        if (show_bar && total_bytes) progress.bar(path, bytes, *total_bytes);
    }
    if (const std::uint64_t damaged = read == nullptr ? 0 : read->damaged_chunks(); damaged != 0)
        progress.warn(fmt::format("recording {}: {} damaged chunks are silence now", recording.ident, damaged));
    return (*file)->keep();
}

std::vector<std::string> write_all_audio(const AudioSource& source, const std::vector<Recording>& recordings,
                                         MediaFormat format, OutputDirectory& directory, Progress& progress) {
    std::vector<std::string> paths;  // chosen in order, so that the same captures give the same names
    for (const Recording& recording : recordings) paths.push_back(directory.choose(audio_file_name(recording, format)));
    std::atomic<std::size_t> next{0}, done{0};  // any of the threads below
    const auto write_some = [&] {
        for (std::size_t i = next++; i < recordings.size(); i = next++) {
            auto path = write_audio(source, recordings[i], {.format = format}, directory, paths[i], progress, false);
            if (!path) progress.warn(fmt::format("recording {}: {}", recordings[i].ident, path.error().message));
            paths[i] = path.value_or("");
            progress.bar("writing audio", ++done, recordings.size());
        }
    };
    std::vector<std::jthread> others;
    const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
    for (unsigned i = 1; i < threads && i < recordings.size(); ++i) others.emplace_back(write_some);
    write_some();
    others.clear();  // joins them
    return paths;
}

}  // namespace spantape::cli
