// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/rtcp.h"

#include <algorithm>
#include <cstring>

// Not ortp.h, of which clang refuses a header; and rtcp.h needs to come last.
#include <ortp/port.h>
#include <ortp/str_utils.h>

#include <ortp/rtcp.h>

namespace spantape {

namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kReportBlockBytes = sizeof(report_block_t);
constexpr std::size_t kSenderReportBytes = sizeof(rtcp_sr_t) - kReportBlockBytes;    // without report blocks
constexpr std::size_t kReceiverReportBytes = sizeof(rtcp_rr_t) - kReportBlockBytes;  // likewise
static_assert(kReportBlockBytes == 24 && kSenderReportBytes == 28 && kReceiverReportBytes == 8);

constexpr std::uint8_t kFirstType = 192;  // RFC 5761 §4
constexpr std::uint8_t kLastType = 223;

// What a packet of this type and count holds at least (RFC 3550 §6.4 to §6.7).
std::size_t least_bytes(std::uint8_t type, std::size_t count) {
    switch (type) {
        case RTCP_SR:
            return kSenderReportBytes + count * kReportBlockBytes;
        case RTCP_RR:
            return kReceiverReportBytes + count * kReportBlockBytes;
        case RTCP_BYE:
            return kHeaderBytes + count * 4;
        case RTCP_APP:
            return kHeaderBytes + 8;
        default:
            return kHeaderBytes;
    }
}

// The length of the packet at the front, header and padding included; 0: it is none, or does not fit.
std::size_t packet_bytes(std::span<const std::uint8_t> rest) {
    if (rest.size() < kHeaderBytes || rest[0] >> 6 != 2 || rest[1] < kFirstType || rest[1] > kLastType) return 0;
    const std::size_t bytes = (std::size_t{rest[2]} << 8 | rest[3]) * 4 + 4;
    if (bytes > rest.size()) return 0;
    std::size_t padding = 0;
    if ((rest[0] & 0x20) != 0) {  // allowed in the last one only (RFC 3550 §6.4.1)
        padding = rest[bytes - 1];
        if (bytes != rest.size() || padding == 0 || padding % 4 != 0 || padding > bytes - kHeaderBytes) return 0;
    }
    return least_bytes(rest[1], rest[0] & 0x1f) <= bytes - padding ? bytes : 0;
}

bool lengths_add_up(std::span<const std::uint8_t> datagram) {
    if (datagram.empty()) return false;
    while (!datagram.empty()) {
        const std::size_t bytes = packet_bytes(datagram);
        if (bytes == 0) return false;
        datagram = datagram.subspan(bytes);
    }
    return true;
}

void take_block(std::uint32_t reporter_ssrc, const report_block_t* block, RtcpReports& reports) {
    if (block == nullptr || reports.block_count == reports.block.size()) return;
    reports.block[reports.block_count++] = {
        .reporter_ssrc = reporter_ssrc,
        .ssrc = report_block_get_ssrc(block),
        .fraction_lost = static_cast<std::uint8_t>(report_block_get_fraction_lost(block)),
        .cumulative_lost = report_block_get_cum_packet_lost(block),
        .extended_highest_sequence = report_block_get_high_ext_seq(block),
        .jitter_units = report_block_get_interarrival_jitter(block),
        .last_sr = report_block_get_last_SR_time(block),
        .delay_since_last_sr = report_block_get_last_SR_delay(block)};
}

void take_sender(const mblk_t& packet, RtcpReports& reports) {
    if (reports.sender_count == reports.sender.size()) return;
    const sender_info_t* info = rtcp_SR_get_sender_info(&packet);
    reports.sender[reports.sender_count++] = {.ssrc = rtcp_SR_get_ssrc(&packet),
                                              .ntp_time = sender_info_get_ntp_timestamp(info),
                                              .rtp_timestamp = sender_info_get_rtp_timestamp(info),
                                              .packets = sender_info_get_packet_count(info),
                                              .octets = sender_info_get_octet_count(info)};
}

void take_packet(const mblk_t& packet, RtcpReports& reports) {
    const int blocks = rtcp_common_header_get_rc(rtcp_get_common_header(&packet));
    if (rtcp_is_SR(&packet)) {
        take_sender(packet, reports);
        for (int i = 0; i < blocks; ++i)
            take_block(rtcp_SR_get_ssrc(&packet), rtcp_SR_get_report_block(&packet, i), reports);
    } else if (rtcp_is_RR(&packet)) {
        for (int i = 0; i < blocks; ++i)
            take_block(rtcp_RR_get_ssrc(&packet), rtcp_RR_get_report_block(&packet, i), reports);
    }
}

}  // namespace

bool read_rtcp(std::span<const std::uint8_t> datagram, RtcpReports& reports) {
    if (datagram.size() > RtcpReports::kMaxBytes || !lengths_add_up(datagram)) return false;
    reports.block_count = reports.sender_count = 0;
    // oRTP reads words in place: they must lie where words may.
    alignas(std::uint32_t) std::array<std::uint8_t, RtcpReports::kMaxBytes> copy;
    std::memcpy(copy.data(), datagram.data(), datagram.size());
    mblk_t packet{};  // one block, on the stack: the readers look at nothing but its bounds
    packet.b_rptr = copy.data();
    packet.b_wptr = copy.data() + datagram.size();
    do {
        take_packet(packet, reports);
    } while (rtcp_next_packet(&packet));
    return true;
}

}  // namespace spantape
