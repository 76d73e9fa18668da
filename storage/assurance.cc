// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/assurance.h"

#include <algorithm>

namespace spantape {

namespace {

constexpr TimeNs kBriefNs = 5 * kNsPerSecond;  // shorter ones may be over before the other party spoke

constexpr std::array<std::pair<std::string_view, std::string_view>, kShortfalls> kTexts = {{
    {"no_channel", "never recorded: all channels were in use"},
    {"disk_full", "never recorded: the disk had no room"},
    {"no_media", "no packet of its audio was seen"},
    {"one_side", "nothing was seen of one of the parties"},
    {"lost_before", "packets were lost before they reached the appliance"},
    {"dropped_kernel", "packets were dropped by the kernel, the card, or the spread among workers"},
    {"dropped_us", "packets were dropped by the appliance: the disk did not keep up"},
    {"undecryptable", "SRTP whose key was not seen"},
    {"pre_empted", "gave way to a higher priority"},
    {"interrupted", "the appliance was killed, or lost power"},
}};

bool hears_side(const Recording& recording, Side side) {
    return std::ranges::any_of(recording.streams, [&](const RecordedStream& stream) {
        return stream.side == side && (stream.counters.stored > 0 || stream.counters.blacked_out > 0);
    });
}

}  // namespace

std::string_view name_of(Shortfall shortfall) { return kTexts[static_cast<std::size_t>(shortfall)].first; }
std::string_view description_of(Shortfall shortfall) { return kTexts[static_cast<std::size_t>(shortfall)].second; }

std::vector<Shortfall> shortfalls_of(const Recording& recording) {
    std::vector<Shortfall> found;
    std::uint64_t lost = 0, lost_capture = 0, dropped = 0, undecryptable = 0;
    for (const RecordedStream& stream : recording.streams) {
        const std::uint64_t ours = std::min(stream.quality.lost_capture, stream.counters.lost_before);
        lost += stream.counters.lost_before - ours;
        lost_capture += ours;
        dropped += stream.counters.dropped_us;
        undecryptable += stream.counters.undecryptable;
    }
    const auto add = [&](bool is, Shortfall what) {
        if (is) found.push_back(what);
    };
    const bool device = hears_side(recording, Side::device), far = hears_side(recording, Side::far);
    const bool brief = recording.duration_ns() < kBriefNs;
    add(!device && !far && undecryptable == 0 && (!brief || recording.ended_by == "no_media"), Shortfall::no_media);
    add(device != far && !brief && undecryptable == 0, Shortfall::one_side);
    add(lost > 0, Shortfall::lost_before);
    add(lost_capture > 0, Shortfall::dropped_kernel);
    add(dropped > 0, Shortfall::dropped_us);
    add(undecryptable > 0, Shortfall::undecryptable);
    add(recording.ended_by == "pre_empted", Shortfall::pre_empted);
    add(recording.state == RecordingState::interrupted, Shortfall::interrupted);
    return found;
}

}  // namespace spantape
