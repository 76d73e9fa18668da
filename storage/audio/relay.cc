// SPDX-License-Identifier: AGPL-3.0-or-later
// Compares what the two streams hold at the beginning of the time in which both ran, or where one took over.
#include "storage/audio/relay.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace spantape {
namespace {

constexpr TimeNs kMarginNs = kNsPerSecond;  // a relay is not slower than this
constexpr TimeNs kComparedNs = 3 * kNsPerSecond;
constexpr std::size_t kComparedFrames = 150;

// A flow goes on as another: no longer pause than this, no more frames lost.
constexpr TimeNs kHandoverNs = 10 * kNsPerSecond;
constexpr int kHandoverFrames = 500;
constexpr std::int32_t kHandoverTicks = 10 * 90000;

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

// Where a stream was left or taken up.
struct Mark {
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    TimeNs arrival_ns = 0;
};

// Does `later`, whose first frame arrived at from_ns, go on where `earlier` was left? Sequence numbers and timestamps
// run on when a phone moves its media to another address (RFC 3264 §8.3.1).
Result<bool> takes_over(ChunkSource& chunks, const RecordedStream& earlier, const RecordedStream& later,
                        TimeNs from_ns) {
    std::optional<Mark> last, first;
    auto stream = chunks.open(earlier.stream_id, from_ns - kHandoverNs, from_ns);
    if (!stream) return std::unexpected(stream.error());
    const auto leave = [&](const StoredFrame& frame) {
        if (frame.arrival_ns < from_ns) last = {frame.sequence, frame.timestamp, frame.arrival_ns};
    };
    while ((*stream)->next(leave) != StreamChunks::Step::end) {
    }
    if (!last || last->arrival_ns < from_ns - kHandoverNs) return false;
    stream = chunks.open(later.stream_id, from_ns, from_ns + kMarginNs);
    if (!stream) return std::unexpected(stream.error());
    const auto take = [&](const StoredFrame& frame) {
        if (!first && frame.arrival_ns >= from_ns) first = {frame.sequence, frame.timestamp, frame.arrival_ns};
    };
    while (!first && (*stream)->next(take) != StreamChunks::Step::end) {
    }
    if (!first) return false;
    const auto frames = static_cast<std::int16_t>(first->sequence - last->sequence);
    const auto ticks = static_cast<std::int32_t>(first->timestamp - last->timestamp);
    return frames > 0 && frames <= kHandoverFrames && ticks > 0 && ticks <= kHandoverTicks;
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
    if (shared > 0 && shared * 2 >= std::min(in_a->size(), in_b->size())) return true;
    const bool a_first = *start_a <= *start_b;
    return takes_over(chunks, a_first ? a : b, a_first ? b : a, from_ns);
}

// Any of the group's streams will do: a call may move more than once.
Result<bool> belongs_to(ChunkSource& chunks, const Recording& recording, const StreamGroup& group,
                        const RecordedStream& stream) {
    for (const std::size_t index : group.streams) {
        const RecordedStream& other = recording.streams[index];
        if (other.flow.ssrc != stream.flow.ssrc) continue;
        const auto same = same_media(chunks, other, stream);
        if (!same || *same) return same;
    }
    return false;
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
    std::vector<StreamGroup> groups;
    std::set<std::uint64_t> seen;
    for (const std::size_t index : by_preference(recording.streams)) {
        const RecordedStream& stream = recording.streams[index];
        if (!seen.insert(stream.stream_id).second) continue;  // listed twice: once is enough
        bool side_has_media = false;
        StreamGroup* joined = nullptr;
        for (auto& group : groups) {
            if (group.side != stream.side) continue;
            side_has_media = true;
            const auto belongs = belongs_to(chunks, recording, group, stream);
            if (!belongs) return std::unexpected(belongs.error());
            if (!*belongs) continue;
            if (joined == nullptr) {
                joined = &group;
                group.streams.push_back(index);
            } else {  // it is the link between the two
                joined->streams.insert(joined->streams.end(), group.streams.begin(), group.streams.end());
                joined->copy = joined->copy && group.copy;
                group.streams.clear();
            }
        }
        std::erase_if(groups, [](const StreamGroup& group) { return group.streams.empty(); });
        if (joined == nullptr) groups.push_back({stream.side, {index}, stream.relay_copy && side_has_media});
    }
    return groups;
}

}  // namespace spantape
