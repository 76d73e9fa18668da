// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/e_model.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include <strings.h>

namespace spantape {

namespace {

struct KnownCodec {
    const char* encoding;
    CodecImpairment impairment;
};

// Ie and Bpl are G.113 Appendix I's unless said otherwise: where it gives no Bpl, that of the codec that is most like
// it.
constexpr KnownCodec kCodecs[] = {
    {"PCMU", {0, 25.1}},  // G.711 with concealment; without, Bpl would be 4.3
    {"PCMA", {0, 25.1}},
    {"L16", {0, 25.1}},      // not in G.113: at least G.711
    {"G729", {11, 19.0}},    // G.729A with silence suppression
    {"G723", {15, 16.1}},    // 6.3 kbit/s with silence suppression
    {"G728", {7, 16.1}},     // Bpl: a guess
    {"GSM", {20, 10.0}},     // full rate; Bpl: as the enhanced full rate's
    {"GSM-EFR", {5, 10.0}},  //
    {"AMR", {5, 10.0}},      // 12.2 kbit/s, which is GSM-EFR
    {"G721", {7, 10.0}},     // ADPCM; Bpl: a guess, for a loss upsets the predictor
    {"G726-32", {7, 10.0}},
    {"G726-40", {2, 10.0}},
    {"G726-24", {25, 10.0}},
    {"G726-16", {50, 10.0}},
    {"AAL2-G726-32", {7, 10.0}},
    {"AAL2-G726-40", {2, 10.0}},
    {"AAL2-G726-24", {25, 10.0}},
    {"AAL2-G726-16", {50, 10.0}},
    {"ILBC", {11, 32.0}},  // not in G.113: figures in use; it has no memory from packet to packet
    {"G722", {0, 10.0}},   // wideband: no worse than G.711 without loss; Bpl: as other ADPCM
    {"AMR-WB", {0, 10.0}},
    {"OPUS", {0, 20.0}},  // not in G.113; conceals well, may carry redundancy that we do not look for
};

// G.107 Table 2: the basic signal-to-noise ratio and the simultaneous impairment that the default values give.
constexpr double kRo = 94.769;
constexpr double kIs = 1.414;
constexpr double kTelrDb = 65;   // talker echo loudness rating
constexpr double kWeplDb = 110;  // weighted echo path loss

double talker_echo(double one_way_ms) {  // Idte
    const double terv = kTelrDb - 40 * std::log10((1 + one_way_ms / 10) / (1 + one_way_ms / 150)) +
                        6 * std::exp(-0.3 * one_way_ms * one_way_ms);
    const double half = (kRo - (80 + 2.5 * (terv - 14))) / 2;
    return (half + std::sqrt(half * half + 100) - 1) * (1 - std::exp(-one_way_ms));
}

double listener_echo(double round_trip_ms) {  // Idle
    const double half = (kRo - 10.5 * (kWeplDb + 7) * std::pow(round_trip_ms + 1, -0.25)) / 2;
    return half + std::sqrt(half * half + 169);
}

double long_delay(double one_way_ms) {  // Idd
    if (one_way_ms <= 100) return 0;
    const double x = std::log2(one_way_ms / 100);
    return 25 * (std::pow(1 + std::pow(x, 6), 1.0 / 6) - 3 * std::pow(1 + std::pow(x / 3, 6), 1.0 / 6) + 2);
}

double effective_equipment(const CodecImpairment& codec, const PathImpairment& path) {  // Ie,eff
    if (path.loss_percent <= 0) return codec.ie;
    return codec.ie + (95 - codec.ie) * path.loss_percent / (path.loss_percent / path.burst_ratio + codec.bpl);
}

}  // namespace

std::optional<CodecImpairment> codec_impairment(std::string_view encoding) {
    const std::string name(encoding);
    const auto* known = std::ranges::find_if(
        kCodecs, [&](const KnownCodec& codec) { return strcasecmp(codec.encoding, name.c_str()) == 0; });
    if (known == std::end(kCodecs)) return std::nullopt;
    return known->impairment;
}

double transmission_rating(const CodecImpairment& codec, const PathImpairment& path) {
    const double delay =
        talker_echo(path.one_way_ms) + listener_echo(2 * path.one_way_ms) + long_delay(path.one_way_ms);
    return kRo - kIs - delay - effective_equipment(codec, path);
}

double mean_opinion_score(double rating) {
    if (rating <= 0) return 1;
    if (rating >= 100) return 4.5;
    // The cubic falls below 1 under R = 6.5; nobody can say less.
    return std::max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6);
}

std::uint64_t arrived(const StreamCounters& counters) {
    return counters.stored + counters.dropped_us + counters.blacked_out + counters.undecryptable;
}

PathImpairment path_of(const StreamCounters& counters, const StreamQuality& quality) {
    constexpr double kPacketMs = 20;
    const auto lost = static_cast<double>(counters.lost_before - std::min(counters.lost_before, quality.lost_capture));
    const auto came = static_cast<double>(arrived(counters));
    PathImpairment path;
    if (came + lost > 0) path.loss_percent = 100 * lost / (came + lost);
    if (quality.loss_bursts > 0)
        path.burst_ratio =
            std::max(1.0, lost / static_cast<double>(quality.loss_bursts) * (1 - path.loss_percent / 100));
    path.one_way_ms = kPacketMs + 2 * (quality.jitter_us / 1000.0) + quality.round_trip_us / 2000.0;
    return path;
}

std::optional<double> mean_opinion_score(std::string_view encoding, const StreamCounters& counters,
                                         const StreamQuality& quality) {
    const auto codec = codec_impairment(encoding);
    if (!codec || arrived(counters) == 0) return std::nullopt;
    return mean_opinion_score(transmission_rating(*codec, path_of(counters, quality)));
}

}  // namespace spantape
