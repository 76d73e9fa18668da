// SPDX-License-Identifier: AGPL-3.0-or-later
// What a listener would say of a stream, estimated: the E-model (ITU-T G.107, 12/2011 and later) with its default
// values for everything that the wire does not show, and the codecs' figures of G.113 Appendix I. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "storage/recording.h"

namespace spantape {

// A codec in the E-model (narrow-band scale).
struct CodecImpairment {
    double ie = 0;    // equipment impairment without loss
    double bpl = 25;  // packet-loss robustness; larger is better
};

// By SDP encoding name in any letter case ("PCMU", "G729", ...); nullopt when nothing is known of it. Receivers are
// taken to conceal losses. Wideband codecs are rated as the best narrow-band one: the scale ends there.
[[nodiscard]] std::optional<CodecImpairment> codec_impairment(std::string_view encoding);

struct PathImpairment {
    double loss_percent = 0;  // packets that do not arrive
    double burst_ratio = 1;   // length of loss bursts over that of random loss (G.107 §7.4); 1: random
    double one_way_ms = 0;    // mouth to ear
};

// Transmission rating R (G.107 §7.1): 93.2 with nothing impaired; below 0 when everything is.
[[nodiscard]] double transmission_rating(const CodecImpairment& codec, const PathImpairment& path);
// Mean opinion score, 1 to 4.5, of a rating (G.107 Annex B).
[[nodiscard]] double mean_opinion_score(double rating);

// The path as our tap saw it. Lost: what is missing in the sequence, but for what went in our own capture; packets that
// came too late for the receiver's buffer are not known, and what is lost behind the tap neither. Delay: one packet of
// 20 ms, a jitter buffer of twice the mean jitter, and half the round trip where RTCP told it.
[[nodiscard]] PathImpairment path_of(const StreamCounters& counters, const StreamQuality& quality);

// Packets that came to us, whatever became of them.
[[nodiscard]] std::uint64_t arrived(const StreamCounters& counters);

// nullopt: an unknown codec, or no packets to judge by.
[[nodiscard]] std::optional<double> mean_opinion_score(std::string_view encoding, const StreamCounters& counters,
                                                       const StreamQuality& quality);

}  // namespace spantape
