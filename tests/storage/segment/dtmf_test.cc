// SPDX-License-Identifier: AGPL-3.0-or-later
// Digits: what is told to carry one, and what the writer leaves out.
#include <cmath>
#include <numbers>
#include <set>

#include "storage/dtmf_mask.h"
#include "tests/storage/segment/writer_rig.h"

namespace spantape {
namespace {

constexpr TimeNs kFrameNs = 20 * kNsPerMs;
constexpr std::string_view kDigits = "123A456B789C*0#D";
constexpr double kRows[] = {697, 770, 852, 941}, kColumns[] = {1209, 1336, 1477, 1633};  // ITU-T Q.23

struct Tone {
    char digit = '1';
    std::size_t begin = 0, end = 0;  // samples
};

// Something to be heard that is no tone: two voices' worth of wandering pitch, rather low; and the digits over it.
std::vector<std::int16_t> audio_with(const std::vector<Tone>& tones, std::size_t samples, std::uint32_t rate_hz) {
    std::vector<std::int16_t> audio(samples);
    double phase = 0;
    for (std::size_t n = 0; n < samples; ++n) {
        const double t = static_cast<double>(n) / rate_hz;
        phase += 2 * std::numbers::pi * (180 + 60 * std::sin(t * 5)) / rate_hz;
        double value = 700 * std::sin(phase) + 350 * std::sin(3 * phase) + 200 * std::sin(7 * phase);
        for (const Tone& tone : tones) {
            if (n < tone.begin || n >= tone.end) continue;
            const std::size_t digit = kDigits.find(tone.digit);
            value = 5000 * std::sin(2 * std::numbers::pi * kRows[digit / 4] * t) +
                    5000 * std::sin(2 * std::numbers::pi * kColumns[digit % 4] * t);
        }
        audio[n] = static_cast<std::int16_t>(value);
    }
    return audio;
}

std::uint8_t nearest(std::int16_t sample, std::int16_t (*decode_one)(std::uint8_t)) {
    int best = 0;
    for (int code = 1; code < 256; ++code)
        if (std::abs(decode_one(static_cast<std::uint8_t>(code)) - sample) <
            std::abs(decode_one(static_cast<std::uint8_t>(best)) - sample))
            best = code;
    return static_cast<std::uint8_t>(best);
}

std::vector<std::uint8_t> encoded(std::span<const std::int16_t> samples, Encoding encoding) {
    std::vector<std::uint8_t> payload;
    for (const std::int16_t sample : samples) {
        if (encoding == Encoding::l16) {
            payload.push_back(static_cast<std::uint8_t>(static_cast<std::uint16_t>(sample) >> 8));
            payload.push_back(static_cast<std::uint8_t>(sample & 0xff));
        } else {
            payload.push_back(nearest(sample, encoding == Encoding::pcmu ? decode_mulaw : decode_alaw));
        }
    }
    return payload;
}

// One verdict a frame, taken as soon as it is settled.
std::vector<bool> verdicts(const std::vector<std::int16_t>& audio, const PayloadFormat& format, std::size_t frame) {
    DtmfMask mask;
    std::vector<bool> all;
    for (std::size_t at = 0; at + frame <= audio.size(); at += frame) {
        mask.scan(format, encoded({audio.data() + at, frame}, format.encoding));
        while (mask.settled()) {
            all.push_back(mask.masked());
            mask.pop();
        }
    }
    for (; !mask.empty(); mask.pop()) all.push_back(mask.masked());
    return all;
}

TEST(DtmfMask, EveryFrameThatHoldsPartOfADigitIsMaskedAndNoneFarFromIt) {
    struct Case {
        PayloadFormat format;
        std::size_t frame_ms;
    };
    for (const Case& one :
         {Case{{Encoding::pcmu, 8000, 1}, 20}, Case{{Encoding::pcma, 8000, 1}, 20}, Case{{Encoding::pcmu, 8000, 1}, 10},
          Case{{Encoding::pcma, 8000, 1}, 30}, Case{{Encoding::pcmu, 8000, 1}, 60}, Case{{Encoding::l16, 8000, 1}, 20},
          Case{{Encoding::l16, 16000, 1}, 20}}) {
        const std::size_t frame = one.frame_ms * one.format.clock_rate_hz / 1000;
        const std::size_t ms = one.format.clock_rate_hz / 1000;
        for (std::size_t number = 0; number < kDigits.size(); ++number) {
            const std::size_t begin = (600 + number * 7) * ms + number * 3;  // wherever within a frame and a block
            const Tone tone{kDigits[number], begin, begin + 80 * ms};
            const auto masked = verdicts(audio_with({tone}, 1500 * ms, one.format.clock_rate_hz), one.format, frame);
            ASSERT_EQ(masked.size(), 1500 * ms / frame);
            for (std::size_t i = 0; i < masked.size(); ++i) {
                const std::size_t first = i * frame, last = first + frame;
                const std::size_t margin = 80 * ms + frame;  // told late, and a frame more
                SCOPED_TRACE(fmt::format("digit {} frame {} of {} ms", tone.digit, i, one.frame_ms));
                const bool inside = last > tone.begin && first < tone.end;
                const bool far = last + margin < tone.begin || first > tone.end + margin;
                ASSERT_TRUE(masked[i] ? !far : !inside);
            }
        }
    }
}

TEST(DtmfMask, WithoutADigitNothingIsMasked) {
    const auto masked = verdicts(audio_with({}, 80'000, 8000), {Encoding::pcmu, 8000, 1}, 160);
    EXPECT_EQ(std::ranges::count(masked, true), 0);
}

struct DtmfRig {
    explicit DtmfRig(const std::string& directory)
        : rig(small(directory), 64, {.mask_dtmf = true, .capture_now = [this] { return capture_ns; }}) {
        rig.open(stream);
    }
    void put(std::uint8_t payload_type, const std::vector<std::uint8_t>& payload) {
        RingRecord record = frame_record(number++, payload.size(), capture_ns);
        record.payload_type = payload_type;
        const auto* bytes = reinterpret_cast<const std::byte*>(payload.data());
        ASSERT_TRUE(stream.put(record, {bytes, bytes + payload.size()}));
        capture_ns += kFrameNs;
        rig.turn(kFrameNs);
    }
    // Sequence numbers of what was stored.
    std::set<std::uint16_t> stored() {
        std::set<std::uint16_t> all;
        SegmentReader reader(rig.directory);
        const auto chunks = *rig.index.chunks(stream.handle.stream_id);
        for (const ChunkEntry& entry : chunks)
            reader.read(entry)->for_each_frame([&](const StoredFrame& frame) { all.insert(frame.sequence); });
        return all;
    }
    void end() {
        ASSERT_TRUE(stream.put_mark(RingRecordKind::end, capture_ns));
        rig.command(PutRecording{recording_of(1, 10), true});
        ASSERT_TRUE(rig.turn_until([&] { return !rig.recordings.empty(); }));
    }
    TimeNs capture_ns = 1000 * kNsPerSecond;
    std::uint32_t number = 0;
    TestStream stream{1, 10};
    Rig rig;
};

TEST(MediaWriterDtmf, TonesAreLeftOutWhereverTheWriterHappensToDrain) {
    const TemporaryDirectory directory;
    DtmfRig dtmf(directory.path());
    std::vector<Tone> tones;
    for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t begin = 4000 + i * 3770;  // 471 ms apart: each at another point of the writer's walk
        tones.push_back({kDigits[i], begin, begin + 640});
    }
    const auto audio = audio_with(tones, 70'400, 8000);
    for (std::size_t at = 0; at < audio.size(); at += 160)
        dtmf.put(0, encoded({audio.data() + at, 160}, Encoding::pcmu));
    dtmf.end();
    const auto stored = dtmf.stored();
    EXPECT_EQ(dtmf.rig.last_chunk(dtmf.stream).header.counters.blacked_out, 440 - stored.size());
    for (std::size_t i = 0; i < 440; ++i) {
        const auto near = [&](std::size_t margin) {
            return std::ranges::any_of(tones, [&](const Tone& tone) {
                return (i + 1) * 160 + margin > tone.begin && i * 160 < tone.end + margin;
            });
        };
        const bool kept = stored.contains(static_cast<std::uint16_t>(i));
        EXPECT_TRUE(kept ? !near(0) : near(800)) << i;
    }
}

TEST(MediaWriterDtmf, TelephoneEventsAreLeftOutAsTheDescriptionNamesThem) {
    const TemporaryDirectory directory;
    DtmfRig dtmf(directory.path());
    dtmf.rig.command(EndpointPayloads{
        10, dtmf.stream.handle.flow.destination, {{0, "PCMU", 8000, 1, ""}, {96, "Telephone-Event", 8000, 1, "0-16"}}});
    const std::vector<std::uint8_t> event{5, 10, 0, 160};
    dtmf.put(0, std::vector<std::uint8_t>(160, 0x55));
    dtmf.put(96, event);
    dtmf.put(101, event);  // means something else here
    dtmf.end();
    EXPECT_EQ(dtmf.stored(), (std::set<std::uint16_t>{0, 2}));
}

TEST(MediaWriterDtmf, WithoutADescriptionTheUsualTypeIsTakenForEvents) {
    const TemporaryDirectory directory;
    DtmfRig dtmf(directory.path());
    dtmf.put(101, {5, 10, 0, 160});
    dtmf.put(101, {17, 10, 0, 160});                     // no digit
    dtmf.put(101, std::vector<std::uint8_t>(33, 0x55));  // no event
    dtmf.put(96, {5, 10, 0, 160});
    dtmf.end();
    EXPECT_EQ(dtmf.stored(), (std::set<std::uint16_t>{1, 2, 3}));
}

}  // namespace
}  // namespace spantape
