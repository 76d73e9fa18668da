// SPDX-License-Identifier: AGPL-3.0-or-later
// Plays a group of streams as one: reads their chunks as far as is asked for, joins the flows by arrival, places the
// frames. Holds what lies between the point asked for and the look-ahead. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "storage/audio/chunk_source.h"
#include "storage/audio/relay.h"
#include "storage/audio/stream_playout.h"

namespace spantape {

class GroupPlayer {
public:
    // Plays the part of [start_ns, stop_ns] of a recording.
    static Result<std::unique_ptr<GroupPlayer>> open(ChunkSource& chunks, const Recording& recording,
                                                     const StreamGroup& group, TimeNs start_ns, TimeNs stop_ns);

    // Reads on until every frame that begins before this second of the recording is placed.
    void advance(std::int64_t second);
    // In order, without overlap; the reader takes what it has used from the front.
    std::deque<PlacedFrame>& placed() { return playout_.placed(); }

    [[nodiscard]] Side side() const { return side_; }
    [[nodiscard]] bool copy() const { return copy_; }
    [[nodiscard]] std::uint64_t damaged_chunks() const { return damaged_chunks_; }

private:
    // A frame that waits for the other flows, with its own payload.
    struct OwnedFrame {
        StoredFrame frame;
        std::vector<std::uint8_t> payload;
    };
    struct Flow {
        std::unique_ptr<StreamChunks> chunks;
        PayloadTable table;
        std::deque<OwnedFrame> frames;  // only where there are several flows
        bool ended = false;
    };

    GroupPlayer(const StreamGroup& group, TimeNs start_ns, TimeNs stop_ns)
        : side_(group.side), copy_(group.copy), playout_(start_ns, stop_ns) {}
    void step();
    void read_chunk(Flow& flow, const FrameVisitor& visit);
    bool push(const StoredFrame& frame, const PayloadTable& table);
    void play_one_flow();
    void join_flows();
    void finish();

    Side side_;
    bool copy_;
    StreamPlayout playout_;
    std::vector<Flow> flows_;
    std::uint64_t damaged_chunks_ = 0;
    bool ended_ = false;
};

}  // namespace spantape
