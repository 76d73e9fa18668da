// SPDX-License-Identifier: AGPL-3.0-or-later
// Each codec with a state: a known signal, encoded by ffmpeg or the codec's own encoder, decoded here packet by packet
// and by ffmpeg as a whole.
#include "storage/audio/decoder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

extern "C" {
#include <bcg729/encoder.h>
}
#include <opus/opus.h>
#include <sndfile.h>
#include <spandsp.h>

#include "tests/storage/audio/fake_stream.h"

namespace spantape {
namespace {

using Samples = std::vector<std::int16_t>;
using Bytes = std::vector<std::uint8_t>;

bool installed(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

// Three voices that rise, fall and pause, and a little noise, at a usual level of speech.
Samples speech_like(std::uint32_t rate_hz, double seconds) {
    Samples samples(static_cast<std::size_t>(seconds * rate_hz));
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const double t = static_cast<double>(i) / rate_hz;
        const double loudness = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * 1.7 * t);
        double sum = 0;
        for (const double hz : {190.0, 610.0, 1730.0}) {
            sum += std::sin(2 * std::numbers::pi * (hz * t + 0.1 * hz * std::sin(3 * t)));
        }
        const double noise = static_cast<double>(mix_bits(i) % 2001) - 1000.0;
        samples[i] = static_cast<std::int16_t>(std::lround(loudness * (2500 * sum + 0.2 * noise)));
    }
    return samples;
}

template <typename Items>
Items read_all(const std::filesystem::path& path) {
    Items items(std::filesystem::file_size(path) / sizeof(items[0]));
    std::ifstream(path, std::ios::binary)
        .read(reinterpret_cast<char*>(items.data()), static_cast<std::streamsize>(items.size() * sizeof(items[0])));
    return items;
}

template <typename Items>
void write_all(const std::filesystem::path& path, const Items& items) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(items.data()),
               static_cast<std::streamsize>(items.size() * sizeof(items[0])));
}

template <typename To, typename From>
To through_ffmpeg(const From& input, const std::string& how_in, const std::string& how_out) {
    const auto folder = std::filesystem::temp_directory_path();
    const auto in = folder / ("decoder_test_in_" + std::to_string(getpid()));
    const auto out = folder / ("decoder_test_out_" + std::to_string(getpid()));
    write_all(in, input);
    const std::string command =
        "ffmpeg -nostdin -y -v error " + how_in + " -i " + in.string() + " " + how_out + " " + out.string();
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    auto result = read_all<To>(out);
    std::filesystem::remove(in);
    std::filesystem::remove(out);
    return result;
}

Samples decoded(Decoder& decoder, const PayloadFormat& format, std::span<const std::uint8_t> payload) {
    Samples samples(frame_samples(format, payload), 12345);
    decoder.decode(payload, samples);
    return samples;
}

Samples decoded(const PayloadFormat& format, std::span<const std::uint8_t> stream, std::size_t packet_bytes) {
    const auto decoder = make_decoder(format);
    Samples all;
    for (std::size_t at = 0; at < stream.size(); at += packet_bytes) {
        const auto samples = decoded(*decoder, format, stream.subspan(at, std::min(packet_bytes, stream.size() - at)));
        all.insert(all.end(), samples.begin(), samples.end());
    }
    return all;
}

// Of `heard` against `wanted`, in dB; both from `skip` on.
double signal_to_noise(const Samples& wanted, const Samples& heard, std::size_t skip = 0) {
    double signal = 0;
    double noise = 1e-9;
    for (std::size_t i = skip; i < std::min(wanted.size(), heard.size()); ++i) {
        signal += static_cast<double>(wanted[i]) * wanted[i];
        noise += (static_cast<double>(wanted[i]) - heard[i]) * (static_cast<double>(wanted[i]) - heard[i]);
    }
    return 10 * std::log10(signal / noise);
}

constexpr double kExact = 150;

struct FileCodec {
    std::string name;
    PayloadFormat format;
    std::string encoder;  // ffmpeg's, and its file format
    std::string file_format;
    std::size_t packet_bytes = 0;  // of 20 ms
    double least_db = kExact;      // our samples against ffmpeg's
};

class CodecOfFfmpeg : public testing::TestWithParam<FileCodec> {};

