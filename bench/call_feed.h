// SPDX-License-Identifier: AGPL-3.0-or-later
// Many calls at once, fed into a DPDK ring port as a card would: SIP of each call as spantape-gen makes it, RTP of both
// directions every 20 ms, on the wall clock. One thread; what finds no room in the port's ring is lost as in a card,
// and counted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "capture/base/clock.h"
#include "tools/gen/call.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

namespace spantape::bench {

struct CallFeedOptions {
    std::uint32_t calls = 1000;
    double seconds = 20;            // of media, a call
    double calls_per_second = 500;  // until all of them run
    bool media = true;              // false: calls of signalling alone, as long
    bool several_readers = false;   // more than one worker gives buffers back
};

struct CallFeedResult {
    std::uint64_t rtp_sent = 0, sip_sent = 0;
    std::uint64_t no_room = 0;  // packets that the port's ring or buffers had no room for
    TimeNs latest_ns = 0;       // how far behind the clock it was at worst
    TimeNs cpu_ns = 0;          // what the feed itself took
    double seconds = 0;
    std::uint64_t peak_rtp_per_second = 0;
};

class CallFeed {
public:
    // Starts DPDK and makes the port that source() names. Ends the program with a message when it cannot.
    explicit CallFeed(const CallFeedOptions& options);
    [[nodiscard]] static std::string source() { return "dpdk:net_ring_calls"; }

    // Feeds all calls from their INVITE to their BYE's answer, then waits until the ring was taken empty.
    CallFeedResult run();

private:
    static constexpr std::size_t kTicks = 20;  // of 1 ms: a stream has one packet in each round of them
    struct Stream {
        std::array<std::uint8_t, 54> headers;  // Ethernet to RTP, of the packet sent last
        std::uint16_t sequence = 0;
        std::uint32_t left = 0;  // packets to send
        std::uint32_t timestamp = 0;
    };
    struct Message {
        gen::Peer from, to;
        std::string text;
    };

    void start_due(TimeNs now_ns);
    void start_call(std::uint32_t number, TimeNs start_ns);
    void send_due(TimeNs now_ns);
    void send_tick(std::vector<Stream>& streams);
    void send(const Message& message);
    void enqueue(rte_mbuf** packets, unsigned count);

    CallFeedOptions options_;
    gen::GenOptions gen_;
    rte_mempool* rtp_pool_ = nullptr;
    rte_mempool* sip_pool_ = nullptr;
    rte_ring* ring_ = nullptr;
    std::array<std::vector<Stream>, kTicks> streams_;  // by the tick in which they send
    std::multimap<TimeNs, Message> messages_;          // to be sent
    std::multimap<TimeNs, Stream> joining_;            // by the time of their first packet
    std::uint32_t started_ = 0;
    TimeNs began_ns_ = 0;
    std::uint64_t tick_ = 0;
    std::uint64_t this_second_ = 0;
    CallFeedResult result_;
};

}  // namespace spantape::bench
