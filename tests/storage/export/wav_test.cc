// SPDX-License-Identifier: AGPL-3.0-or-later
// WAV files: header bytes, RF64, and what other programs read from them.
#include "storage/export/wav.h"

#include <gtest/gtest.h>
#include <sndfile.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/storage/audio/fake_stream.h"

namespace spantape::test {
namespace {

namespace fs = std::filesystem;

class WavFile : public ::testing::Test {
protected:
    WavFile() : folder_(fs::temp_directory_path() / ("wav_test_" + std::to_string(getpid()))) {
        fs::create_directories(folder_);
    }
    ~WavFile() override { fs::remove_all(folder_); }

    // 1.25 s: the device's side speaks from 0.25 s on, the far side from 0.5 s on.
    static std::unique_ptr<RecordingAudio> audio() {
        auto chunks = std::make_unique<FakeChunks>();
        Recording recording = recording_of(1.25);
        add_stream(recording, *chunks, Side::device, even_frames(40, 250), 1);
        add_stream(recording, *chunks, Side::far, even_frames(30, 500), 2);
        auto opened = open_recording_audio(std::move(chunks), recording, 0);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    std::string exported() const {
        const std::string path = folder_ / "a.wav";
        const auto source = audio();
        const auto result = export_wav_file(*source, path);
        EXPECT_TRUE(result) << result.error().message;
        return path;
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }

    fs::path folder_;
};

bool installed(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

std::string output_of(const std::string& command) {
    std::string out(4096, '\0');
    FILE* pipe = popen(command.c_str(), "r");
    out.resize(std::fread(out.data(), 1, out.size(), pipe));
    pclose(pipe);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

std::uint64_t little_endian(const std::string& bytes, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    return value;
}

TEST(WavHeader, IsTheClassic44Bytes) {
    const std::string header = wav_header({8000, 2}, 10'000);
    ASSERT_EQ(header.size(), 44u);
    EXPECT_EQ(header.substr(0, 4), "RIFF");
    EXPECT_EQ(little_endian(header, 4, 4), 36u + 40'000u);
    EXPECT_EQ(header.substr(8, 8), "WAVEfmt ");
    EXPECT_EQ(little_endian(header, 16, 4), 16u);
    EXPECT_EQ(little_endian(header, 20, 2), 1u);
    EXPECT_EQ(little_endian(header, 22, 2), 2u);
    EXPECT_EQ(little_endian(header, 24, 4), 8000u);
    EXPECT_EQ(little_endian(header, 28, 4), 32'000u);
    EXPECT_EQ(little_endian(header, 32, 2), 4u);
    EXPECT_EQ(little_endian(header, 34, 2), 16u);
    EXPECT_EQ(header.substr(36, 4), "data");
    EXPECT_EQ(little_endian(header, 40, 4), 40'000u);
    EXPECT_EQ(wav_bytes({8000, 2}, 10'000), 40'044u);
}

TEST(WavHeader, BecomesRf64WhereTheSizesNoLongerFit) {
    const std::uint64_t largest_riff = (0xffffffffull - 36) / 4;
    EXPECT_EQ(wav_header({8000, 2}, largest_riff).size(), 44u);
    const std::uint64_t frames = largest_riff + 1;
    const std::string header = wav_header({8000, 2}, frames);
    ASSERT_EQ(header.size(), 80u);
    EXPECT_EQ(header.substr(0, 4), "RF64");
    EXPECT_EQ(little_endian(header, 4, 4), 0xffffffffu);
    EXPECT_EQ(header.substr(12, 4), "ds64");
    EXPECT_EQ(little_endian(header, 16, 4), 28u);
    EXPECT_EQ(little_endian(header, 20, 8), 72 + frames * 4);
    EXPECT_EQ(little_endian(header, 28, 8), frames * 4);
    EXPECT_EQ(little_endian(header, 36, 8), frames);
    EXPECT_EQ(header.substr(48, 4), "fmt ");
    EXPECT_EQ(header.substr(72, 4), "data");
    EXPECT_EQ(little_endian(header, 76, 4), 0xffffffffu);
    EXPECT_EQ(wav_bytes({8000, 2}, frames), 80 + frames * 4);
}

TEST_F(WavFile, HoldsTheSamplesAndNothingElseIsLeft) {
    const std::string path = exported();
    EXPECT_EQ(fs::file_size(path), wav_bytes({8000, 2}, 10'000));
    EXPECT_EQ(files(), 1u);
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const auto sample = [&](std::size_t frame, std::size_t channel) {
        return static_cast<std::int16_t>(little_endian(bytes, 44 + frame * 4 + channel * 2, 2));
    };
    EXPECT_EQ(sample(1999, 0), 0);
    for (std::size_t k = 0; k < 160; ++k) {
        EXPECT_EQ(sample(2000 + k, 0), decode_mulaw(code_of(0, static_cast<int>(k))));
        EXPECT_EQ(sample(4160 + k, 1), decode_mulaw(code_of(1, static_cast<int>(k))));
    }
}

TEST_F(WavFile, IsReadBySndfile) {
    SF_INFO info{};
    SNDFILE* file = sf_open(exported().c_str(), SFM_READ, &info);
    ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
    EXPECT_EQ(info.frames, 10'000);
    EXPECT_EQ(info.samplerate, 8000);
    EXPECT_EQ(info.channels, 2);
    EXPECT_EQ(info.format, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
    std::vector<std::int16_t> samples(20'000);
    EXPECT_EQ(sf_readf_short(file, samples.data(), 10'000), 10'000);
    EXPECT_EQ(samples[2 * 2005], decode_mulaw(code_of(0, 5)));
    sf_close(file);
}

TEST_F(WavFile, IsReadBySox) {
    if (!installed("soxi")) GTEST_SKIP() << "sox is not installed";
    const std::string path = exported();
    EXPECT_EQ(output_of("soxi -D " + path), "1.250000");
    EXPECT_EQ(output_of("soxi -r " + path), "8000");
    EXPECT_EQ(output_of("soxi -c " + path), "2");
    EXPECT_EQ(output_of("soxi -b " + path), "16");
}

TEST_F(WavFile, IsReadByFfprobe) {
    if (!installed("ffprobe")) GTEST_SKIP() << "ffprobe is not installed";
    EXPECT_EQ(output_of("ffprobe -v error -of csv=p=0 -show_entries stream=codec_name,sample_rate,channels,duration " +
                        exported()),
              "pcm_s16le,8000,2,1.250000");
}

TEST_F(WavFile, SinkThatStopsEndsTheExport) {
    const auto source = audio();
    int calls = 0;
    const auto result = export_wav(*source, [&](std::span<const char>) { return ++calls < 2; });
    EXPECT_FALSE(result);
    EXPECT_EQ(calls, 2);
}

TEST_F(WavFile, FolderThatIsNotThereIsNamed) {
    const auto source = audio();
    const auto result = export_wav_file(*source, folder_ / "nowhere" / "a.wav");
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("nowhere/a.wav"), std::string::npos);
    EXPECT_NE(result.error().message.find("No such file"), std::string::npos);
}

// Audio that breaks after its first second.
class BrokenAudio : public RecordingAudio {
public:
    AudioFormat format() const override { return {8000, 2}; }
    std::uint64_t total_frames() const override { return 16'000; }
    Result<std::vector<std::int16_t>> next() override {
        if (std::exchange(begun_, true)) return fail("segment 7 is gone");
        return std::vector<std::int16_t>(16'000);
    }
    std::uint64_t damaged_chunks() const override { return 0; }

private:
    bool begun_ = false;
};

TEST_F(WavFile, FailedExportLeavesNoFileAndTheOldOneInPlace) {
    const std::string path = exported();
    const auto before = fs::file_size(path);
    BrokenAudio broken;
    const auto result = export_wav_file(broken, path);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("segment 7 is gone"), std::string::npos);
    EXPECT_EQ(fs::file_size(path), before);
    EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace spantape::test
