// SPDX-License-Identifier: AGPL-3.0-or-later
// Names and numbers of the codecs; those without a state are decoded here: G.711 by table, L16 by byte order.
#include "storage/audio/codec.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace spantape {
namespace {

// A clock outside of these is a mistake in the SDP; it must not size our buffers.
constexpr std::uint32_t kMinRateHz = 1000;
constexpr std::uint32_t kMaxRateHz = 192000;

constexpr std::int16_t expand_mulaw(std::uint8_t code) {
    const int bits = ~code & 0xff;
    const int magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4)) - 0x84;
    return static_cast<std::int16_t>((bits & 0x80) != 0 ? -magnitude : magnitude);
}

constexpr std::int16_t expand_alaw(std::uint8_t code) {
    const int bits = code ^ 0x55;
    const int segment = (bits & 0x70) >> 4;
    int magnitude = (bits & 0x0f) << 4 | 8;
    if (segment > 0) magnitude = (magnitude + 0x100) << (segment - 1);
    return static_cast<std::int16_t>((bits & 0x80) != 0 ? magnitude : -magnitude);
}

constexpr std::array<std::int16_t, 256> table_of(std::int16_t (*expand)(std::uint8_t)) {
    std::array<std::int16_t, 256> table{};
    for (int code = 0; code < 256; ++code) table[code] = expand(static_cast<std::uint8_t>(code));
    return table;
}
constexpr auto kMulaw = table_of(expand_mulaw);
constexpr auto kAlaw = table_of(expand_alaw);

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

struct KnownCodec {
    std::string_view name;
    Encoding encoding;
    std::uint8_t sample_bits = 0;
    std::uint32_t clock_rate_hz = 0;  // that the codec has whatever the SDP says; 0: as it says
};
constexpr KnownCodec kCodecs[] = {
    {"PCMU", Encoding::pcmu},
    {"PCMA", Encoding::pcma},
    {"L16", Encoding::l16},
    {"G722", Encoding::g722, 0, 8000},
    {"G729", Encoding::g729, 0, 8000},
    {"G729A", Encoding::g729, 0, 8000},  // not registered, but sent
    {"opus", Encoding::opus, 0, 48000},
    {"CN", Encoding::comfort_noise},
    {"GSM", Encoding::gsm, 0, 8000},
    {"AMR", Encoding::amr, 0, 8000},
    {"AMR-WB", Encoding::amr_wb, 0, 16000},
    {"G723", Encoding::g723, 0, 8000},
    {"iLBC", Encoding::ilbc, 0, 8000},
    {"SPEEX", Encoding::speex},
    {"red", Encoding::redundancy},
    {"G726-16", Encoding::g726, 2, 8000},
    {"G726-24", Encoding::g726, 3, 8000},
    {"G726-32", Encoding::g726, 4, 8000},
    {"G726-40", Encoding::g726, 5, 8000},
    {"AAL2-G726-16", Encoding::g726_aal2, 2, 8000},
    {"AAL2-G726-24", Encoding::g726_aal2, 3, 8000},
    {"AAL2-G726-32", Encoding::g726_aal2, 4, 8000},
    {"AAL2-G726-40", Encoding::g726_aal2, 5, 8000},
};

PayloadFormat format_of(const PayloadMapping& mapping) {
    PayloadFormat format{Encoding::silence, mapping.clock_rate_hz, 1, 0};
    if (format.clock_rate_hz < kMinRateHz || format.clock_rate_hz > kMaxRateHz) format.clock_rate_hz = 8000;
    const auto* const known =
        std::ranges::find_if(kCodecs, [&](const KnownCodec& codec) { return same_name(codec.name, mapping.encoding); });
    if (known == std::end(kCodecs)) return format;
    format.encoding = known->encoding;
    format.sample_bits = known->sample_bits;
    if (known->clock_rate_hz != 0) format.clock_rate_hz = known->clock_rate_hz;
    if (known->encoding == Encoding::l16 && mapping.channels != 0) format.channels = mapping.channels;
    if (known->encoding == Encoding::amr || known->encoding == Encoding::amr_wb) {
        format.octet_aligned = mapping.format.find("octet-align=1") != std::string::npos;
        // What makes another payload of it (RFC 4867 §8.1), and several channels: hardly ever seen.
        for (const std::string_view other : {"interleaving=", "robust-sorting=1", "crc=1"})
            if (mapping.format.find(other) != std::string::npos) format.encoding = Encoding::silence;
        if (mapping.channels > 1) format.encoding = Encoding::silence;
    }
    return format;
}

