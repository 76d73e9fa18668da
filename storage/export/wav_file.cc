// SPDX-License-Identifier: AGPL-3.0-or-later
// A WAV file in pieces.
#include "storage/export/audio_file.h"
#include "storage/export/wav.h"

namespace spantape {
namespace {

class WavFile final : public ExportedFile {
public:
    explicit WavFile(std::unique_ptr<RecordingAudio> audio) : audio_(std::move(audio)) {}

    std::optional<std::uint64_t> bytes() const override { return wav_bytes(audio_->format(), audio_->total_frames()); }

    Result<std::string> next() override {
        if (!header_given_) {
            header_given_ = true;
            return wav_header(audio_->format(), audio_->total_frames());
        }
        auto samples = audio_->next();
        if (!samples) return std::unexpected(samples.error());
        std::string piece(samples->size() * sizeof(std::int16_t), '\0');
        for (std::size_t i = 0; i < samples->size(); ++i) {
            const auto sample = static_cast<std::uint16_t>((*samples)[i]);
            piece[2 * i] = static_cast<char>(sample & 0xff);
            piece[2 * i + 1] = static_cast<char>(sample >> 8);
        }
        return piece;
    }

private:
    std::unique_ptr<RecordingAudio> audio_;
    bool header_given_ = false;
};

}  // namespace

std::unique_ptr<ExportedFile> wav_file(std::unique_ptr<RecordingAudio> audio) {
    return std::make_unique<WavFile>(std::move(audio));
}

}  // namespace spantape
