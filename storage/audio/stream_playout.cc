// SPDX-License-Identifier: AGPL-3.0-or-later
// The placement rule. The transit of a frame is its arrival less its RTP time. Its baseline is the greater of the
// least transit in the second of audio behind it and in the second ahead: a late burst lifts neither, a step of the
// clock, up or down, moves it exactly at the frame where it happens. The anchor follows at once when the baseline has
// left it, and sample by sample when it goes away from it slowly.
#include "storage/audio/stream_playout.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <span>
#include <utility>

#include "storage/audio/ticks.h"

namespace spantape {
namespace {

// Frames from before the start tell the clock, those from shortly after the stop may belong before it.
constexpr TimeNs kMarginNs = 5 * kNsPerSecond;

// Comfort noise is hardly ever so loud; beyond this an announcement is damaged, or an attack on ears.
constexpr int kLoudestNoiseDb = 30;

// A frame is made longer or shorter by one sample in so many; one in which nothing is heard, whose samples are all
// below kQuiet, by more.
constexpr std::size_t kStretch = 160;
constexpr std::size_t kQuietStretch = 16;
constexpr int kQuiet = 256;

// As many samples as out has, the first and the last as they were.
void stretch(std::span<const std::int16_t> from, std::span<std::int16_t> out) {
    const double step = static_cast<double>(from.size() - 1) / static_cast<double>(out.size() - 1);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const double at = static_cast<double>(i) * step;
        const auto before = std::min(static_cast<std::size_t>(at), from.size() - 2);
        const double part = at - static_cast<double>(before);
        out[i] = static_cast<std::int16_t>(std::lround(from[before] * (1 - part) + from[before + 1] * part));
    }
}

}  // namespace

bool StreamPlayout::push(const StoredFrame& frame, const PayloadFormat& format) {
    if (frame.arrival_ns > stop_ns_ + kMarginNs) return false;
    if (frame.arrival_ns < start_ns_ - kMarginNs) return true;
    order_.push(frame, format);
    take_ordered();
    place_ready();
    return true;
}

void StreamPlayout::finish() {
    order_.finish();
    take_ordered();
    finished_ = true;
    place_ready();
}

void StreamPlayout::take_ordered() {
    for (auto& ready = order_.ready(); !ready.empty(); ready.pop_front()) {
        OrderedFrame& frame = ready.front();
        const auto samples = static_cast<std::uint32_t>(frame_samples(frame.format, frame.payload));
        // Told by the next audible frame, if this one is not.
        if (frame.restart) last_rate_hz_ = 0;
        lost_ = !frame.restart && (lost_ || frame.sequence != static_cast<std::uint16_t>(last_sequence_ + 1));
        last_sequence_ = frame.sequence;
        if (lost_ || frame.restart) noise_.reset();
        if (frame.format.encoding == Encoding::comfort_noise) hear_noise(frame);
        if (samples > 0) enqueue(std::move(frame), samples);
    }
}

void StreamPlayout::hear_noise(const OrderedFrame& frame) {
    if (frame.payload.empty()) return;
    const int level_db = std::max(frame.payload.front() & 0x7f, kLoudestNoiseDb);
    if (!noise_) noise_ = Noise{frame.timestamp, 0};
    // The peak of white noise, every value as likely as the others, is its RMS times the root of 3.
    noise_->peak = static_cast<std::int32_t>(32768 * std::numbers::sqrt3 * std::pow(10.0, -level_db / 20.0));
    lost_ = false;
}

void StreamPlayout::enqueue(OrderedFrame frame, std::uint32_t samples) {
    const std::uint32_t rate_hz = frame.format.sample_rate_hz();
    const std::int64_t samples_a_tick = rate_hz / frame.format.clock_rate_hz;
    bool restart = rate_hz != last_rate_hz_;
    std::int64_t ticks = 0;
    if (!restart) ticks = last_ticks_ + samples_a_tick * static_cast<std::int32_t>(frame.timestamp - last_timestamp_);
    TimeNs transit_ns = frame.arrival_ns - ns_of(ticks, rate_hz);
    if (!restart && std::abs(transit_ns - last_transit_ns_) > kRestartNs) {
        restart = true;
        ticks = 0;
        transit_ns = frame.arrival_ns;
    }
    last_timestamp_ = frame.timestamp;
    last_rate_hz_ = rate_hz;
    last_ticks_ = ticks;
    last_transit_ns_ = transit_ns;
    waiting_.push_back(
        {std::move(frame), {media_ns_, transit_ns}, ticks, samples, std::exchange(lost_, false), 0, 0, restart});
    if (noise_ && !restart) {
        waiting_.back().noise_samples = samples_a_tick * static_cast<std::int32_t>(last_timestamp_ - noise_->timestamp);
        waiting_.back().noise_peak = noise_->peak;
    }
    noise_.reset();
    media_ns_ += ns_of(samples, rate_hz);
}