void add_static_types(PayloadTable& table) {
    table[0] = {Encoding::pcmu, 8000, 1};
    table[8] = {Encoding::pcma, 8000, 1};
    table[10] = {Encoding::l16, 44100, 2};
    table[11] = {Encoding::l16, 44100, 1};
    table[2] = {Encoding::g726, 8000, 1, 4};  // G721 in RFC 1890, its number was never given to another
    table[3] = {Encoding::gsm, 8000, 1};
    table[4] = {Encoding::g723, 8000, 1};
    table[9] = {Encoding::g722, 8000, 1};
    table[13].encoding = Encoding::comfort_noise;
    table[18] = {Encoding::g729, 8000, 1};
    // Not decodable, but their clocks are known: DVI4 and MPA.
    table[6].clock_rate_hz = 16000;
    table[16].clock_rate_hz = 11025;
    table[17].clock_rate_hz = 22050;
    table[14].clock_rate_hz = 90000;
}

std::size_t decode_l16(std::span<const std::uint8_t> payload, std::size_t channels, std::span<std::int16_t> out) {
    const std::size_t samples = payload.size() / 2 / channels;
    const std::uint8_t* at = payload.data();
    for (std::size_t i = 0; i < samples; ++i) {
        int sum = 0;
        for (std::size_t channel = 0; channel < channels; ++channel, at += 2) {
            sum += static_cast<std::int16_t>(at[0] << 8 | at[1]);
        }
        out[i] = static_cast<std::int16_t>(sum / static_cast<int>(channels));
    }
    return samples;
}

std::size_t decode_by_table(const std::array<std::int16_t, 256>& table, std::span<const std::uint8_t> payload,
                            std::span<std::int16_t> out) {
    for (std::size_t i = 0; i < payload.size(); ++i) out[i] = table[payload[i]];
    return payload.size();
}

}  // namespace

PayloadTable payload_table(std::span<const PayloadMapping> mappings) {
    PayloadTable table{};
    add_static_types(table);
    for (const auto& mapping : mappings) {
        if (mapping.payload_type < table.size()) table[mapping.payload_type] = format_of(mapping);
    }
    return table;
}

std::size_t decoded_samples(const PayloadFormat& format, std::size_t payload_bytes) {
    switch (format.encoding) {
        case Encoding::pcmu:
        case Encoding::pcma:
            return payload_bytes == 1 ? 0 : payload_bytes;
        case Encoding::l16:
            return payload_bytes / 2 / format.channels;
        default:
            return 0;
    }
}

std::size_t decode(const PayloadFormat& format, std::span<const std::uint8_t> payload, std::span<std::int16_t> out) {
    if (decoded_samples(format, payload.size()) == 0) return 0;
    switch (format.encoding) {
        case Encoding::pcmu:
            return decode_by_table(kMulaw, payload, out);
        case Encoding::pcma:
            return decode_by_table(kAlaw, payload, out);
        case Encoding::l16:
            return decode_l16(payload, format.channels, out);
        default:
            return 0;
    }
}

std::int16_t decode_mulaw(std::uint8_t code) { return kMulaw[code]; }
std::int16_t decode_alaw(std::uint8_t code) { return kAlaw[code]; }

}  // namespace spantape
