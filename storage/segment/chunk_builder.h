// SPDX-License-Identifier: AGPL-3.0-or-later
// Builds one audio chunk in place, in the room that SegmentWriter::reserve gave: the second and last copy of a frame.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "storage/segment/format.h"

namespace spantape {

class ChunkBuilder {
public:
    // Room that a chunk needs for one entry with a payload of so many bytes.
    static constexpr std::size_t entry_bytes(std::size_t payload_bytes) { return sizeof(FrameHeader) + payload_bytes; }

    // header: what is known beforehand (stream, chunk number, flow …). room: at least a ChunkHeader.
    void open(std::span<std::byte> room, const ChunkHeader& header) {
        room_ = room;
        header_ = header;
        used_ = sizeof(ChunkHeader);
        any_ = false;
    }
    [[nodiscard]] bool is_open() const { return !room_.empty(); }
    [[nodiscard]] ChunkHeader& header() { return header_; }

    // Whether an entry fits, in room and in time.
    [[nodiscard]] bool fits(std::size_t payload_bytes, TimeNs arrival_ns) const {
        if (used_ + entry_bytes(payload_bytes) > room_.size()) return false;
        TimeNs offset_ns = 0;
        if (!any_) return true;
        return !__builtin_sub_overflow(arrival_ns, header_.base_ns, &offset_ns) && offset_ns >= kLeastOffsetNs &&
               offset_ns <= kGreatestOffsetNs;
    }

    // Both only when it fits.
    void add_frame(const RingRecord& frame, const std::byte* payload) {
        std::byte* at = add(frame, FrameKind::frame, frame.timestamp, frame.payload_bytes);
        if (payload != nullptr) std::memcpy(at, payload, frame.payload_bytes);
        if (header_.frames == 0) {
            header_.first_sequence = frame.sequence;
            header_.first_timestamp = frame.timestamp;
            header_.first_ns = header_.last_ns = frame.arrival_ns;
        }
        header_.last_sequence = frame.sequence;
        header_.last_timestamp = frame.timestamp;
        header_.last_payload_type = frame.payload_type;
        header_.first_ns = std::min(header_.first_ns, frame.arrival_ns);
        header_.last_ns = std::max(header_.last_ns, frame.arrival_ns);
        ++header_.frames;
    }
    void add_mark(FrameKind kind, TimeNs arrival_ns, std::uint32_t value) {
        RingRecord mark;
        mark.arrival_ns = arrival_ns;
        add(mark, kind, value, 0);
    }

    // Writes the header; the record is then ready for SegmentWriter::commit().
    void close() {
        header_.record.kind = RecordKind::audio;
        header_.record.header_bytes = sizeof(ChunkHeader);
        header_.record.total_bytes = static_cast<std::uint32_t>(used_);
        if (header_.frames == 0) header_.first_ns = header_.last_ns = header_.base_ns;
        std::memcpy(room_.data(), &header_, sizeof header_);
        room_ = {};
    }

private:
    static constexpr TimeNs kLeastOffsetNs = TimeNs{INT32_MIN} * 1000;
    static constexpr TimeNs kGreatestOffsetNs = TimeNs{INT32_MAX} * 1000;

    std::byte* add(const RingRecord& from, FrameKind kind, std::uint32_t value, std::uint16_t payload_bytes) {
        if (!any_) header_.base_ns = from.arrival_ns;
        any_ = true;
        const TimeNs offset_ns = from.arrival_ns - header_.base_ns;
        const TimeNs rest_ns = (offset_ns % 1000 + 1000) % 1000;
        FrameHeader entry;
        entry.sequence = from.sequence;
        entry.payload_type = from.payload_type;
        entry.flags = static_cast<std::uint8_t>((from.marker != 0 ? kFrameMarker : 0) | static_cast<int>(kind)
                                                                                            << kFrameKindShift);
        entry.timestamp = value;
        entry.arrival_us = static_cast<std::int32_t>((offset_ns - rest_ns) / 1000);
        entry.arrival_ns = static_cast<std::uint16_t>(rest_ns);
        entry.payload_bytes = payload_bytes;
        std::memcpy(room_.data() + used_, &entry, sizeof entry);
        std::byte* payload = room_.data() + used_ + sizeof entry;
        used_ += entry_bytes(payload_bytes);
        return payload;
    }

    std::span<std::byte> room_;
    ChunkHeader header_;
    std::size_t used_ = 0;
    bool any_ = false;
};

}  // namespace spantape
