// SPDX-License-Identifier: AGPL-3.0-or-later
// RTCP (RFC 3550 §6): what receivers report of the streams that they get. Fields are read by oRTP, which is known in
// rtcp.cc alone; lengths are checked before it sees a byte. Any thread; nothing is allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace spantape {

// RFC 3550 §6.4.1: one receiver's words about one stream.
struct RtcpReportBlock {
    std::uint32_t reporter_ssrc = 0;
    std::uint32_t ssrc = 0;            // the stream that it reports on
    std::uint8_t fraction_lost = 0;    // since its last report, 1/256
    std::int32_t cumulative_lost = 0;  // packets, 24 bits on the wire; negative with duplicates
    std::uint32_t extended_highest_sequence = 0;
    std::uint32_t jitter_units = 0;         // RTP clock units
    std::uint32_t last_sr = 0;              // middle 32 bits of the NTP time of the last sender report; 0: none
    std::uint32_t delay_since_last_sr = 0;  // 1/65536 s
};

struct RtcpSenderInfo {
    std::uint32_t ssrc = 0;
    std::uint64_t ntp_time = 0;  // seconds since 1900, 32.32 bits; the sender's clock
    std::uint32_t rtp_timestamp = 0;
    std::uint32_t packets = 0;
    std::uint32_t octets = 0;
};

// The reports of one datagram. What is no SR or RR (SDES, BYE, APP, feedback, XR) is stepped over.
struct RtcpReports {
    static constexpr std::size_t kMaxBytes = 1500;  // of a datagram
    static constexpr std::size_t kMostBlocks = kMaxBytes / 24;
    static constexpr std::size_t kMostSenders = kMaxBytes / 28;

    std::size_t block_count = 0;
    std::size_t sender_count = 0;
    std::array<RtcpReportBlock, kMostBlocks> block;
    std::array<RtcpSenderInfo, kMostSenders> sender;

    [[nodiscard]] std::span<const RtcpReportBlock> blocks() const { return std::span(block).first(block_count); }
    [[nodiscard]] std::span<const RtcpSenderInfo> senders() const { return std::span(sender).first(sender_count); }
};

// Reads a compound packet, or one of reduced size (RFC 5506). False, with nothing said of `reports`: lengths that do
// not add up to the datagram exactly, counts that do not fit, another version, or more bytes than kMaxBytes. Encrypted
// (SRTCP, RFC 3711 §3.4) is so refused: only its first header is clear, and index and tag follow the packets.
[[nodiscard]] bool read_rtcp(std::span<const std::uint8_t> datagram, RtcpReports& reports);

}  // namespace spantape
