// SPDX-License-Identifier: AGPL-3.0-or-later
// Against what ITU-T G.107 and G.113 give as numbers.
#include "storage/e_model.h"

#include <gtest/gtest.h>

namespace spantape {
namespace {

double rating(std::string_view encoding, const PathImpairment& path = {}) {
    return transmission_rating(codec_impairment(encoding).value(), path);
}

// G.107 §7.7: with all parameters at their defaults R is 93.2, and MOS 4.41.
TEST(EModel, DefaultsGiveTheRecommendationsRating) {
    EXPECT_NEAR(rating("PCMU"), 93.2, 0.05);
    EXPECT_NEAR(mean_opinion_score(93.2), 4.41, 0.005);
}

// G.107 Annex B, Table B.1: the lower limits of R for each category of quality, and MOS there.
TEST(EModel, OpinionFollowsTheRatingAsInTheRecommendationsTable) {
    for (const auto& [r, mos] : {std::pair{90.0, 4.34}, {80.0, 4.03}, {70.0, 3.60}, {60.0, 3.10}, {50.0, 2.58}})
        EXPECT_NEAR(mean_opinion_score(r), mos, 0.01) << r;  // the table rounds
    EXPECT_EQ(mean_opinion_score(-20), 1);
    EXPECT_EQ(mean_opinion_score(3), 1);  // where the cubic falls below 1
    EXPECT_EQ(mean_opinion_score(120), 4.5);
}

// G.113 Appendix I, Table I.1: Ie without loss.
TEST(EModel, CodecsImpairAsTabulated) {
    EXPECT_NEAR(rating("pcma"), 93.2, 0.05);
    EXPECT_NEAR(rating("G726-32"), 93.2 - 7, 0.05);
    EXPECT_NEAR(rating("G726-16"), 93.2 - 50, 0.05);
    EXPECT_NEAR(rating("GSM"), 93.2 - 20, 0.05);
    EXPECT_NEAR(rating("G723"), 93.2 - 15, 0.05);
    EXPECT_NEAR(rating("G729"), 93.2 - 11, 0.05);
    EXPECT_FALSE(codec_impairment("telephone-event"));
    EXPECT_FALSE(codec_impairment(""));
}

// Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl), G.107 §7.4, worked by hand.
TEST(EModel, LossImpairsByTheCodecsRobustness) {
    EXPECT_NEAR(rating("PCMU", {.loss_percent = 1}), 93.2 - 95 / 26.1, 0.05);
    EXPECT_NEAR(rating("PCMU", {.loss_percent = 5}), 93.2 - 95 * 5 / 30.1, 0.05);
    EXPECT_NEAR(rating("G729", {.loss_percent = 3}), 93.2 - (11 + 84 * 3 / 22.0), 0.05);
    EXPECT_NEAR(rating("G729", {.loss_percent = 3, .burst_ratio = 2}), 93.2 - (11 + 84 * 3 / 20.5), 0.05);
    EXPECT_GT(rating("PCMU", {.loss_percent = 5}), rating("PCMU", {.loss_percent = 5, .burst_ratio = 2}));
    EXPECT_LT(mean_opinion_score(rating("PCMU", {.loss_percent = 100})), 2.2);
}

// Idte, Idle and Idd of G.107 §7.5 at TELR 65 dB, worked by hand: 1.96 + 0.73 at 100 ms, 5.81 + 1.23 + 24.07 at 400 ms.
TEST(EModel, DelayImpairs) {
    EXPECT_NEAR(rating("PCMU", {.one_way_ms = 100}), 93.36 - 2.69, 0.05);
    EXPECT_NEAR(rating("PCMU", {.one_way_ms = 400}), 93.36 - 31.11, 0.05);
    double before = 94;
    for (double ms = 0; ms <= 600; ms += 10) {
        const double now = rating("PCMU", {.one_way_ms = ms});
        EXPECT_LT(now, before) << ms;
        before = now;
    }
}

TEST(EModel, ThePathIsWhatTheTapSawOfIt) {
    StreamCounters counters;
    counters.stored = 900;
    counters.undecryptable = 70;
    counters.dropped_us = 10;  // by us: those in the call heard them
    counters.lost_before = 25;
    StreamQuality quality{.jitter_known = true, .jitter_us = 5000, .loss_bursts = 4, .lost_capture = 5};
    quality.round_trip_us = 40'000;
    const PathImpairment path = path_of(counters, quality);
    EXPECT_NEAR(path.loss_percent, 2, 1e-9);
    EXPECT_NEAR(path.burst_ratio, 5 * 0.98, 1e-9);
    EXPECT_NEAR(path.one_way_ms, 20 + 10 + 20, 1e-9);
    quality.loss_bursts = 1000;  // frames that came late after all
    EXPECT_EQ(path_of(counters, quality).burst_ratio, 1);
    quality.lost_capture = 1000;
    EXPECT_EQ(path_of(counters, quality).loss_percent, 0);
}

TEST(EModel, WithoutPacketsOrAKnownCodecThereIsNoScore) {
    StreamCounters counters;
    EXPECT_FALSE(mean_opinion_score("PCMU", counters, {}));
    counters.stored = 1;
    EXPECT_NEAR(mean_opinion_score("PCMU", counters, {}).value(), 4.4, 0.02);
    EXPECT_FALSE(mean_opinion_score("X-UNKNOWN", counters, {}));
}

}  // namespace
}  // namespace spantape