TEST_P(CodecOfFfmpeg, DecodesToTheSameSamples) {
    if (!installed("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
    const FileCodec& codec = GetParam();
    const std::uint32_t rate_hz = codec.format.sample_rate_hz();
    const std::string raw = "-f s16le -ac 1 -ar " + std::to_string(rate_hz);
    const Samples original = speech_like(rate_hz, 3);
    const auto stream = through_ffmpeg<Bytes>(original, raw, codec.encoder);
    const Samples ours = decoded(codec.format, stream, codec.packet_bytes);
    const Samples theirs = through_ffmpeg<Samples>(stream, codec.file_format, raw);
    ASSERT_NEAR(static_cast<double>(ours.size()), static_cast<double>(original.size()), rate_hz / 50.0);
    ASSERT_EQ(ours.size(), theirs.size());
    EXPECT_GE(signal_to_noise(theirs, ours), codec.least_db);
}

// ffmpeg's predictor is not ITU-T's to the bit and drifts away from it for a while; at 40 kbit/s it is of no use.
FileCodec g726(int bits, bool aal2) {
    const std::string file = aal2 ? "g726" : "g726le";
    const std::string size = " -code_size " + std::to_string(bits);
    return {"G726_" + std::to_string(bits * 8) + (aal2 ? "_aal2" : ""),
            {aal2 ? Encoding::g726_aal2 : Encoding::g726, 8000, 1, static_cast<std::uint8_t>(bits)},
            "-c:a " + file + size + " -f " + file,
            "-f " + file + size + " -ar 8000",
            static_cast<std::size_t>(bits) * 20,
            25};
}

INSTANTIATE_TEST_SUITE_P(
    Decoder, CodecOfFfmpeg,
    testing::Values(FileCodec{"G722", {Encoding::g722, 8000, 1}, "-c:a g722 -f g722", "-f g722", 160},
                    FileCodec{"GSM", {Encoding::gsm, 8000, 1}, "-c:a libgsm -f gsm", "-c:a gsm -f gsm", 33},
                    g726(2, false), g726(3, false), g726(4, false), g726(2, true), g726(3, true), g726(4, true)),
    [](const auto& each) { return each.param.name; });

// libsndfile's G.726 is Sun's of 1992, which packs as RFC 3551 does; its rounding is not ours either.
TEST(Decoder, G726FollowsLibsndfile) {
    const std::pair<int, int> kinds[] = {{3, SF_FORMAT_G723_24}, {4, SF_FORMAT_G721_32}, {5, SF_FORMAT_G723_40}};
    for (const auto& [bits, kind] : kinds) {
        const auto path = std::filesystem::temp_directory_path() / ("decoder_test_" + std::to_string(getpid()) + ".au");
        const Samples original = speech_like(8000, 3);
        SF_INFO info{0, 8000, 1, SF_FORMAT_AU | kind, 0, 0};
        SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
        ASSERT_NE(file, nullptr);
        sf_write_short(file, original.data(), static_cast<sf_count_t>(original.size()));
        sf_close(file);
        info = {};
        file = sf_open(path.c_str(), SFM_READ, &info);
        Samples theirs(original.size());
        sf_read_short(file, theirs.data(), static_cast<sf_count_t>(theirs.size()));
        sf_close(file);
        const auto au = read_all<Bytes>(path);
        std::filesystem::remove(path);
        const std::size_t head = au[6] * 256U + au[7];
        const PayloadFormat format{Encoding::g726, 8000, 1, static_cast<std::uint8_t>(bits)};
        const Samples ours = decoded(format, std::span(au).subspan(head), static_cast<std::size_t>(bits) * 20);
        EXPECT_GE(signal_to_noise(theirs, ours), 15) << bits;
    }
}

// Both packings hold the same codes, so they give the same samples.
TEST(Decoder, G726PackingsDifferOnlyInTheOrderOfBits) {
    const Samples original = speech_like(8000, 2);
    for (int bits = 2; bits <= 5; ++bits) {
        Samples heard[2];
        for (const bool aal2 : {false, true}) {
            g726_state_t* encoder =
                g726_init(nullptr, bits * 8000, G726_ENCODING_LINEAR, aal2 ? G726_PACKING_LEFT : G726_PACKING_RIGHT);
            Bytes stream(original.size());
            stream.resize(static_cast<std::size_t>(
                g726_encode(encoder, stream.data(), original.data(), static_cast<int>(original.size()))));
            g726_free(encoder);
            const PayloadFormat format{aal2 ? Encoding::g726_aal2 : Encoding::g726, 8000, 1,
                                       static_cast<std::uint8_t>(bits)};
            heard[aal2 ? 1 : 0] = decoded(format, stream, static_cast<std::size_t>(bits) * 20);
        }
        EXPECT_EQ(heard[0], heard[1]) << bits;
        EXPECT_GE(signal_to_noise(original, heard[0]), 6 * bits) << bits;
    }
}

TEST(Decoder, SeveralFramesInOnePacketAreTheSame) {
    if (!installed("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
    const PayloadFormat format{Encoding::gsm, 8000, 1};
    const auto stream = through_ffmpeg<Bytes>(speech_like(8000, 1), "-f s16le -ac 1 -ar 8000", "-c:a libgsm -f gsm");
    EXPECT_EQ(decoded(format, stream, 33), decoded(format, stream, 99));
}

TEST(Decoder, IncompleteFramesAtTheEndAreLeftOut) {
    const Bytes payload(101, 0xd5);
    EXPECT_EQ(frame_samples({Encoding::gsm, 8000, 1}, payload), 480u);
    EXPECT_EQ(frame_samples({Encoding::g722, 8000, 1}, payload), 202u);
    EXPECT_EQ(frame_samples({Encoding::g726, 8000, 1, 2}, payload), 404u);
    EXPECT_EQ(frame_samples({Encoding::g726, 8000, 1, 3}, payload), 264u);
    EXPECT_EQ(frame_samples({Encoding::g726, 8000, 1, 5}, payload), 160u);
    for (int bits = 2; bits <= 5; ++bits) {
        const PayloadFormat format{Encoding::g726, 8000, 1, static_cast<std::uint8_t>(bits)};
        const auto decoder = make_decoder(format);
        const Samples samples = decoded(*decoder, format, payload);
        EXPECT_EQ(std::ranges::count(samples, 12345), 0) << bits;
    }
}

using Packets = std::vector<Bytes>;  // of 20 ms; an empty one was not sent

constexpr std::uint8_t kDynamic = 96;

Packets g729_packets(const Samples& samples, bool noise_suppressed) {
    bcg729EncoderChannelContextStruct* encoder = initBcg729EncoderChannel(noise_suppressed ? 1 : 0);
    Packets packets;
    for (std::size_t at = 0; at + 160 <= samples.size(); at += 160) {
        Bytes packet;
        for (const std::size_t half : {0, 80}) {
            std::uint8_t frame[10] = {};
            std::uint8_t bytes = 0;
            bcg729Encoder(encoder, samples.data() + at + half, frame, &bytes);
            packet.insert(packet.end(), frame, frame + bytes);
        }
        packets.push_back(packet);
    }
    closeBcg729EncoderChannel(encoder);
    return packets;
}

struct OpusOptions {
    int channels = 1;
    bool recoverable = false;
    bool silence_suppressed = false;
    int bitrate = 32000;
};

Packets opus_packets(const Samples& interleaved, const OpusOptions& options) {
    int error = 0;
    OpusEncoder* encoder = opus_encoder_create(48000, options.channels, OPUS_APPLICATION_VOIP, &error);
    EXPECT_EQ(error, OPUS_OK);
    opus_encoder_ctl(encoder, OPUS_SET_BITRATE(options.bitrate * options.channels));
    opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(options.recoverable ? 1 : 0));
    opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(options.recoverable ? 20 : 0));
    opus_encoder_ctl(encoder, OPUS_SET_DTX(options.silence_suppressed ? 1 : 0));
    if (options.recoverable || options.silence_suppressed)
        opus_encoder_ctl(encoder, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
    Packets packets;
    const std::size_t step = 960U * static_cast<std::size_t>(options.channels);
    for (std::size_t at = 0; at + step <= interleaved.size(); at += step) {
        std::uint8_t packet[1500];
        const int bytes = opus_encode(encoder, interleaved.data() + at, 960, packet, sizeof packet);
        EXPECT_GT(bytes, 0);
        packets.emplace_back(packet, packet + std::max(bytes, 0));
    }
    opus_encoder_destroy(encoder);
    return packets;
}

// What a recording gives for these packets. The timestamp of a packet not sent passes; its number only if it was lost.
test::Rendered rendered(const Packets& packets, const PayloadMapping& mapping, bool not_sent_is_lost) {
    test::Frames frames;
    std::uint16_t sequence = 65'500;  // wraps
    for (std::size_t n = 0; n < packets.size(); ++n) {
        const auto timestamp = static_cast<std::uint32_t>(n * mapping.clock_rate_hz / 50);
        const auto time = test::kStart + static_cast<TimeNs>(n) * 20 * kNsPerMs;
        if (!packets[n].empty()) frames.push_back({time, sequence, timestamp, mapping.payload_type, packets[n]});
        if (!packets[n].empty() || not_sent_is_lost) ++sequence;
    }
    test::FakeChunks chunks;
    Recording recording = test::recording_of(static_cast<double>(packets.size()) * 0.02);
    test::add_stream(recording, chunks, Side::device, frames).payloads = {mapping};
    const auto out = test::render(recording, chunks);
    EXPECT_EQ(out.error, "");
    EXPECT_EQ(out.left.size(), packets.size() * out.format.sample_rate_hz / 50);
    return out;
}

const PayloadMapping kG729Mapping{kDynamic, "G729", 8000, 1, "annexb=yes"};
const PayloadMapping kOpusMapping{kDynamic, "opus", 48000, 2, "useinbandfec=1"};

double rms(std::span<const std::int16_t> samples) {
    double sum = 0;
    for (const std::int16_t sample : samples) sum += static_cast<double>(sample) * sample;
    return std::sqrt(sum / static_cast<double>(samples.size()));
}

// Of the 20 ms of each packet not sent.
Samples where_not_sent(const Packets& packets, const Samples& channel) {
    const std::size_t step = channel.size() / packets.size();
    Samples samples;
    for (std::size_t n = 0; n < packets.size(); ++n) {
        const auto begin = channel.begin() + static_cast<std::ptrdiff_t>(n * step);
        if (packets[n].empty()) samples.insert(samples.end(), begin, begin + static_cast<std::ptrdiff_t>(step));
    }
    return samples;
}

Packets without_every(Packets packets, std::size_t nth) {
    for (std::size_t n = nth; n < packets.size(); n += nth) packets[n].clear();
    return packets;
}

TEST(Decoder, G729FollowsFfmpeg) {
    if (!installed("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
    const auto packets = g729_packets(speech_like(8000, 3), false);
    Bytes stream;
    for (const Bytes& packet : packets) stream.insert(stream.end(), packet.begin(), packet.end());
    const Samples ours = rendered(packets, kG729Mapping, true).left;
    const Samples theirs = through_ffmpeg<Samples>(stream, "-f g729", "-f s16le -ac 1 -ar 8000");
    ASSERT_EQ(ours.size(), theirs.size());
    // ffmpeg's post-filter is that of G.729 itself, ours that of Annex A.
    EXPECT_GE(signal_to_noise(theirs, ours), 18);
}

// Noise that is hardly ever sent, speech, noise, speech: a second each.
Samples speech_and_pause(std::uint32_t rate_hz, int noise) {
    Samples samples = speech_like(rate_hz, 4);
    for (std::size_t i = 0; i < samples.size(); ++i)
        if (i / rate_hz % 2 == 0)
            samples[i] =
                static_cast<std::int16_t>(static_cast<int>(mix_bits(i) % static_cast<unsigned>(2 * noise)) - noise);
    return samples;
}

TEST(Decoder, G729NoiseGoesOnWhileNothingIsSent) {
    const auto packets = g729_packets(speech_and_pause(8000, 30), true);
    const auto not_sent = std::ranges::count(packets, Bytes());
    ASSERT_GE(not_sent, 10);
    ASSERT_GE(std::ranges::count(packets, std::size_t{2}, &Bytes::size), 1);
    const Samples left = rendered(packets, kG729Mapping, false).left;
    const auto step = std::size_t{160};
    for (std::size_t n = 0; n < packets.size(); ++n) {
        if (!packets[n].empty()) continue;
        const double level = rms(std::span(left).subspan(n * step, step));
        EXPECT_GE(level, 5) << n;
        EXPECT_LE(level, 60) << n;
    }
}

TEST(Decoder, AShortLossOfG729IsConcealed) {
    const auto packets = g729_packets(speech_like(8000, 3), false);
    const auto lossy = without_every(packets, 10);
    const Samples whole = rendered(packets, kG729Mapping, true).left;
    const Samples left = rendered(lossy, kG729Mapping, true).left;
    const Samples wanted = where_not_sent(lossy, whole);
    const double concealed = rms(where_not_sent(lossy, left));
    EXPECT_GE(concealed, rms(wanted) / 4);
    EXPECT_LE(concealed, rms(wanted) * 2);
}

// Frames of 20 ms by spandsp's encoders.
Packets packets_of(const PayloadMapping& mapping, const Samples& samples) {
    const std::size_t step = mapping.encoding == "G722" ? 320 : 160;
    g722_encode_state_t* g722 = g722_encode_init(nullptr, 64000, 0);
    gsm0610_state_t* gsm = gsm0610_init(nullptr, GSM0610_PACKING_VOIP);
    Packets packets;
    for (std::size_t at = 0; at + step <= samples.size(); at += step) {
        const std::int16_t* frame = samples.data() + at;
        Bytes packet(160);
        if (mapping.encoding == "G722") {
            packet.resize(static_cast<std::size_t>(g722_encode(g722, packet.data(), frame, static_cast<int>(step))));
        } else if (mapping.encoding == "GSM") {
            packet.resize(static_cast<std::size_t>(gsm0610_encode(gsm, packet.data(), frame, static_cast<int>(step))));
        } else {
            for (std::size_t i = 0; i < step; ++i) packet[i] = linear_to_alaw(frame[i]);
        }
        packets.push_back(std::move(packet));
    }
    g722_encode_free(g722);
    gsm0610_free(gsm);
    return packets;
}

// A voice at one pitch, and what a codec without a concealment of its own makes of it.
TEST(Decoder, AShortLossIsConcealedWhereTheCodecKnowsNothing) {
    for (const PayloadMapping& mapping :
         {PayloadMapping{8, "PCMA", 8000, 1, ""}, PayloadMapping{9, "G722", 8000, 1, ""},
          PayloadMapping{3, "GSM", 8000, 1, ""}}) {
        SCOPED_TRACE(mapping.encoding);
        const std::uint32_t rate_hz = mapping.encoding == "G722" ? 16000 : 8000;
        Samples voice(rate_hz * 3);
        for (std::size_t i = 0; i < voice.size(); ++i) {
            const double t = static_cast<double>(i) / rate_hz;
            double sum = 0;
            for (int n = 1; n <= 5; ++n) sum += std::sin(2 * std::numbers::pi * 180 * n * t + n * n) / n;
            voice[i] = static_cast<std::int16_t>(4000 * sum * (1 + 0.3 * std::sin(4 * t)));
        }
        const Packets packets = packets_of(mapping, voice);
        const Packets lossy = without_every(packets, 10);
        const Samples whole = rendered(packets, mapping, true).left;
        const Samples left = rendered(lossy, mapping, true).left;
        EXPECT_GE(signal_to_noise(where_not_sent(lossy, whole), where_not_sent(lossy, left)), 6);
        if (mapping.encoding != "PCMA") continue;
        const std::size_t step = rate_hz / 50;
        for (std::size_t n = 0; n < packets.size(); ++n) {
            if (n % 10 <= 1) continue;  // the frame after a loss is blended in
            const auto begin = static_cast<std::ptrdiff_t>(n * step), end = begin + static_cast<std::ptrdiff_t>(step);
            EXPECT_TRUE(std::equal(left.begin() + begin, left.begin() + end, whole.begin() + begin)) << n;
        }
    }
}

TEST(Decoder, ALongLossIsSilence) {
    for (const bool is_opus : {false, true}) {
        const PayloadMapping& mapping = is_opus ? kOpusMapping : kG729Mapping;
        auto packets =
            is_opus ? opus_packets(speech_like(48000, 2), {1, true, false}) : g729_packets(speech_like(8000, 2), false);
        for (std::size_t n = 40; n < 50; ++n) packets[n].clear();
        EXPECT_EQ(rms(where_not_sent(packets, rendered(packets, mapping, true).left)), 0) << mapping.encoding;
    }
    const PayloadMapping alaw{8, "PCMA", 8000, 1, ""};
    Packets packets = packets_of(alaw, speech_like(8000, 2));
    for (std::size_t n = 40; n < 50; ++n) packets[n].clear();
    EXPECT_EQ(rms(where_not_sent(packets, rendered(packets, alaw, true).left)), 0);
}

TEST(Decoder, OpusIsHeardAtFullBand) {
    const Samples original = speech_like(48000, 2);
    const auto out = rendered(opus_packets(original, {1, false, false, 128000}), kOpusMapping, true);
    EXPECT_EQ(out.format.sample_rate_hz, 48000u);
    // libopus looks 6.5 ms ahead, and its high-pass filter turns the phase of low tones.
    const Samples shifted(out.left.begin() + 312, out.left.end());
    EXPECT_GE(signal_to_noise(original, shifted, 4800), 8);
}

TEST(Decoder, StereoOpusIsFoldedToOneChannel) {
    const Samples original = speech_like(48000, 2);
    Samples left_only;
    for (const std::int16_t sample : original) left_only.insert(left_only.end(), {sample, 0});
    const auto mono = rendered(opus_packets(original, {}), kOpusMapping, true);
    const auto folded = rendered(opus_packets(left_only, {2, false, false}), kOpusMapping, true);
    EXPECT_NEAR(rms(folded.left), rms(mono.left) / 2, rms(mono.left) / 20);
}

TEST(Decoder, ALostFrameOfOpusIsRecoveredFromTheNextOne) {
    const Samples original = speech_like(48000, 4);
    const auto with = opus_packets(original, {1, true, false});
    const auto without = opus_packets(original, {1, false, true});  // the same band, nothing to recover from
    double db[2] = {};
    for (const bool recoverable : {false, true}) {
        const Packets& packets = recoverable ? with : without;
        const auto lossy = without_every(packets, 5);
        const Samples whole = rendered(packets, kOpusMapping, true).left;
        const Samples heard = rendered(lossy, kOpusMapping, true).left;
        db[recoverable ? 1 : 0] = signal_to_noise(where_not_sent(lossy, whole), where_not_sent(lossy, heard));
    }
    RecordProperty("concealed_db", std::to_string(db[0]));
    RecordProperty("recovered_db", std::to_string(db[1]));
    EXPECT_GE(db[1], db[0] + 3) << db[0];
}

TEST(Decoder, OpusNoiseGoesOnWhileNothingIsSent) {
    auto packets = opus_packets(speech_and_pause(48000, 60), {1, false, true});
    // As senders do: what says no more than "silent" goes out once, at the beginning, and every 400 ms.
    std::size_t announced = 1000;
    for (std::size_t n = 0; n < packets.size(); ++n) {
        const bool silent = packets[n].size() <= 2;
        if (!silent) announced = 1000;
        if (silent && announced != 1000 && n - announced < 20)
            packets[n].clear();
        else if (silent)
            announced = n;
    }
    ASSERT_GE(std::ranges::count(packets, Bytes()), 15);
    const auto channel = rendered(packets, kOpusMapping, false).left;
    const double level = rms(where_not_sent(packets, channel));
    EXPECT_GE(level, 3);
    EXPECT_LE(level, 120);
}

// A codec change in the middle, and back: each run has a decoder of its own, as its sender has an encoder.
TEST(Decoder, CodecsChangeWithinAStream) {
    const Samples original = speech_like(8000, 1);
    const auto g729 = g729_packets(original, false);
    test::Frames frames;
    for (std::uint16_t n = 0; n < 150; ++n) {
        const bool first = n < 50 || n >= 100;
        test::Frame frame = test::even_frames(1).front();
        frame.arrival_ns = test::kStart + n * 20 * kNsPerMs;
        frame.sequence = n;
        frame.timestamp = n * 160U;
        frame.payload_type = first ? kDynamic : test::kPcmu;
        if (first) frame.payload = g729[n % 50U];
        frames.push_back(frame);
    }
    test::FakeChunks chunks;
    Recording recording = test::recording_of(3);
    test::add_stream(recording, chunks, Side::device, frames).payloads = {kG729Mapping};
    const Samples left = test::render(recording, chunks).left;
    ASSERT_EQ(left.size(), 24000u);
    EXPECT_TRUE(std::equal(left.begin(), left.begin() + 8000, left.begin() + 16000));
    EXPECT_EQ(test::find_frame(left, 0), 8000);
}

TEST(Decoder, DamagedPayloadsAreSilenceOrNoise) {
    for (const Encoding encoding : {Encoding::g729, Encoding::opus, Encoding::gsm, Encoding::g722}) {
        const PayloadFormat format{encoding, encoding == Encoding::opus ? 48000u : 8000u, 1};
        const auto decoder = make_decoder(format);
        for (std::size_t n = 0; n < 2000; ++n) {
            Bytes payload(mix_bits(n) % 80);
            for (std::size_t i = 0; i < payload.size(); ++i)
                payload[i] = static_cast<std::uint8_t>(mix_bits(n << 16 | i));
            if (frame_samples(format, payload) == 0) continue;
            EXPECT_LE(frame_samples(format, payload), 5760u);
            const Gap gap{mix_bits(n) % 10'000, n % 3 == 0};
            EXPECT_LE(decoder->fill(gap, payload).size(), gap.samples);
            decoded(*decoder, format, payload);
        }
    }
}

}  // namespace
}  // namespace spantape
