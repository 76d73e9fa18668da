// SPDX-License-Identifier: AGPL-3.0-or-later
#include "bench/call_feed.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "capture/source/dpdk_eal.h"

namespace spantape::bench {

namespace {

constexpr unsigned kRing = 32768;  // packets: a card's queue is of a few thousand, but has no sleeping reader
constexpr unsigned kRtpBuffers = 65535;
constexpr unsigned kSipBuffers = 16383;
constexpr std::size_t kPayloadBytes = 160;
constexpr std::size_t kHeaderBytes = 54;
constexpr unsigned kBatch = 64;
constexpr TimeNs kTickNs = kNsPerMs;

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "whole_path: %s\n", why);
    std::exit(1);
}

TimeNs thread_cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<TimeNs>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

// All buffers of the pool hold the same payload for good: only the headers are written for each packet.
void fill(rte_mempool*, void*, void* object, unsigned) {
    auto* packet = static_cast<rte_mbuf*>(object);
    std::memset(rte_pktmbuf_mtod(packet, std::uint8_t*), 0x55, kHeaderBytes + kPayloadBytes);
}

}  // namespace

CallFeed::CallFeed(const CallFeedOptions& options) : options_(options) {
    gen_.calls = options.calls;
    gen_.seconds = options.seconds;
    gen_.calls_per_second = options.calls_per_second;
    const DpdkOptions dpdk{.huge = DpdkHuge::automatic, .memory_mib = 512};
    if (const auto started = start_eal(dpdk); !started) give_up(started.error().message.c_str());
    const char* operations = options.several_readers ? "ring_mp_mc" : "ring_sp_sc";
    rtp_pool_ = rte_pktmbuf_pool_create_by_ops("feed_rtp", kRtpBuffers, 0, 0, RTE_PKTMBUF_HEADROOM + 256, SOCKET_ID_ANY,
                                               operations);
    sip_pool_ = rte_pktmbuf_pool_create_by_ops("feed_sip", kSipBuffers, 0, 0, RTE_PKTMBUF_HEADROOM + 2048,
                                               SOCKET_ID_ANY, operations);
    ring_ = rte_ring_create("feed", kRing, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
    if (rtp_pool_ == nullptr || sip_pool_ == nullptr || ring_ == nullptr) give_up("no memory for the packets");
    rte_mempool_obj_iter(rtp_pool_, fill, nullptr);
    if (rte_eth_from_rings("calls", &ring_, 1, &ring_, 1, 0) < 0) give_up("no ring port");
}

CallFeedResult CallFeed::run() {
    const TimeNs cpu_before_ns = thread_cpu_ns();
    began_ns_ = wall_clock_ns() + kTickNs;
    for (bool more = true; more; ++tick_) {
        const TimeNs due_ns = began_ns_ + static_cast<TimeNs>(tick_) * kTickNs;
        const TimeNs early_ns = due_ns - wall_clock_ns();
        if (early_ns > 0) {
            const timespec pause{0, early_ns};
            nanosleep(&pause, nullptr);
        }
        result_.latest_ns = std::max(result_.latest_ns, wall_clock_ns() - due_ns);
        start_due(due_ns);
        send_due(due_ns);
        if (tick_ % 1000 == 0) {
            result_.peak_rtp_per_second = std::max(result_.peak_rtp_per_second, this_second_);
            this_second_ = 0;
        }
        more = started_ < options_.calls || !messages_.empty() || !joining_.empty() ||
               std::ranges::any_of(streams_, [](const auto& streams) { return !streams.empty(); });
    }
    while (!rte_ring_empty(ring_)) {
        const timespec pause{0, kTickNs};
        nanosleep(&pause, nullptr);
    }
    result_.seconds = seconds(wall_clock_ns() - began_ns_);
    result_.cpu_ns = thread_cpu_ns() - cpu_before_ns;
    return result_;
}

void CallFeed::start_due(TimeNs now_ns) {
    const double elapsed_s = seconds(now_ns - began_ns_);
    const auto due = static_cast<std::uint32_t>(elapsed_s * options_.calls_per_second) + 1;
    while (started_ < std::min(due, options_.calls)) start_call(started_++, now_ns);
}

void CallFeed::start_call(std::uint32_t number, TimeNs start_ns) {
    gen::GenCall call(gen_, number, start_ns);
    for (gen::SipMessage& message : call.messages) {
        const gen::Peer& from = message.from_caller ? call.caller_sip : call.callee_sip;
        const gen::Peer& to = message.from_caller ? call.callee_sip : call.caller_sip;
        messages_.emplace(message.time_ns, Message{from, to, std::move(message.text)});
    }
    if (!options_.media) return;
    for (gen::GenStream& stream : call.streams) {
        Stream sending;
        sending.left = gen_.packets();
        sending.sequence = stream.first_sequence;
        sending.timestamp = stream.first_timestamp;
        stream.begin_packet(gen_, 0);
        const auto packet = stream.packet.finished(0);
        std::memcpy(sending.headers.data(), packet.data(), kHeaderBytes);
        joining_.emplace(stream.first_ns, sending);
    }
}

void CallFeed::send_due(TimeNs now_ns) {
    while (!messages_.empty() && messages_.begin()->first <= now_ns) {
        send(messages_.begin()->second);
        messages_.erase(messages_.begin());
    }
    std::vector<Stream>& streams = streams_[tick_ % kTicks];
    while (!joining_.empty() && joining_.begin()->first <= now_ns) {
        streams.push_back(joining_.begin()->second);
        joining_.erase(joining_.begin());
    }
    send_tick(streams);
}

void CallFeed::send_tick(std::vector<Stream>& streams) {
    std::array<rte_mbuf*, kBatch> packets;
    for (std::size_t first = 0; first < streams.size(); first += kBatch) {
        const auto count = static_cast<unsigned>(std::min<std::size_t>(kBatch, streams.size() - first));
        result_.rtp_sent += count;
        this_second_ += count;
        const bool room = rte_pktmbuf_alloc_bulk(rtp_pool_, packets.data(), count) == 0;
        if (!room) result_.no_room += count;
        for (unsigned i = 0; i < count; ++i) {
            Stream& stream = streams[first + i];
            gen::put_u16(stream.headers.data() + 44, stream.sequence++);
            gen::put_u32(stream.headers.data() + 46, stream.timestamp);
            stream.timestamp += kPayloadBytes;
            --stream.left;
            if (!room) continue;
            packets[i]->data_len = kHeaderBytes + kPayloadBytes;
            packets[i]->pkt_len = kHeaderBytes + kPayloadBytes;
            std::memcpy(rte_pktmbuf_mtod(packets[i], void*), stream.headers.data(), kHeaderBytes);
        }
        if (room) enqueue(packets.data(), count);
    }
    std::erase_if(streams, [](const Stream& stream) { return stream.left == 0; });
}

void CallFeed::send(const Message& message) {
    ++result_.sip_sent;
    gen::PacketBuffer buffer(message.from, message.to, message.text.size());
    std::memcpy(buffer.payload().data(), message.text.data(), message.text.size());
    const auto bytes = buffer.finished(0);
    rte_mbuf* packet = rte_pktmbuf_alloc(sip_pool_);
    if (packet == nullptr) {
        ++result_.no_room;
        return;
    }
    std::memcpy(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(bytes.size())), bytes.data(), bytes.size());
    enqueue(&packet, 1);
}

void CallFeed::enqueue(rte_mbuf** packets, unsigned count) {
    const unsigned taken = rte_ring_enqueue_burst(ring_, reinterpret_cast<void**>(packets), count, nullptr);
    if (taken == count) return;
    result_.no_room += count - taken;
    rte_pktmbuf_free_bulk(packets + taken, count - taken);
}

}  // namespace spantape::bench
