// SPDX-License-Identifier: AGPL-3.0-or-later
// RTP header parsing (RFC 3550 §5.1) and the records that a stream's ring holds. A ring carries frames and marks in
// one order, so that the writer sees audio, loss and end exactly as the worker saw them.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "capture/base/address.h"
#include "capture/base/clock.h"

namespace spantape {

struct RtpHeader {
    std::uint8_t payload_type = 0;
    bool marker = false;
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;  // RTP clock units
    std::uint32_t ssrc = 0;
    std::uint16_t header_bytes = 0;         // before the payload: 12, CSRCs and extension
    std::uint8_t padding_bytes = 0;         // behind it
    std::span<const std::uint8_t> payload;  // without CSRCs, extension and padding

    // The packet as it came.
    [[nodiscard]] std::span<const std::uint8_t> packet() const {
        return {payload.data() - header_bytes, header_bytes + payload.size() + padding_bytes};
    }
    [[nodiscard]] bool has_padding() const { return (packet().front() & 0x20) != 0; }
};

enum class RtpParse : std::uint8_t {
    ok,
    not_rtp,
    rtcp,
    malformed,
    bad_padding,  // all else is right, and `payload` runs to the end: malformed, or SRTP, where the length of the
                  // padding is encrypted and what stands in its place is anything
};

// Tells RTP from what is not, and gives the header and the payload's bounds. RTCP by its packet types 192-223
// (RFC 5761 §4).
RtpParse parse_rtp(std::span<const std::uint8_t> datagram, RtpHeader& header);

enum class RingRecordKind : std::uint8_t {
    frame,  // one RTP frame, payload follows
    gap,    // `lost_us` frames were dropped by us before this point (ring full)
    end,    // the stream's last record: the writer closes it and gives the slot back
};

// Header of every ring record; a frame's payload follows directly.
struct RingRecord {
    RingRecordKind kind = RingRecordKind::frame;
    std::uint8_t payload_type = 0;
    std::uint8_t marker = 0;
    // In look-back only: the payload is the whole packet, because what lies around its payload may be needed to decrypt
    // it. The worker makes a frame of it before the writer sees it.
    std::uint8_t whole_packet = 0;
    std::uint16_t sequence = 0;
    std::uint16_t payload_bytes = 0;
    std::uint32_t timestamp = 0;
    std::uint32_t lost_us = 0;
    TimeNs arrival_ns = 0;
};
static_assert(sizeof(RingRecord) == 24);

// What a stream has seen so far; packets, not bytes. Cumulative.
struct StreamCounters {
    std::uint64_t stored = 0;       // put on the ring
    std::uint64_t lost_before = 0;  // gaps in the sequence numbers: lost before they reached us
    std::uint64_t dropped_us = 0;   // ring full
    std::uint64_t duplicates = 0;
    std::uint64_t blacked_out = 0;
    std::uint64_t payload_bytes = 0;
    std::uint64_t undecryptable = 0;  // SRTP that no known key authenticates; not stored
};

// What a stream's frames were on the wire.
enum class StreamEncryption : std::uint8_t {
    none,
    srtp,         // and were decrypted
    srtp_no_key,  // and could not be
};

}  // namespace spantape
