// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/vox_file.h"

#include <sndfile.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace spantape {
namespace {

constexpr std::uint32_t kRateHz = 8000;

// By libsndfile, which rounds as sox and ffmpeg do. Spandsp rounds each term of a step for itself; where encoder and
// decoder differ in that their predictions drift apart, for nothing in the code pulls them together.
class VoxFile final : public ExportedFile {
public:
    VoxFile(std::unique_ptr<RecordingAudio> audio, VoxCoding coding) : audio_(std::move(audio)), coding_(coding) {}

    Result<> open() {
        SF_VIRTUAL_IO io{.get_filelen = &VoxFile::given,
                         .seek = &VoxFile::stay,
                         .read = nullptr,
                         .write = &VoxFile::collect,
                         .tell = &VoxFile::given};
        SF_INFO info{.samplerate = static_cast<int>(kRateHz),
                     .channels = 1,
                     .format = SF_FORMAT_RAW | (coding_ == VoxCoding::adpcm ? SF_FORMAT_VOX_ADPCM : SF_FORMAT_ULAW)};
        encoder_.reset(sf_open_virtual(&io, SFM_WRITE, &info, this));
        return encoder_ ? Result<>() : fail("VOX: {}", sf_strerror(nullptr));
    }

    std::optional<std::uint64_t> bytes() const override {
        const std::uint64_t samples = audio_->total_frames();
        return coding_ == VoxCoding::adpcm ? (samples + 1) / 2 : samples;
    }

    Result<std::string> next() override {
        while (collected_.empty() && !ended_) {
            const auto samples = audio_->next();
            if (!samples) return std::unexpected(samples.error());
            ended_ = samples->empty();
            waiting_.insert(waiting_.end(), samples->begin(), samples->end());
            const std::size_t step = coding_ == VoxCoding::adpcm ? 2 : 1;  // samples of a byte
            if (ended_ && waiting_.size() % step != 0) waiting_.push_back(0);
            const auto whole = static_cast<sf_count_t>(waiting_.size() / step * step);
            if (sf_write_short(encoder_.get(), waiting_.data(), whole) != whole)
                return fail("VOX: {}", sf_strerror(encoder_.get()));
            waiting_.erase(waiting_.begin(), waiting_.begin() + whole);
        }
        return std::exchange(collected_, {});
    }

private:
    static sf_count_t given(void* self) { return static_cast<VoxFile*>(self)->given_; }
    static sf_count_t stay(sf_count_t /*offset*/, int /*whence*/, void* self) { return given(self); }
    static sf_count_t collect(const void* bytes, sf_count_t count, void* self) {
        auto& file = *static_cast<VoxFile*>(self);
        file.collected_.append(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
        file.given_ += count;
        return count;
    }
    struct Close {
        void operator()(SNDFILE* encoder) const { sf_close(encoder); }
    };

    std::unique_ptr<RecordingAudio> audio_;
    VoxCoding coding_;
    std::vector<std::int16_t> waiting_;  // at most one sample
    std::string collected_;
    sf_count_t given_ = 0;
    std::unique_ptr<SNDFILE, Close> encoder_;  // writes to what stands above until it is closed
    bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<ExportedFile>> vox_file(std::unique_ptr<RecordingAudio> audio, VoxCoding coding) {
    auto mono = converted(std::move(audio), {.sample_rate_hz = kRateHz, .channels = 1});
    if (!mono) return std::unexpected(mono.error());
    auto file = std::make_unique<VoxFile>(std::move(*mono), coding);
    if (const auto opened = file->open(); !opened) return std::unexpected(opened.error());
    return file;
}

}  // namespace spantape
