// SPDX-License-Identifier: AGPL-3.0-or-later
// A stream's anchor says when its RTP clock would have come without delay: it moves to what comes earlier, and anew to
// what comes later than the buffer holds (a jump of the clock, a sender that begins anew).
#include "storage/audio/live_mix.h"

#include <algorithm>
#include <utility>

#include "storage/audio/saturated.h"
#include "storage/audio/ticks.h"

namespace spantape {
namespace {

constexpr TimeNs kRoundingNs = kNsPerMs;   // frames that are no further apart follow one another
constexpr std::size_t kMostWaiting = 200;  // frames of one stream; seconds of it

}  // namespace

void LiveMix::push(std::uint64_t stream_id, Side side, const PayloadFormat& format, const StoredFrame& frame) {
    if (!format.audible()) return;
    const std::size_t samples = frame_samples(format, frame.payload);
    if (samples == 0) return;
    Stream& stream = streams_[stream_id];
    if (!stream.started) stream.newest = (std::int64_t{1} << 32) + frame.sequence;
    const std::int64_t number =
        stream.newest + static_cast<std::int16_t>(frame.sequence - static_cast<std::uint16_t>(stream.newest));
    const bool restarted = stream.started && number < stream.newest - static_cast<std::int64_t>(kMostWaiting);
    if (number <= stream.played && !restarted) return;  // too late, or twice
    if (restarted) {
        stream.waiting.clear();
        stream.played = -1;
    }
    if (stream.waiting.size() >= kMostWaiting) stream.waiting.erase(stream.waiting.begin());
    Waiting waiting{format, frame.timestamp, 0, samples, {frame.payload.begin(), frame.payload.end()}};
    stream.side = side;
    place(stream, waiting, frame.arrival_ns);
    stream.newest = restarted ? number : std::max(stream.newest, number);
    stream.waiting.try_emplace(number, std::move(waiting));
}

void LiveMix::place(Stream& stream, Waiting& frame, TimeNs arrival_ns) const {
    const std::uint32_t clock_hz = frame.format.clock_rate_hz;
    const auto ticks = static_cast<std::int32_t>(frame.timestamp - stream.anchor_timestamp);
    frame.media_ns = stream.anchor_ns + ns_of(ticks, clock_hz);
    const TimeNs late_ns = arrival_ns - frame.media_ns;
    if (!stream.started || late_ns < 0 || late_ns > kDelayNs) {
        frame.media_ns = arrival_ns;
        stream.anchor_ns = arrival_ns;
        stream.anchor_timestamp = frame.timestamp;
        stream.started = true;
    }
}

Result<LiveMix::Bus*> LiveMix::bus(Side side, std::uint32_t rate_hz) {
    const auto [found, is_new] = buses_.try_emplace({side, rate_hz});
    Bus& bus = found->second;
    if (is_new && rate_hz != rate_hz_) {
        auto resampler = Resampler::open(rate_hz, rate_hz_);
        if (!resampler) return std::unexpected(resampler.error());
        bus.resampler = std::move(*resampler);
    }
    bus.sum.resize(static_cast<std::size_t>(ticks_of(kTickNs, rate_hz)));
    return &bus;
}

// Nothing is left to play, and the frame behind a loss has come: what the codec knows of what is between.
void LiveMix::conceal(Stream& stream, TimeNs tick_ns) {
    if (stream.waiting.empty() || stream.played < 0) return;
    const auto& [number, next] = *stream.waiting.begin();
    if (number == stream.played + 1 || next.format != stream.format) return;
    const std::int64_t place = ticks_of(next.media_ns - tick_ns, next.format.sample_rate_hz());
    const std::int64_t missing = place - static_cast<std::int64_t>(stream.samples.size());
    // Not behind a silence that was given out already.
    if (missing <= 0 || next.media_ns - stream.ended_ns > ns_of(missing, next.format.sample_rate_hz()) + kTickNs)
        return;
    const auto filled = stream.decoder->fill({static_cast<std::size_t>(missing), true}, next.payload);
    if (filled.empty()) return;
    stream.samples.insert(stream.samples.end(), filled.begin(), filled.end());
    stream.played = number - 1;
}

// Behind what was decoded before it, after the gap that is between.
void LiveMix::play(Stream& stream, std::int64_t number, const Waiting& frame, TimeNs tick_ns) {
    if (stream.decoder == nullptr || stream.format != frame.format) {
        stream.decoder = make_decoder(frame.format);
        stream.format = frame.format;
        stream.samples.clear();
        stream.played = -1;
    }
    const std::uint32_t rate_hz = frame.format.sample_rate_hz();
    const std::int64_t place = ticks_of(frame.media_ns - tick_ns, rate_hz);
    const auto ready = static_cast<std::int64_t>(stream.samples.size());
    const std::int64_t missing = place - ready;
    if (missing > ticks_of(kRoundingNs, rate_hz)) {
        stream.samples.insert(stream.samples.end(), static_cast<std::size_t>(missing), 0);
    }
    std::vector<std::int16_t> decoded(frame.samples);
    stream.decoder->decode(frame.payload, decoded);
    stream.played = number;
    stream.ended_ns = frame.media_ns + ns_of(static_cast<std::int64_t>(frame.samples), rate_hz);
    // A clock that runs ahead of ours: what would be heard ever later is left out.
    if (ready - place > ticks_of(kDelayNs, rate_hz)) return;
    stream.samples.insert(stream.samples.end(), decoded.begin(), decoded.end());
}

Result<> LiveMix::tick(TimeNs tick_ns, std::vector<std::int16_t>& out) {
    for (auto& [id, stream] : streams_) {
        while (!stream.waiting.empty() && stream.waiting.begin()->second.media_ns < tick_ns + kTickNs) {
            const auto next = stream.waiting.begin();
            play(stream, next->first, next->second, tick_ns);
            stream.waiting.erase(next);
        }
        const std::uint32_t stream_hz = stream.format.sample_rate_hz();
        if (stream.samples.size() < static_cast<std::size_t>(ticks_of(kTickNs, stream_hz))) conceal(stream, tick_ns);
        if (stream.samples.empty()) continue;
        const auto target = bus(stream.side, stream_hz);
        if (!target) return std::unexpected(target.error());
        std::vector<std::int32_t>& sum = (*target)->sum;
        const std::size_t count = std::min(sum.size(), stream.samples.size());
        for (std::size_t i = 0; i < count; ++i) sum[i] += stream.samples[i];
        stream.samples.erase(stream.samples.begin(), stream.samples.begin() + static_cast<std::ptrdiff_t>(count));
    }
    const auto wanted = static_cast<std::size_t>(ticks_of(kTickNs, rate_hz_));
    const std::size_t first = out.size();
    out.resize(first + wanted * kChannels);
    for (auto& [key, bus] : buses_) {
        std::vector<std::int16_t> samples(bus.sum.size());
        std::ranges::transform(bus.sum, samples.begin(), saturated);
        std::ranges::fill(bus.sum, 0);
        if (!bus.resampler) {
            bus.out = std::move(samples);
        } else if (auto pushed = bus.resampler->push(samples, bus.out); !pushed) {
            return pushed;
        }
        // What the resampler holds back at the beginning is a delay from then on.
        if (bus.out.size() < wanted) bus.out.insert(bus.out.begin(), wanted - bus.out.size(), 0);
        const std::size_t channel = key.first == Side::device ? 0 : 1;
        for (std::size_t i = 0; i < wanted; ++i) {
            std::int16_t& place = out[first + i * kChannels + channel];
            place = saturated(place + bus.out[i]);
        }
        bus.out.erase(bus.out.begin(), bus.out.begin() + static_cast<std::ptrdiff_t>(wanted));
    }
    return {};
}

Result<std::vector<std::int16_t>> LiveMix::render(TimeNs now_ns) {
    std::vector<std::int16_t> out;
    // A tick is due when what belongs to it may have come kDelayNs late. After a stall not all that was missed is made.
    const std::int64_t due = (now_ns - start_ns_) / kTickNs;
    constexpr std::int64_t kMostTicks = 50;
    ticks_ = std::max(ticks_, due - kMostTicks);
    for (; ticks_ < due; ++ticks_)
        if (auto done = tick(start_ns_ - kDelayNs + ticks_ * kTickNs, out); !done) return std::unexpected(done.error());
    return out;
}

}  // namespace spantape
