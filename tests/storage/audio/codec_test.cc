// SPDX-License-Identifier: AGPL-3.0-or-later
// Decoding: G.711 against its definition and against ffmpeg and sox where they are installed; L16; payload types.
#include "storage/audio/codec.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace spantape {
namespace {

// The decoder tables' definition in ITU-T G.711, Tables 1a and 2a: value = sign * step of the segment, in 14 bits
// (mu) or 13 bits (A).
int mulaw_by_definition(int code) {
    const int inverted = 255 - code;
    const int segment = inverted / 16 % 8;
    const int step = inverted % 16;
    const int magnitude = (2 * step + 33) * (1 << segment) - 33;
    return (code < 128 ? -magnitude : magnitude) * 4;
}

int alaw_by_definition(int code) {
    const int even_inverted = code ^ 0x55;
    const int segment = even_inverted / 16 % 8;
    const int step = even_inverted % 16;
    const int magnitude = segment == 0 ? 2 * step + 1 : (2 * step + 33) * (1 << (segment - 1));
    return (even_inverted >= 128 ? magnitude : -magnitude) * 8;
}

std::vector<std::int16_t> decode_all(const PayloadFormat& format, const std::vector<std::uint8_t>& payload) {
    std::vector<std::int16_t> out(decoded_samples(format, payload.size()));
    EXPECT_EQ(decode(format, payload, out), out.size());
    return out;
}

std::vector<std::uint8_t> all_codes() {
    std::vector<std::uint8_t> codes(256);
    for (int code = 0; code < 256; ++code) codes[static_cast<std::size_t>(code)] = static_cast<std::uint8_t>(code);
    return codes;
}

bool installed(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

// Feeds all codes as raw G.711 through `command` (%s: input file) and reads 16-bit samples from its output.
std::vector<std::int16_t> decoded_by(const std::string& command_with_input) {
    const auto path = std::filesystem::temp_directory_path() / ("codec_test_" + std::to_string(getpid()) + ".raw");
    const auto codes = all_codes();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(codes.data()), 256);
    std::string command = command_with_input;
    command.replace(command.find("%s"), 2, path.string());
    std::vector<std::int16_t> samples(300);
    FILE* pipe = popen(command.c_str(), "r");
    samples.resize(std::fread(samples.data(), 2, samples.size(), pipe));
    pclose(pipe);
    std::filesystem::remove(path);
    return samples;
}

const PayloadFormat kMulaw{Encoding::pcmu, 8000, 1};
const PayloadFormat kAlaw{Encoding::pcma, 8000, 1};

TEST(Codec, MulawIsTheTableOfG711) {
    const auto samples = decode_all(kMulaw, all_codes());
    for (int code = 0; code < 256; ++code)
        EXPECT_EQ(samples[static_cast<std::size_t>(code)], mulaw_by_definition(code));
}

TEST(Codec, AlawIsTheTableOfG711) {
    const auto samples = decode_all(kAlaw, all_codes());
    for (int code = 0; code < 256; ++code) EXPECT_EQ(samples[static_cast<std::size_t>(code)], alaw_by_definition(code));
}

TEST(Codec, G711EqualsFfmpeg) {
    if (!installed("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
    const std::string tail = " -ar 8000 -i %s -f s16le -";
    EXPECT_EQ(decode_all(kMulaw, all_codes()), decoded_by("ffmpeg -v error -f mulaw" + tail));
    EXPECT_EQ(decode_all(kAlaw, all_codes()), decoded_by("ffmpeg -v error -f alaw" + tail));
}

TEST(Codec, G711EqualsSox) {
    if (!installed("sox")) GTEST_SKIP() << "sox is not installed";
    const std::string tail = " -r 8000 -c 1 %s -t s16 -L -";
    EXPECT_EQ(decode_all(kMulaw, all_codes()), decoded_by("sox -D -t ul" + tail));
    EXPECT_EQ(decode_all(kAlaw, all_codes()), decoded_by("sox -D -t al" + tail));
}

TEST(Codec, L16IsBigEndian) {
    const PayloadFormat format{Encoding::l16, 16000, 1};
    EXPECT_EQ(decode_all(format, {0x00, 0x01, 0x7f, 0xff, 0x80, 0x00, 0xff, 0xff}),
              (std::vector<std::int16_t>{1, 32767, -32768, -1}));
}

TEST(Codec, StereoL16IsMixedToOneChannelWithoutOverflow) {
    const PayloadFormat format{Encoding::l16, 44100, 2};
    EXPECT_EQ(decode_all(format, {0x7f, 0xff, 0x7f, 0xff, 0x80, 0x00, 0x80, 0x00, 0x00, 0x64, 0x00, 0xc8}),
              (std::vector<std::int16_t>{32767, -32768, 150}));
}

TEST(Codec, IncompleteSampleAtTheEndIsLeftOut) {
    const PayloadFormat mono{Encoding::l16, 8000, 1};
    EXPECT_EQ(decode_all(mono, {0x00, 0x01, 0x02}), (std::vector<std::int16_t>{1}));
    const PayloadFormat stereo{Encoding::l16, 8000, 2};
    EXPECT_EQ(decoded_samples(stereo, 7), 1u);
}

TEST(Codec, OneByteOfG711IsASilenceDescriptor) {
    EXPECT_EQ(decoded_samples(kMulaw, 1), 0u);
    EXPECT_EQ(decoded_samples(kAlaw, 1), 0u);
    EXPECT_EQ(decoded_samples(kAlaw, 2), 2u);
}

TEST(PayloadTypes, StaticOnesAreKnownWithoutSdp) {
    const auto table = payload_table({});
    EXPECT_EQ(table[0], (PayloadFormat{Encoding::pcmu, 8000, 1}));
    EXPECT_EQ(table[8], (PayloadFormat{Encoding::pcma, 8000, 1}));
    EXPECT_EQ(table[10], (PayloadFormat{Encoding::l16, 44100, 2}));
    EXPECT_EQ(table[11], (PayloadFormat{Encoding::l16, 44100, 1}));
    EXPECT_EQ(table[2], (PayloadFormat{Encoding::g726, 8000, 1, 4}));
    EXPECT_EQ(table[3], (PayloadFormat{Encoding::gsm, 8000, 1}));
    EXPECT_EQ(table[9], (PayloadFormat{Encoding::g722, 8000, 1}));
    EXPECT_EQ(table[18], (PayloadFormat{Encoding::g729, 8000, 1}));
    EXPECT_EQ(table[9].sample_rate_hz(), 16000u);
    EXPECT_EQ(table[4], (PayloadFormat{Encoding::g723, 8000, 1}));
    EXPECT_FALSE(table[5].audible());
    EXPECT_EQ(table[13].encoding, Encoding::comfort_noise);
    EXPECT_FALSE(table[13].audible());
    EXPECT_FALSE(table[96].audible());
}

TEST(PayloadTypes, FormsOfAmrThatAreNotReadAreSilence) {
    const auto format = [](const char* parameters, std::uint8_t channels = 1) {
        return payload_table(std::vector<PayloadMapping>{{96, "AMR", 8000, channels, parameters}})[96];
    };
    EXPECT_TRUE(format("mode-set=0,2; octet-align=1").octet_aligned);
    EXPECT_FALSE(format("octet-align=0").octet_aligned);
    EXPECT_TRUE(format("octet-align=0").audible());
    for (const char* other : {"octet-align=1; crc=1", "interleaving=30", "robust-sorting=1"})
        EXPECT_FALSE(format(other).audible()) << other;
    EXPECT_FALSE(format("", 2).audible());
}

TEST(PayloadTypes, LastMappingOfANumberCounts) {
    const std::vector<PayloadMapping> mappings = {{97, "PCMA", 8000, 1, ""}, {97, "L16", 16000, 2, ""}};
    EXPECT_EQ(payload_table(mappings)[97], (PayloadFormat{Encoding::l16, 16000, 2}));
}

TEST(PayloadTypes, NamesInAnyLetterCaseAndStaticNumbersCanBeRemapped) {
    const std::vector<PayloadMapping> mappings = {{0, "pcma", 8000, 1, ""}, {101, "telephone-event", 8000, 1, ""}};
    const auto table = payload_table(mappings);
    EXPECT_EQ(table[0].encoding, Encoding::pcma);
    EXPECT_FALSE(table[101].audible());
}

TEST(PayloadTypes, CodecsAreKnownByName) {
    const std::vector<PayloadMapping> mappings = {{96, "G726-24", 8000, 1, ""},
                                                  {97, "aal2-g726-40", 8000, 1, ""},
                                                  {100, "OPUS", 16000, 2, ""},
                                                  {98, "GSM", 8000, 1, ""},
                                                  {99, "G722", 16000, 1, ""}};  // a wrong clock that some send
    const auto table = payload_table(mappings);
    EXPECT_EQ(table[96], (PayloadFormat{Encoding::g726, 8000, 1, 3}));
    EXPECT_EQ(table[97], (PayloadFormat{Encoding::g726_aal2, 8000, 1, 5}));
    EXPECT_EQ(table[100], (PayloadFormat{Encoding::opus, 48000, 1}));
    EXPECT_EQ(table[98], (PayloadFormat{Encoding::gsm, 8000, 1}));
    EXPECT_EQ(table[99], (PayloadFormat{Encoding::g722, 8000, 1}));
}

TEST(PayloadTypes, AbsurdMappingsDoNoHarm) {
    const std::vector<PayloadMapping> mappings = {
        {200, "PCMU", 8000, 1, ""}, {96, "L16", 0, 0, ""}, {97, "L16", 4'000'000'000u, 255, ""}};
    const auto table = payload_table(mappings);
    EXPECT_EQ(table[96], (PayloadFormat{Encoding::l16, 8000, 1}));
    EXPECT_EQ(table[97].clock_rate_hz, 8000u);
    EXPECT_EQ(decoded_samples(table[97], 100), 0u);
}

}  // namespace
}  // namespace spantape
