// SPDX-License-Identifier: AGPL-3.0-or-later
// MAXRECORDSILENCE: since when a session is silent, by the level of its frames where the writer can tell it (G.711,
// L16, comfort noise); other codecs' frames count as sound. Nothing here costs anything where nobody asks.
#include <algorithm>
#include <array>
#include <cmath>

#include "storage/media_streams.h"

namespace spantape {

namespace {

constexpr std::size_t kMostSamples = 4096;

double mean_square(std::span<const std::int16_t> samples) {
    double sum = 0;
    for (const std::int16_t sample : samples) sum += static_cast<double>(sample) * sample;
    return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

bool decodes_alone(Encoding encoding) {
    return encoding == Encoding::pcmu || encoding == Encoding::pcma || encoding == Encoding::l16;
}

}  // namespace

void MediaStreams::watch_silence(const WatchSilence& command) {
    if (command.limit_ns == 0) {
        if (const auto known = rules_.find(command.session); known != rules_.end()) known->second.silence.reset();
        return;
    }
    SessionRules& rules = rules_[command.session];
    if (!rules.silence)
        rules.silence = Silence{.sound_ns = command.since_ns, .formats = payload_table(command.payloads)};
    rules.silence->limit_ns = command.limit_ns;
}

bool MediaStreams::is_silent(const Silence& silence, const RingRecord& record, const std::byte* payload) const {
    const PayloadFormat& format = silence.formats[record.payload_type & 0x7f];
    if (format.encoding == Encoding::comfort_noise) return true;
    if (!decodes_alone(format.encoding)) return false;
    std::array<std::int16_t, kMostSamples> samples;
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(payload), record.payload_bytes);
    const std::size_t count = decode(format, bytes, samples);
    return mean_square(std::span(samples).first(count)) < silence_square_;
}

void MediaStreams::listen(const RingRecord& record, const std::byte* payload) {
    for (Silence* silence : silences_) {
        if (record.arrival_ns <= silence->sound_ns || is_silent(*silence, record, payload)) continue;
        silence->sound_ns = record.arrival_ns;
    }
}

// After each walk: whoever asked is told once. Frames may still wait on their rings for a while: those are silent at
// the earliest a moment after the last walk.
void MediaStreams::note_silences() {
    const bool any = std::ranges::any_of(rules_, [](const auto& each) { return each.second.silence.has_value(); });
    if (!any || !options_.capture_now) return;
    const TimeNs heard_until_ns = options_.capture_now() - options_.hold_back_ns - 2 * drain_ns_;
    for (auto& [session, rules] : rules_) {
        if (!rules.silence || heard_until_ns - rules.silence->sound_ns < rules.silence->limit_ns) continue;
        silent_.push_back({session, rules.silence->sound_ns});
        rules.silence.reset();
    }
}

}  // namespace spantape
