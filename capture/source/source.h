// SPDX-License-Identifier: AGPL-3.0-or-later
// Where packets come from. A Source belongs to one worker thread; nothing of it may be used from another one,
// except counters(), which any thread may read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/clock.h"
#include "capture/base/result.h"

namespace spantape {

// The link layers that the decoder knows (libpcap's LINKTYPE_… values that mean the same are folded together).
enum class LinkType : std::uint8_t {
    ethernet,
    linux_cooked_v1,
    linux_cooked_v2,
    raw_ip,
    null_loopback,
    serial,  // PPP or Cisco HDLC
    pppoe,   // the session's header in front
    erf,     // Endace's record in front
};

struct Packet {
    const std::uint8_t* data = nullptr;  // owned by the source, valid until its next poll()
    std::uint32_t captured_bytes = 0;    // how much of it is there
    std::uint32_t wire_bytes = 0;        // how long it was on the wire (more than captured when the snap length cut it)
    TimeNs time_ns = 0;                  // capture time
    LinkType link = LinkType::ethernet;
    std::uint8_t source = 0;  // index of the source in capture.sources, for counters by source
};

inline constexpr std::size_t kBurstPackets = 64;

struct SourceCounters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;           // captured
    std::uint64_t dropped_kernel = 0;  // by the kernel, for want of room in its ring
    std::uint64_t dropped_card = 0;    // by the interface or its driver
    std::uint64_t dropped_spread = 0;  // by us, between the worker that reads a port for all and the one it was for
};

class Source {
public:
    virtual ~Source() = default;

    // Fills burst from the front and gives how many packets there are; 0: none now. Never blocks for a live source;
    // a file with pace "realtime" gives packets when their time has come.
    virtual std::size_t poll(std::span<Packet> burst) = 0;

    // True once all packets of a file were given, or when a live source broke for good (error() then says why; an
    // interface may come back).
    [[nodiscard]] virtual bool at_end() const = 0;
    // Empty while all is well; for a file cut short in the middle of a packet, says so once its packets were given. Any
    // thread may ask for it, as for counters() and name().
    [[nodiscard]] virtual std::string error() const = 0;

    // Readable when packets wait; -1 when there is nothing to wait on (files).
    [[nodiscard]] virtual int wait_fd() const = 0;
    // True when packets wait for us as long as we like (files), so that a slow consumer need lose none.
    [[nodiscard]] virtual bool lossless() const = 0;

    [[nodiscard]] virtual SourceCounters counters() const = 0;
    [[nodiscard]] virtual const std::string& name() const = 0;  // as configured: "pcap:eth1", "file:a.pcap"
};

enum class Pace : std::uint8_t { realtime, max };

enum class DpdkHuge : std::uint8_t { automatic, always, never };

// For dpdk: sources. Of all appliances in a process the first one's count: DPDK starts once.
struct DpdkOptions {
    DpdkHuge huge = DpdkHuge::automatic;  // huge pages: where enough are free, or else an error, or not at all
    std::uint32_t memory_mib = 256;       // free huge pages that it takes to use them; without them, all that DPDK gets
    std::vector<std::string> eal_arguments;  // added to the EAL's command line
};

struct SourceOptions {
    Pace pace = Pace::realtime;  // for files
    int worker = 0;              // this worker's number, and
    int workers = 1;             // how many share a live interface (PACKET_FANOUT by a symmetric hash)
    int fanout_group = 0;        // same for all workers of one appliance; the n-th source takes group + n
    std::uint32_t kernel_ring_bytes = 64u << 20;
    DpdkOptions dpdk;
};

// Opens all of `specs` ("pcap:IFACE", "file:PATH", "dpdk:DEVARGS") for one worker, worker 0 first and the others in
// order, from one thread. Live ones come one Source each, with `worker`-th share of the interface; all files together
// come as one Source that merges them by time stamp, for worker 0 only. source index in Packet = position in specs. An
// error names the spec and the reason (no such file, not a capture file and what it looks like, no such interface, no
// permission, unknown link type, unknown scheme).
Result<std::vector<std::unique_ptr<Source>>> open_sources(const std::vector<std::string>& specs,
                                                          const SourceOptions& options);

}  // namespace spantape
