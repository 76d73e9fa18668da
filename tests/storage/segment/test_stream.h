// SPDX-License-Identifier: AGPL-3.0-or-later
// A stream as a worker hands it to the media writer.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "capture/rtp/stream_handle.h"
#include "tests/storage/segment/helpers.h"

namespace spantape {

inline constexpr std::size_t kRingBytes = 16 << 10;

// A worker's stream: what was put on its ring is remembered.
struct TestStream {
    explicit TestStream(std::uint64_t id, std::uint64_t session, std::size_t ring_bytes = kRingBytes)
        : memory(ring_bytes + 64) {
        void* aligned = memory.data();
        std::size_t room = memory.size();
        std::align(64, ring_bytes, aligned, room);
        handle.ring.attach({static_cast<std::byte*>(aligned), ring_bytes});
        handle.stream_id = id;
        handle.session_id = session;
        handle.joined(session);
        handle.flow.ssrc = static_cast<std::uint32_t>(id * 3);
        handle.flow.source = {*IpAddress::parse("192.0.2.1"), 1000};
        handle.flow.destination = {*IpAddress::parse("192.0.2.2"), 2000};
        handle.worker = 4;
    }

    bool put(const RingRecord& record, const std::vector<std::byte>& payload = {}) {
        std::byte* room = handle.ring.reserve(sizeof record + payload.size());
        if (room == nullptr) return false;
        std::memcpy(room, &record, sizeof record);
        if (!payload.empty()) std::memcpy(room + sizeof record, payload.data(), payload.size());
        handle.ring.commit();
        return true;
    }
    bool put_frame(TimeNs arrival_ns, std::size_t bytes = 160, bool expect = true) {
        if (!put(frame_record(next, bytes, arrival_ns), payload_of(handle.stream_id, next, bytes))) return false;
        if (expect) expected.push_back(next);
        ++next;
        return true;
    }
    bool put_mark(RingRecordKind kind, TimeNs arrival_ns = 0, std::uint32_t lost = 0) {
        RingRecord record;
        record.kind = kind;
        record.arrival_ns = arrival_ns;
        record.lost_us = lost;
        if (!put(record)) return false;
        return true;
    }

    std::vector<std::byte> memory;
    StreamHandle handle;
    std::uint32_t next = 0;
    std::vector<std::uint32_t> expected;  // numbers of the frames that must be stored
};

}  // namespace spantape
