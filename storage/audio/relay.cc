// SPDX-License-Identifier: AGPL-3.0-or-later
// Compares what the two streams hold at the beginning of the time in which both ran.
#include "storage/audio/relay.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace spantape {
namespace {

constexpr TimeNs kMarginNs = kNsPerSecond;  // a relay is not slower than this
constexpr TimeNs kComparedNs = 3 * kNsPerSecond;
constexpr std::size_t kComparedFrames = 150;

using FrameIdentity = std::tuple<std::uint16_t, std::uint32_t, std::size_t>;  // sequence, timestamp, payload's hash

Result<std::set<FrameIdentity>> identities(ChunkSource& chunks, std::uint64_t stream_id, TimeNs from_ns, TimeNs to_ns) {
    auto stream = chunks.open(stream_id, from_ns, to_ns);
    if (!stream) return std::unexpected(stream.error());
    std::set<FrameIdentity> found;
    bool past = false;
    const auto visit = [&](const StoredFrame& frame) {
        if (frame.arrival_ns < from_ns || past) return;
        past = frame.arrival_ns > to_ns || found.size() >= kComparedFrames;
        if (past) return;
        const std::string_view payload(reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size());
        found.insert({frame.sequence, frame.timestamp, std::hash<std::string_view>{}(payload)});
    };
    while (!past && (*stream)->next(visit) != StreamChunks::Step::end) {
    }
    return found;
}

// Of a stream whose document does not say it yet (a recording that runs), the first frame found.
Result<TimeNs> start_of(ChunkSource& chunks, const RecordedStream& recorded) {
    if (recorded.start_ns != 0) return recorded.start_ns;
    auto stream = chunks.open(recorded.stream_id, INT64_MIN, INT64_MAX);
    if (!stream) return std::unexpected(stream.error());
    TimeNs first_ns = 0;
    const auto visit = [&](const StoredFrame& frame) {
        if (first_ns == 0) first_ns = frame.arrival_ns;
    };
    while (first_ns == 0 && (*stream)->next(visit) != StreamChunks::Step::end) {
    }
    return first_ns;
}

Result<bool> same_media(ChunkSource& chunks, const RecordedStream& a, const RecordedStream& b) {
    const auto start_a = start_of(chunks, a);
    if (!start_a) return std::unexpected(start_a.error());
    const auto start_b = start_of(chunks, b);
    if (!start_b) return std::unexpected(start_b.error());
    const TimeNs from_ns = std::max(*start_a, *start_b);
    const auto in_a = identities(chunks, a.stream_id, from_ns - kMarginNs, from_ns + kComparedNs + kMarginNs);
    if (!in_a) return std::unexpected(in_a.error());
    const auto in_b = identities(chunks, b.stream_id, from_ns - kMarginNs, from_ns + kComparedNs + kMarginNs);
    if (!in_b) return std::unexpected(in_b.error());
    const auto shared = static_cast<std::size_t>(
        std::ranges::count_if(*in_a, [&](const FrameIdentity& frame) { return in_b->contains(frame); }));
    return shared > 0 && shared * 2 >= std::min(in_a->size(), in_b->size());
}

// Most packets first; those said to be copies after all others.
std::vector<std::size_t> by_preference(const std::vector<RecordedStream>& streams) {
    std::vector<std::size_t> order(streams.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
        if (streams[a].relay_copy != streams[b].relay_copy) return streams[b].relay_copy;
        if (streams[a].counters.stored != streams[b].counters.stored) {
            return streams[a].counters.stored > streams[b].counters.stored;
        }
        return a < b;
    });
    return order;
}

}  // namespace

Result<std::vector<StreamGroup>> group_streams(const Recording& recording, ChunkSource& chunks) {
    const auto& streams = recording.streams;
    std::vector<StreamGroup> groups;
    for (const std::size_t index : by_preference(streams)) {
        const RecordedStream& stream = streams[index];
        bool side_has_media = false;
        bool joined = false;
        for (auto& group : groups) {
            if (joined || group.side != stream.side) continue;
            side_has_media = true;
            const RecordedStream& other = streams[group.streams.front()];
            joined = other.stream_id == stream.stream_id;  // listed twice: once is enough
            if (joined || other.flow.ssrc != stream.flow.ssrc) continue;
            const auto same = same_media(chunks, other, stream);
            if (!same) return std::unexpected(same.error());
            joined = *same;
            if (joined) group.streams.push_back(index);
        }
        if (!joined) groups.push_back({stream.side, {index}, stream.relay_copy && side_has_media});
    }
    return groups;
}

}  // namespace spantape
