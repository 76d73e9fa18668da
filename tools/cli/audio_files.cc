// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/audio_files.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "storage/audio/playout.h"
#include "storage/export/wav.h"

namespace spantape::cli {
namespace {

constexpr unsigned kMostThreads = 2;

}  // namespace

std::string audio_file_name(const Recording& recording) {
    return file_name_from(recording.filename, ".wav", fmt::to_string(recording.ident));
}

Result<std::string> write_audio(const AudioSource& source, const Recording& recording, OutputDirectory& directory,
                                const std::string& path, Progress& progress, bool show_bar) {
    auto audio = RecordingAudio::open(source.index, source.segment_directory, recording, wall_clock_ns());
    if (!audio) return std::unexpected(audio.error());
    auto file = OutputFile::create(directory, path);
    if (!file) return std::unexpected(file.error());

    const std::uint64_t total_bytes = wav_bytes((*audio)->format(), (*audio)->total_frames());
    std::uint64_t bytes = 0;
    Result<> written;
    const auto exported = export_wav(**audio, [&](std::span<const char> piece) {
        written = (*file)->write(piece);
        bytes += piece.size();
        if (show_bar) progress.bar(path, bytes, total_bytes);
        return written.has_value();
    });
    if (!written) return std::unexpected(written.error());
    if (!exported) return std::unexpected(exported.error());
    if (const std::uint64_t damaged = (*audio)->damaged_chunks(); damaged != 0)
        progress.warn(fmt::format("recording {}: {} damaged chunks are silence now", recording.ident, damaged));
    return (*file)->keep();
}

std::vector<std::string> write_all_audio(const AudioSource& source, const std::vector<Recording>& recordings,
                                         OutputDirectory& directory, Progress& progress) {
    std::vector<std::string> paths;  // chosen in order, so that the same captures give the same names
    for (const Recording& recording : recordings) paths.push_back(directory.choose(audio_file_name(recording)));
    std::atomic<std::size_t> next{0}, done{0};  // any of the threads below
    const auto write_some = [&] {
        for (std::size_t i = next++; i < recordings.size(); i = next++) {
            auto path = write_audio(source, recordings[i], directory, paths[i], progress, false);
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
