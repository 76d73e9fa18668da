// SPDX-License-Identifier: AGPL-3.0-or-later
// A worker to be driven by hand: packets and decisions in; rings, events and counters out.
#pragma once

#include "capture/worker.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace spantape::test {

using Bytes = std::vector<std::uint8_t>;

inline void put16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

// Raw IPv4 and UDP.
inline Bytes udp(const Endpoint& from, const Endpoint& to, const Bytes& payload) {
    Bytes out{0x45, 0};
    put16(out, 28 + payload.size());
    out.insert(out.end(), {0, 0, 0, 0, 64, 17, 0, 0});
    out.insert(out.end(), from.ip.bytes.begin() + 12, from.ip.bytes.end());
    out.insert(out.end(), to.ip.bytes.begin() + 12, to.ip.bytes.end());
    put16(out, from.port);
    put16(out, to.port);
    put16(out, 8 + payload.size());
    put16(out, 0);
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

// Raw IPv4 and TCP.
inline Bytes tcp(const Endpoint& from, const Endpoint& to, const std::string& payload, std::uint8_t flags = 16,
                 std::uint8_t sequence = 7) {
    Bytes out{0x45, 0};
    put16(out, 40 + payload.size());
    out.insert(out.end(), {0, 0, 0, 0, 64, 6, 0, 0});
    out.insert(out.end(), from.ip.bytes.begin() + 12, from.ip.bytes.end());
    out.insert(out.end(), to.ip.bytes.begin() + 12, to.ip.bytes.end());
    put16(out, from.port);
    put16(out, to.port);
    out.insert(out.end(), {0, 0, 0, sequence, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0});
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

inline Bytes rtp(std::uint32_t ssrc, int sequence, std::size_t payload_bytes = 160, std::uint8_t fill = 0xaa) {
    Bytes out{0x80, 0};
    put16(out, static_cast<std::size_t>(sequence) & 0xffff);
    const auto timestamp = static_cast<std::uint32_t>(sequence) * 160;
    for (const std::uint32_t word : {timestamp, ssrc})
        for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
    out.resize(12 + payload_bytes, fill);
    return out;
}

inline Endpoint at(const char* ip, std::uint16_t port) { return {*IpAddress::parse(ip), port}; }
inline const Endpoint kCaller = at("10.0.0.1", 4000);
inline const Endpoint kCallee = at("10.0.0.2", 5000);

class WorkerTest : public ::testing::Test {
protected:
    explicit WorkerTest(std::uint32_t streams = 64)
        : links_(streams, control_, signalling_),
          worker_({.max_streams = streams, .ring_bytes = 4096, .media_timeout_ns = 5 * kNsPerSecond}, {}, links_) {}

    // As from a file, which waits, or from the wire, which does not.
    void send(const Endpoint& from, const Endpoint& to, const Bytes& payload, TimeNs time_ns = -1) {
        if (time_ns < 0) time_ns = now_ns_ += 20 * kNsPerMs;
        send_ip(udp(from, to, payload), time_ns);
    }
    void send_live(const Endpoint& from, const Endpoint& to, const Bytes& payload, std::uint8_t source = 0) {
        process(udp(from, to, payload), now_ns_, source, false);
    }
    void send_ip(const Bytes& bytes, TimeNs time_ns, bool lossless = true) { process(bytes, time_ns, 0, lossless); }
    void process(const Bytes& bytes, TimeNs time_ns, std::uint8_t source, bool lossless) {
        const auto size = static_cast<std::uint32_t>(bytes.size());
        const Packet packet{bytes.data(), size, size, time_ns, LinkType::raw_ip, source};
        worker_.process(std::span(&packet, 1), lossless);
    }
    // Raw IP packets as one burst.
    void give(const std::vector<Bytes>& packets) {
        now_ns_ += 20 * kNsPerMs;
        std::vector<Packet> burst;
        for (const Bytes& each : packets) {
            const auto bytes = static_cast<std::uint32_t>(each.size());
            burst.push_back({each.data(), bytes, bytes, now_ns_, LinkType::raw_ip, 0});
        }
        worker_.process(burst, true);
    }
    void decide(Decision decision) {
        ASSERT_TRUE(links_.decisions.push(std::move(decision)));
        worker_.step();
    }
    void watch(std::uint64_t session, const Endpoint& endpoint, CallParty party) {
        decide({.kind = Decision::Kind::watch, .party = party, .session = session, .endpoint = endpoint});
    }
    std::vector<WorkerEvent> events(WorkerEvent::Kind kind) {
        while (const auto event = links_.events.pop()) seen_.push_back(*event);
        std::vector<WorkerEvent> out;
        for (const auto& event : seen_)
            if (event.kind == kind) out.push_back(event);
        return out;
    }
    StreamHandle* opened() {
        const auto handle = links_.writer.opened.pop();
        return handle ? *handle : nullptr;
    }
    // All records of a ring, consumed.
    static std::vector<RingRecord> drain(StreamHandle& handle) {
        std::vector<RingRecord> records;
        for (auto bytes = handle.ring.front(); !bytes.empty(); bytes = handle.ring.front()) {
            RingRecord record;
            std::memcpy(&record, bytes.data(), sizeof record);
            EXPECT_EQ(bytes.size(), sizeof record + record.payload_bytes);
            records.push_back(record);
            handle.ring.pop();
        }
        return records;
    }
    const WorkerCounters& counters() { return worker_.counters(); }
    std::uint64_t drops(DropReason reason) { return worker_.counters().drops[static_cast<std::size_t>(reason)].get(); }

    Wakeup control_, signalling_;
    WorkerLinks links_;
    Worker worker_;
    const TimeNs began_ns_ = wall_clock_ns();  // without sources the worker's clock is the wall's
    TimeNs now_ns_ = began_ns_;
    std::vector<WorkerEvent> seen_;
};

}  // namespace spantape::test
