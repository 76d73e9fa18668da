// SPDX-License-Identifier: AGPL-3.0-or-later
// Each format as ffmpeg and sox read it, against the samples that went in.
#include "storage/export/media_format.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

namespace spantape::test {
namespace {

namespace fs = std::filesystem;
using Samples = std::vector<std::int16_t>;

// Tones that move, another in each channel, so that a shift or a swapped channel is seen.
std::int16_t sample_of(std::uint64_t frame, std::uint16_t channel, std::uint32_t rate_hz) {
    const double t = static_cast<double>(frame) / rate_hz, base = channel == 0 ? 300 : 700;
    const double level = 5000 * (1 + 0.8 * std::sin(2 * std::numbers::pi * 1.7 * t));
    return static_cast<std::int16_t>(level * std::sin(2 * std::numbers::pi * (base * t + 40 * t * t / 2)));
}

class Tones final : public RecordingAudio {
public:
    Tones(AudioFormat format, std::uint64_t frames, std::uint64_t breaks_at = UINT64_MAX)
        : format_(format), frames_(frames), breaks_at_(breaks_at) {}
    AudioFormat format() const override { return format_; }
    std::uint64_t total_frames() const override { return frames_; }
    std::uint64_t damaged_chunks() const override { return 0; }
    Result<Samples> next() override {
        if (at_ >= breaks_at_) return fail("the disk is gone");
        Samples samples;
        for (std::uint32_t i = 0; i < format_.sample_rate_hz && at_ < frames_; ++i, ++at_)
            for (std::uint16_t channel = 0; channel < format_.channels; ++channel)
                samples.push_back(sample_of(at_, channel, format_.sample_rate_hz));
        return samples;
    }

private:
    AudioFormat format_;
    std::uint64_t frames_, breaks_at_, at_ = 0;
};

Samples all_of(RecordingAudio& audio) {
    Samples all;
    for (;;) {
        const auto samples = audio.next();
        EXPECT_TRUE(samples);
        if (!samples || samples->empty()) return all;
        all.insert(all.end(), samples->begin(), samples->end());
    }
}

std::unique_ptr<ExportedFile> opened(MediaFormat format, std::unique_ptr<RecordingAudio> audio) {
    auto file = open_audio_file(format, std::move(audio));
    EXPECT_TRUE(file) << file.error().message;
    return std::move(*file);
}

std::string bytes_of(ExportedFile& file) {
    std::string all;
    for (;;) {
        const auto piece = file.next();
        EXPECT_TRUE(piece) << piece.error().message;
        if (!piece || piece->empty()) return all;
        all += *piece;
    }
}

// As a program reads it: 16-bit samples of the rate and channels asked for.
Samples decoded(MediaFormat format, const std::string& bytes, AudioFormat as) {
    const fs::path path = fs::temp_directory_path() / fmt::format("media_{}.{}", getpid(), media_kind(format).name);
    std::ofstream(path, std::ios::binary) << bytes;
    const std::string command = format == MediaFormat::vox
                                    ? fmt::format("sox -t vox -r 8000 {} -t s16 -", path.string())
                                    : fmt::format("ffmpeg -v error -i {} -ac {} -ar {} -f s16le -", path.string(),
                                                  as.channels, as.sample_rate_hz);
    FILE* pipe = popen(command.c_str(), "r");
    Samples samples;
    std::int16_t sample = 0;
    while (std::fread(&sample, sizeof(sample), 1, pipe) == 1) samples.push_back(sample);
    EXPECT_EQ(pclose(pipe), 0) << command;
    fs::remove(path);
    return samples;
}

// Of what was got, `lag` samples late, against what was meant.
double signal_to_noise_db(const Samples& meant, const Samples& got, std::size_t lag) {
    double signal = 0, noise = 0;
    for (std::size_t i = 2000; i + 2000 < meant.size() && i + lag < got.size(); ++i) {
        signal += std::pow(meant[i], 2);
        noise += std::pow(meant[i] - got[i + lag], 2);
    }
    return 10 * std::log10(signal / std::max(noise, 1.0));
}

struct Best {
    double db = -100;
    std::size_t lag = 0;
};
Best best_match(const Samples& meant, const Samples& got, std::size_t most_lag) {
    Best best;
    for (std::size_t lag = 0; lag <= most_lag; ++lag)
        if (const double db = signal_to_noise_db(meant, got, lag); db > best.db) best = {db, lag};
    return best;
}

constexpr AudioFormat kTelephone{.sample_rate_hz = 8000, .channels = 2};
constexpr std::uint64_t kFrames = 8000 * 5 + 1234;

class MediaFile : public ::testing::TestWithParam<MediaFormat> {
protected:
    void SetUp() override {
        if (std::system("command -v ffmpeg >/dev/null 2>&1 && command -v sox >/dev/null 2>&1") != 0)
            GTEST_SKIP() << "ffmpeg and sox are not installed";
    }
};

Samples mono_of(AudioFormat format, std::uint64_t frames) {
    return all_of(**converted(std::make_unique<Tones>(format, frames), {format.sample_rate_hz, 1}));
}

TEST(MediaFormats, HaveNamesInAnyLetterCase) {
    for (const MediaKind& kind : media_kinds()) {
        EXPECT_EQ(media_format(kind.name), kind.format);
        EXPECT_EQ(media_kind(kind.format).name, kind.name);
    }
    EXPECT_EQ(media_format("Mp3"), MediaFormat::mp3);
    EXPECT_EQ(media_format("OGG"), MediaFormat::ogg);
    EXPECT_FALSE(media_format("doc"));
    EXPECT_FALSE(media_format(""));
}

TEST(ConvertedAudio, MixesToMonoWithSaturation) {
    class Loud final : public RecordingAudio {
    public:
        AudioFormat format() const override { return kTelephone; }
        std::uint64_t total_frames() const override { return 4; }
        std::uint64_t damaged_chunks() const override { return 0; }
        Result<Samples> next() override { return std::exchange(left_, {}); }

    private:
        Samples left_{30'000, 30'000, -30'000, -30'000, 100, -30, 0, 7};
    };
    EXPECT_EQ(all_of(**converted(std::make_unique<Loud>(), {8000, 1})), (Samples{32'767, -32'768, 70, 7}));
}

TEST_P(MediaFile, SoundsAsTheRecording) {
    const MediaFormat format = GetParam();
    const auto file = opened(format, std::make_unique<Tones>(kTelephone, kFrames));
    const std::string bytes = bytes_of(*file);
    EXPECT_EQ(file->bytes().value_or(bytes.size()), bytes.size());
    const bool stereo = format == MediaFormat::wav || format == MediaFormat::flac || format == MediaFormat::ogg;
    const AudioFormat as{8000, static_cast<std::uint16_t>(stereo ? 2 : 1)};
    Samples got = decoded(format, bytes, as), meant = mono_of(kTelephone, kFrames);
    if (stereo) meant = all_of(*std::make_unique<Tones>(kTelephone, kFrames));
    if (format == MediaFormat::wav || format == MediaFormat::flac) {
        EXPECT_EQ(got, meant);
        return;
    }
    // MP3 and AAC come in whole frames, after the encoder's delay; M4A says of it (ffmpeg does not look there when the
    // file is fragmented), MP3 cannot. Opus says all and is cut.
    const std::size_t most = format == MediaFormat::mp3 ? 2500 : format == MediaFormat::m4a ? 2048 : 0;
    EXPECT_GE(got.size(), meant.size());
    EXPECT_LE(got.size(), meant.size() + most + 2);
    const Best best = best_match(meant, got, most);
    const double least_db = format == MediaFormat::ogg ? 30 : format == MediaFormat::m4a ? 40 : 18;
    EXPECT_GT(best.db, least_db) << "at a lag of " << best.lag;
}

TEST_P(MediaFile, StreamsBeforeTheRecordingIsReadToItsEnd) {
    // Of five minutes what can be had before the fifth is read is nearly all of four.
    constexpr std::uint64_t kLength = 8000 * 300, kBreak = 8000 * 240;
    const auto whole = bytes_of(*opened(GetParam(), std::make_unique<Tones>(kTelephone, kLength))).size();
    const auto file = opened(GetParam(), std::make_unique<Tones>(kTelephone, kLength, kBreak));
    std::size_t got = 0, largest = 0;
    for (;;) {
        const auto piece = file->next();
        if (!piece) {
            EXPECT_NE(piece.error().message.find("the disk is gone"), std::string::npos);
            break;
        }
        ASSERT_FALSE(piece->empty()) << "ended as if it was whole";
        largest = std::max(largest, piece->size());
        got += piece->size();
    }
    EXPECT_GT(got, whole / 300 * 230);
    EXPECT_LT(largest, 256U << 10);
}

TEST_P(MediaFile, TakesAnyRateAndLength) {
    for (const std::uint32_t rate_hz : {8000U, 16'000U, 32'000U, 44'100U, 48'000U}) {
        for (const std::uint64_t frames : {std::uint64_t{1}, std::uint64_t{rate_hz} * 2 + 1}) {
            const auto file = opened(GetParam(), std::make_unique<Tones>(AudioFormat{rate_hz, 1}, frames));
            const std::string bytes = bytes_of(*file);
            EXPECT_EQ(file->bytes().value_or(bytes.size()), bytes.size());
            const std::uint32_t as_hz = GetParam() == MediaFormat::vox ? 8000 : rate_hz;
            const Samples got = decoded(GetParam(), bytes, {as_hz, 1});
            if (frames > 1) {
                EXPECT_NEAR(static_cast<double>(got.size()) / as_hz, 2, 0.35) << rate_hz;
            }
        }
    }
}

TEST_P(MediaFile, OfNothingIsNoError) {
    const auto file = opened(GetParam(), std::make_unique<Tones>(kTelephone, 0));
    const std::string bytes = bytes_of(*file);
    EXPECT_EQ(bytes.empty(), GetParam() == MediaFormat::vox);
    EXPECT_TRUE(file->next()->empty());
}

INSTANTIATE_TEST_SUITE_P(All, MediaFile,
                         ::testing::Values(MediaFormat::wav, MediaFormat::mp3, MediaFormat::m4a, MediaFormat::vox,
                                           MediaFormat::flac, MediaFormat::ogg),
                         [](const auto& parameter) { return std::string(media_kind(parameter.param).name); });

}  // namespace
}  // namespace spantape::test
