// SPDX-License-Identifier: AGPL-3.0-or-later
// One flow goes straight from the chunk into the playout; several are merged by time of arrival, so that the order
// of sequence numbers, which also drops the copies, sees each frame shortly after its twin.
#include "storage/audio/group_player.h"

#include <utility>

#include "storage/audio/redundancy.h"

namespace spantape {
namespace {

constexpr TimeNs kMarginNs = 6 * kNsPerSecond;  // a little more than the playout itself looks at

}  // namespace

Result<std::unique_ptr<GroupPlayer>> GroupPlayer::open(ChunkSource& chunks, const Recording& recording,
                                                       const StreamGroup& group, TimeNs start_ns, TimeNs stop_ns) {
    std::unique_ptr<GroupPlayer> player(new GroupPlayer(group, start_ns, stop_ns));
    for (const std::size_t index : group.streams) {
        const RecordedStream& stream = recording.streams[index];
        auto opened = chunks.open(stream.stream_id, start_ns - kMarginNs, stop_ns + kMarginNs);
        if (!opened) return std::unexpected(opened.error());
        player->flows_.push_back({std::move(*opened), payload_table(stream.payloads), {}, false});
    }
    return player;
}

void GroupPlayer::advance(std::int64_t second) {
    const auto reached = [&] {
        if (placed().empty()) return false;
        const PlacedFrame& last = placed().back();
        return last.position >= second * static_cast<std::int64_t>(last.rate_hz);
    };
    while (!ended_ && !reached()) step();
}

void GroupPlayer::step() {
    if (flows_.size() == 1) {
        play_one_flow();
    } else {
        join_flows();
    }
}

void GroupPlayer::finish() {
    ended_ = true;
    playout_.finish();
}

void GroupPlayer::read_chunk(Flow& flow, const FrameVisitor& visit) {
    switch (flow.chunks->next(visit)) {
        case StreamChunks::Step::frames:
            return;
        case StreamChunks::Step::damaged:
            ++damaged_chunks_;
            return;
        case StreamChunks::Step::end:
            flow.ended = true;
            return;
    }
}

void GroupPlayer::play_one_flow() {
    Flow& flow = flows_.front();
    bool past = false;
    read_chunk(flow, [&](const StoredFrame& frame) { past = past || !push(frame, flow.table); });
    if (past || flow.ended) finish();
}

bool GroupPlayer::push(const StoredFrame& frame, const PayloadTable& table) {
    bool before_end = true;
    for_each_audio_frame(frame, table, [&](const StoredFrame& each, const PayloadFormat& format) {
        before_end = playout_.push(each, format) && before_end;
    });
    return before_end;
}

void GroupPlayer::join_flows() {
    Flow* earliest = nullptr;
    for (auto& flow : flows_) {
        while (flow.frames.empty() && !flow.ended) {
            read_chunk(flow, [&](const StoredFrame& frame) {
                flow.frames.push_back({frame, {frame.payload.begin(), frame.payload.end()}});
            });
        }
        if (flow.frames.empty()) continue;
        if (earliest == nullptr || flow.frames.front().frame.arrival_ns < earliest->frames.front().frame.arrival_ns) {
            earliest = &flow;
        }
    }
    if (earliest == nullptr) return finish();
    OwnedFrame& owned = earliest->frames.front();
    owned.frame.payload = owned.payload;
    if (!push(owned.frame, earliest->table)) return finish();
    earliest->frames.pop_front();
}

}  // namespace spantape