void StreamPlayout::place_ready() {
    while (!waiting_.empty()) {
        const bool enough = waiting_.size() >= kLookFrames || media_ns_ - waiting_.front().transit.media_ns >= kLookNs;
        if (!enough && !finished_) return;
        place(waiting_.front());
        waiting_.pop_front();
    }
}

TimeNs StreamPlayout::earliest_ahead() const {
    const Transit& first = waiting_.front().transit;
    TimeNs least = first.transit_ns;
    for (std::size_t i = 1; i < waiting_.size() && !waiting_[i].restart; ++i) {
        if (waiting_[i].transit.media_ns - first.media_ns >= kLookNs) break;
        least = std::min(least, waiting_[i].transit.transit_ns);
    }
    return least;
}

TimeNs StreamPlayout::baseline(const Waiting& frame) {
    const TimeNs ahead = earliest_ahead();
    if (frame.restart) {
        past_.clear();
        // Without a past, a first frame held up on its way would move all that follows. It is set back by what later
        // frames show, as far as that can be absorbed.
        past_.push_back({frame.transit.media_ns, std::max(ahead, frame.transit.transit_ns - kAbsorbNs)});
    } else {
        past_.push_back(frame.transit);
    }
    while (frame.transit.media_ns - past_.front().media_ns >= kLookNs || past_.size() > kLookFrames) past_.pop_front();
    TimeNs behind = past_.front().transit_ns;
    for (const auto& transit : past_) behind = std::min(behind, transit.transit_ns);
    return std::max(ahead, behind);
}

void StreamPlayout::anchor_to(TimeNs transit_ns, const Waiting& frame) {
    const std::uint32_t rate_hz = frame.frame.format.sample_rate_hz();
    anchor_ns_ = transit_ns;
    anchor_ticks_ = frame.ticks;
    anchor_position_ = ticks_of(ns_of(frame.ticks, rate_hz) + transit_ns - start_ns_, rate_hz);
    drift_ns_ = late_ns_ = settled_ns_ = anchored_ns_ = 0;
    drifting_ = catching_up_ = false;
}

// behind: how far the cursor is past the frame's place, in samples.
void StreamPlayout::look_for_drift(TimeNs base_ns, std::int64_t behind, const Waiting& frame) {
    const std::uint32_t rate_hz = frame.frame.format.sample_rate_hz();
    const TimeNs frame_ms = std::min(ns_of(frame.samples, rate_hz), kDriftMemoryNs) / kNsPerMs;
    const auto average = [&](TimeNs& mean, TimeNs now) {
        mean += (now - mean) * frame_ms / (kDriftMemoryNs / kNsPerMs);
    };
    average(drift_ns_, base_ns - anchor_ns_);
    average(late_ns_, ns_of(behind, rate_hz));
    if (behind <= 0) late_ns_ = 0;  // it caught up
    anchored_ns_ += ns_of(frame.samples, rate_hz);
    if (anchored_ns_ < kSettledNs) settled_ns_ = drift_ns_;
    const TimeNs drifted_ns = std::abs(drift_ns_ - settled_ns_);
    if (drifted_ns > kDriftNs) drifting_ = true;
    if (drifted_ns < kDriftDoneNs) drifting_ = false;
    if (late_ns_ > kDriftNs) catching_up_ = true;
    if (behind <= 0) catching_up_ = false;
    // The clock comes to where the audio is.
    if (drift_ns_ > kDriftNs && behind > 0) move_anchor(std::min(behind, ticks_of(drift_ns_, rate_hz)), rate_hz);
}

// What follows is placed so much later: it follows the clock,
void StreamPlayout::shift_anchor(std::int64_t samples, std::uint32_t rate_hz) {
    anchor_position_ += samples;
    anchor_ns_ += ns_of(samples, rate_hz);
    drift_ns_ -= ns_of(samples, rate_hz);
}

// or was misplaced.
void StreamPlayout::move_anchor(std::int64_t samples, std::uint32_t rate_hz) {
    shift_anchor(samples, rate_hz);
    settled_ns_ -= ns_of(samples, rate_hz);
}

