// SPDX-License-Identifier: AGPL-3.0-or-later
// Mixing. A sum is kept in 32 bits until the second is complete and cut to 16 bits once, so that the order of the
// streams does not matter.
#include "storage/audio/mix.h"

#include <algorithm>
#include <utility>

#include "capture/base/address.h"
#include "storage/audio/saturated.h"
#include "storage/audio/ticks.h"

namespace spantape {
namespace {

// A copy takes over only in a hole wider than this on both sides: its delay is not known, and the seam is heard.
constexpr TimeNs kCopyMarginNs = 500 * kNsPerMs;

// The same for the same place, so that the same recording gives the same file every time.
std::int32_t noise_at(std::int64_t position, std::int32_t peak) {
    const auto values = static_cast<std::uint32_t>(2 * peak + 1);
    return static_cast<std::int32_t>(mix_bits(static_cast<std::uint64_t>(position)) % values) - peak;
}

}  // namespace

void ChannelMixer::add(std::unique_ptr<GroupPlayer> player) {
    has_copies_ = has_copies_ || player->copy();
    const auto copies = std::ranges::find_if(players_, [](const auto& each) { return each->copy(); });
    players_.insert(player->copy() ? players_.end() : copies, std::move(player));
}

Result<ChannelMixer::Bus*> ChannelMixer::bus(std::uint32_t rate_hz) {
    const auto [found, is_new] = buses_.try_emplace(rate_hz);
    Bus& bus = found->second;
    if (is_new) {
        if (rate_hz != rate_hz_) {
            auto resampler = Resampler::open(rate_hz, rate_hz_);
            if (!resampler) return std::unexpected(resampler.error());
            bus.resampler = std::move(*resampler);
        }
        // Silent until now.
        bus.out.resize(static_cast<std::size_t>(second_ * rate_hz_ - taken_));
    }
    if (bus.sum.empty()) bus.sum.resize(rate_hz);
    return &bus;
}

Result<> ChannelMixer::render_second() {
    for (auto& player : players_) player->advance(second_ + (has_copies_ ? 2 : 1));
    for (auto& player : players_) {
        if (const auto mixed = mix(*player); !mixed) return mixed;
    }
    for (auto& [rate_hz, each] : buses_) {
        each.sum.resize(rate_hz);
        if (const auto closed = close_second(each); !closed) return closed;
    }
    ++second_;
    const TimeNs known_ns = second_ * kNsPerSecond - 2 * kCopyMarginNs;
    while (!heard_.empty() && heard_.front().to_ns < known_ns) heard_.pop_front();
    return {};
}

Result<> ChannelMixer::mix(GroupPlayer& player) {
    for (auto& placed = player.placed(); !placed.empty(); placed.pop_front()) {
        const PlacedFrame& frame = placed.front();
        const std::int64_t end = (second_ + 1) * static_cast<std::int64_t>(frame.rate_hz);
        if (frame.position >= end) return {};
        if (!player.copy() || !heard_elsewhere(frame)) {
            if (const auto mixed = mix_frame(frame); !mixed) return mixed;
        }
        if (frame.end() > end) return {};  // the rest belongs to the next second
        if (has_copies_ && !player.copy()) {
            const std::uint32_t rate_hz = frame.rate_hz;
            heard_.push_back({ns_of(frame.position, rate_hz), ns_of(frame.end(), rate_hz)});
        }
    }
    return {};
}

Result<> ChannelMixer::mix_frame(const PlacedFrame& frame) {
    const std::uint32_t rate_hz = frame.rate_hz;
    const std::int64_t begin = second_ * static_cast<std::int64_t>(rate_hz);
    const std::int64_t from = std::max(frame.position, begin);
    const std::int64_t to = std::min(frame.end(), begin + rate_hz);
    if (from >= to) return {};
    const auto target = bus(rate_hz);
    if (!target) return std::unexpected(target.error());
    std::int32_t* sum = (*target)->sum.data() + (from - begin);
    if (frame.noise_samples > 0) {
        for (std::int64_t i = 0; i < to - from; ++i) sum[i] += noise_at(from + i, frame.noise_peak);
        return {};
    }
    const std::int16_t* sample = frame.samples.data() + (from - frame.position);
    for (std::int64_t i = 0; i < to - from; ++i) sum[i] += sample[i];
    return {};
}

// Is there audio of others than copies on or near this place?
bool ChannelMixer::heard_elsewhere(const PlacedFrame& frame) const {
    const std::uint32_t rate_hz = frame.rate_hz;
    const TimeNs from_ns = ns_of(frame.position, rate_hz) - kCopyMarginNs;
    const TimeNs to_ns = ns_of(frame.end(), rate_hz) + kCopyMarginNs;
    for (const auto& span : heard_) {
        if (span.from_ns < to_ns && span.to_ns > from_ns) return true;
    }
    for (const auto& player : players_) {
        if (player->copy()) break;
        for (const auto& other : player->placed()) {
            const TimeNs begins_ns = ns_of(other.position, other.rate_hz);
            if (begins_ns >= to_ns) break;
            if (ns_of(other.end(), other.rate_hz) > from_ns) return true;
        }
    }
    return false;
}

Result<> ChannelMixer::close_second(Bus& bus) {
    scratch_.resize(bus.sum.size());
    std::ranges::transform(bus.sum, scratch_.begin(), saturated);
    std::ranges::fill(bus.sum, 0);
    if (bus.resampler) return bus.resampler->push(scratch_, bus.out);
    bus.out.insert(bus.out.end(), scratch_.begin(), scratch_.end());
    return {};
}

Result<> ChannelMixer::finish() {
    for (auto& [rate_hz, each] : buses_) {
        if (!each.resampler) continue;
        if (const auto finished = each.resampler->finish(each.out); !finished) return finished;
        each.out.resize(static_cast<std::size_t>(second_ * rate_hz_ - taken_));
    }
    return {};
}

std::size_t ChannelMixer::ready() const {
    auto least = static_cast<std::size_t>(second_ * rate_hz_ - taken_);
    for (const auto& [rate_hz, each] : buses_) least = std::min(least, each.out.size());
    return least;
}

void ChannelMixer::take(std::size_t samples, std::size_t channel, std::size_t channels,
                        std::vector<std::int16_t>& out) {
    for (auto& [rate_hz, each] : buses_) {
        for (std::size_t i = 0; i < samples; ++i) {
            std::int16_t& place = out[i * channels + channel];
            place = saturated(place + each.out[i]);
        }
        each.out.erase(each.out.begin(), each.out.begin() + static_cast<std::ptrdiff_t>(samples));
    }
    taken_ += static_cast<std::int64_t>(samples);
}

std::uint64_t ChannelMixer::damaged_chunks() const {
    std::uint64_t sum = 0;
    for (const auto& player : players_) sum += player->damaged_chunks();
    return sum;
}

}  // namespace spantape
