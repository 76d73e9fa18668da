// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/waveform.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "storage/audio/chunk_source.h"
#include "storage/audio/playout.h"

namespace spantape {
namespace {

constexpr std::int32_t kLargestGap = 3000;  // RFC 3550 appendix A.1, MAX_DROPOUT; beyond, the sender began anew

constexpr TimeNs kHeardNs = 100 * kNsPerMs;  // a packet holds no more, and comes no later than that after the last

using Columns = std::vector<Waveform::Column>;

Result<> add_samples(RecordingAudio& audio, std::array<Columns, 2>& sides) {
    const std::uint64_t columns = sides[0].size();
    const std::uint64_t total = std::max<std::uint64_t>(audio.total_frames(), 1);
    const std::size_t channels = audio.format().channels;
    for (std::uint64_t at = 0;;) {
        const auto samples = audio.next();
        if (!samples) return std::unexpected(samples.error());
        if (samples->empty()) return {};
        for (std::size_t i = 0; i + channels <= samples->size(); i += channels, ++at) {
            const std::size_t column = std::min<std::uint64_t>(at * columns / total, columns - 1);
            for (std::size_t side = 0; side < std::min<std::size_t>(channels, 2); ++side) {
                Waveform::Column& here = sides[side][column];
                here.low = std::min(here.low, (*samples)[i + side]);
                here.high = std::max(here.high, (*samples)[i + side]);
            }
        }
    }
}

// What a blackout left out is not lost.
bool is_dark_between(const std::vector<BlackoutWindow>& blackouts, TimeNs from_ns, TimeNs to_ns) {
    return std::ranges::any_of(
        blackouts, [&](const BlackoutWindow& window) { return window.from_ns < to_ns && window.to_ns > from_ns; });
}

void add_packets(StreamChunks& chunks, const std::vector<BlackoutWindow>& blackouts, TimeNs start_ns, TimeNs stop_ns,
                 Columns& side) {
    bool first = true;
    std::uint16_t last = 0;
    TimeNs last_ns = start_ns;
    const auto column_at = [&](TimeNs time_ns) {
        const double place = static_cast<double>(time_ns - start_ns) / static_cast<double>(stop_ns - start_ns + 1);
        return std::min(static_cast<std::size_t>(place * static_cast<double>(side.size())), side.size() - 1);
    };
    const auto visit = [&](const StoredFrame& frame) {
        if (frame.arrival_ns < start_ns || frame.arrival_ns > stop_ns) return;
        const std::size_t column = column_at(frame.arrival_ns), over = column_at(frame.arrival_ns + kHeardNs);
        Waveform::Column& here = side[column];
        for (std::size_t at = column; at <= over; ++at) side[at].heard = true;
        const int step = static_cast<std::int16_t>(frame.sequence - last);
        const TimeNs before_ns = std::exchange(last_ns, frame.arrival_ns);
        if (!std::exchange(first, false) && step > 1 && step < kLargestGap &&
            !is_dark_between(blackouts, before_ns, frame.arrival_ns))
            here.lost += static_cast<std::uint32_t>(step - 1);
        if (step > 0 || step < -kLargestGap) last = frame.sequence;
    };
    while (chunks.next(visit) != StreamChunks::Step::end) {
    }
}

// Neighbouring columns without a packet, as [from, to).
template <class Visit>
void for_each_silence(const Columns& side, Visit visit) {
    for (std::size_t at = 0; at < side.size();) {
        const std::size_t from = at;
        while (at < side.size() && !side[at].heard) ++at;
        if (at > from) visit(from, at);
        ++at;
    }
}

}  // namespace

Result<Waveform> waveform_of(const Index& index, const SegmentStore& segments, const Recording& recording,
                             std::size_t columns, TimeNs now_ns) {
    const TimeNs start_ns = recording.start_ns;
    const TimeNs stop_ns = std::max(start_ns, recording.stop_ns != 0 ? recording.stop_ns : now_ns);
    Waveform waveform{.seconds = seconds(stop_ns - start_ns),
                      .sides = {Columns(std::max<std::size_t>(columns, 1)), Columns(std::max<std::size_t>(columns, 1))},
                      .blackouts = {}};
    auto audio = RecordingAudio::open(index, segments, recording, now_ns);
    if (!audio) return std::unexpected(audio.error());
    if (auto added = add_samples(**audio, waveform.sides); !added) return std::unexpected(added.error());
    const auto chunks = stored_chunks(index, segments);
    for (const RecordedStream& stream : recording.streams) {
        if (stream.relay_copy) continue;
        auto stored = chunks->open(stream.stream_id, start_ns, stop_ns);
        if (!stored) return std::unexpected(stored.error());
        add_packets(**stored, recording.blackouts, start_ns, stop_ns,
                    waveform.sides[stream.side == Side::device ? 0 : 1]);
    }
    for (const BlackoutWindow& window : recording.blackouts)
        waveform.blackouts.push_back(
            {seconds(window.from_ns - start_ns), seconds(std::min(window.to_ns, stop_ns) - start_ns)});
    return waveform;
}

std::string waveform_json(const Waveform& waveform) {
    std::string json = fmt::format("{{\"seconds\":{:.3f}", waveform.seconds);
    const auto list = [&](const char* name, auto each) {
        json += fmt::format("\"{}\":[", name);
        const std::size_t empty = json.size();
        each([&](auto... values) {
            json += json.size() == empty ? "[" : ",[";
            std::size_t number = 0;
            ((json += fmt::format("{}{}", number++ == 0 ? "" : ",", values)), ...);
            json += "]";
        });
        json += "]";
    };
    constexpr const char* kNames[] = {"device", "far"};
    for (const std::size_t side : {0u, 1u}) {
        json += ",";
        list(kNames[side], [&](auto add) {
            for (const Waveform::Column& column : waveform.sides[side]) add(column.low, column.high);
        });
    }
    for (const char* what : {"lost", "silent"}) {
        json += fmt::format(",\"{}\":{{", what);
        for (const std::size_t side : {0u, 1u}) {
            if (side == 1) json += ",";
            list(kNames[side], [&](auto add) {
                const Columns& columns = waveform.sides[side];
                if (what[0] == 's') return for_each_silence(columns, add);
                for (std::size_t at = 0; at < columns.size(); ++at)
                    if (columns[at].lost != 0) add(at, columns[at].lost);
            });
        }
        json += "}";
    }
    json += ",";
    list("blackouts", [&](auto add) {
        for (const Waveform::Blackout& blackout : waveform.blackouts)
            add(fmt::format("{:.3f}", blackout.from_s), fmt::format("{:.3f}", blackout.to_s));
    });
    return json + "}";
}

}  // namespace spantape