void StreamPlayout::correct_drift(std::vector<std::int16_t>& samples, std::int64_t behind, std::uint32_t rate_hz) {
    const auto most = static_cast<std::int64_t>(samples.size() / kStretch);
    const auto most_quiet = static_cast<std::int64_t>(samples.size() / kQuietStretch);
    const bool misplaced = std::abs(drift_ns_) > kDriftNs;
    if ((!drifting_ && !catching_up_ && !misplaced) || most == 0) return;
    std::int64_t longer = 0, moved = 0;
    if (std::ranges::all_of(samples, [](int sample) { return std::abs(sample) < kQuiet; })) {
        if (misplaced) moved = std::clamp(ticks_of(drift_ns_, rate_hz), -most_quiet, most_quiet);
        longer = moved - (catching_up_ ? std::min(behind, most_quiet) : 0);
        move_anchor(moved, rate_hz);
    } else if (drifting_) {
        longer = std::clamp(ticks_of(drift_ns_ - settled_ns_, rate_hz), -most, most);
        shift_anchor(longer, rate_hz);
    }
    if (longer == 0) return;
    std::vector<std::int16_t> stretched(samples.size() + static_cast<std::size_t>(longer));
    stretch(samples, stretched);
    samples = std::move(stretched);
}

void StreamPlayout::place(Waiting& frame) {
    const std::uint32_t rate_hz = frame.frame.format.sample_rate_hz();
    const TimeNs base = baseline(frame);
    if (frame.restart || std::abs(base - anchor_ns_) > kAnchorToleranceNs) anchor_to(base, frame);
    std::int64_t ideal = anchor_position_ + (frame.ticks - anchor_ticks_);
    if (cursor_rate_hz_ == 0) {
        // What arrived since the start belongs to the recording, even if it is placed a little before its arrival.
        cursor_ = frame.frame.arrival_ns >= start_ns_ ? std::max<std::int64_t>(ideal, 0) : ideal;
    } else if (cursor_rate_hz_ != rate_hz) {
        cursor_ = ticks_of(ns_of(cursor_, cursor_rate_hz_), rate_hz);
    }
    cursor_rate_hz_ = rate_hz;
    look_for_drift(base, cursor_ - ideal, frame);
    if (std::abs(drift_ns_) >= kDriftDoneNs && ideal > cursor_ && !frame.lost) {  // a pause has room
        const std::int64_t by = std::max(ticks_of(drift_ns_, rate_hz), cursor_ - ideal);
        move_anchor(by, rate_hz);
        ideal += by;
    }
    put(frame, ideal);
}

void StreamPlayout::put(const Waiting& frame, std::int64_t position) {
    const std::uint32_t rate_hz = frame.frame.format.sample_rate_hz();
    const std::int64_t behind = cursor_ - position;
    if (behind <= 0) cutting_ = false;
    if (behind > ticks_of(kAbsorbNs, rate_hz)) cutting_ = true;
    if (behind < 0) fill(frame, position);
    // Heads are cut where others lie already. A decoder must hear even what is cut whole.
    std::vector<std::int16_t> samples = decode(frame);
    if (cutting_) samples.erase(samples.begin(), samples.begin() + std::min<std::int64_t>(behind, frame.samples));
    if (samples.empty()) return;
    if (behind >= 0 && !cutting_) correct_drift(samples, behind, rate_hz);
    if (behind > 0) position = cursor_;
    placed_.push_back({rate_hz, position, std::move(samples), 0, 0});
    cursor_ = placed_.back().end();
}

// The gap from the cursor to this frame.
void StreamPlayout::fill(const Waiting& frame, std::int64_t position) {
    if (starts_decoder(frame)) return;
    const Gap gap{static_cast<std::size_t>(position - cursor_), frame.lost};
    std::vector<std::int16_t> samples = decoder_->fill(gap, frame.frame.payload);
    const std::uint32_t rate_hz = frame.frame.format.sample_rate_hz();
    const std::int64_t noise_samples = std::min(frame.noise_samples, position - cursor_);
    if (!samples.empty()) {
        placed_.push_back({rate_hz, cursor_, std::move(samples), 0, 0});
    } else if (noise_samples > 0) {
        placed_.push_back({rate_hz, position - noise_samples, {}, noise_samples, frame.noise_peak});
    }
}

bool StreamPlayout::starts_decoder(const Waiting& frame) const {
    return decoder_ == nullptr || frame.restart || frame.frame.format != decoder_format_;
}

std::vector<std::int16_t> StreamPlayout::decode(const Waiting& frame) {
    if (starts_decoder(frame)) {
        decoder_ = make_decoder(frame.frame.format);
        decoder_format_ = frame.frame.format;
    }
    std::vector<std::int16_t> samples(frame.samples);
    decoder_->decode(frame.frame.payload, samples);
    return samples;
}

}  // namespace spantape
