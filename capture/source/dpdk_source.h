// SPDX-License-Identifier: AGPL-3.0-or-later
// One worker's share of a DPDK port. Belongs to that worker; counters() may be read by any thread. A port never ends: a
// capture file behind net_pcap that has been read to its end is a port on which nothing more arrives.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "capture/base/counters.h"
#include "capture/source/burst_buffer.h"
#include "capture/source/source.h"

struct rte_mbuf;

namespace spantape {

class DpdkPort;

class DpdkSource final : public Source {
public:
    // devargs: what stands behind "dpdk:" in spec. index: Packet::source. The message of an error does not name the
    // spec: DPDK could not be initialised, no such device, a port that cannot be configured.
    static Result<std::unique_ptr<Source>> open(const std::string& spec, const std::string& devargs, std::uint8_t index,
                                                const SourceOptions& options);
    ~DpdkSource() override;

    std::size_t poll(std::span<Packet> burst) override;
    [[nodiscard]] bool at_end() const override { return false; }
    [[nodiscard]] std::string error() const override { return {}; }
    [[nodiscard]] int wait_fd() const override { return -1; }
    [[nodiscard]] bool lossless() const override { return false; }
    [[nodiscard]] SourceCounters counters() const override;
    [[nodiscard]] const std::string& name() const override { return name_; }

private:
    DpdkSource(std::string spec, std::shared_ptr<DpdkPort> port, std::uint8_t index, unsigned worker);
    void release();
    const std::uint8_t* bytes_of(const rte_mbuf& packet, std::size_t bytes);
    void look_after(TimeNs now_ns);

    std::string name_;
    std::shared_ptr<DpdkPort> port_;
    std::uint8_t index_;
    unsigned worker_;
    std::array<rte_mbuf*, kBurstPackets> held_{};  // of the last burst, ours until the next
    std::size_t held_count_ = 0;
    BurstBuffer joined_;  // packets that came in several buffers
    TimeNs looked_after_ns_ = 0;
    Counter packets_;
    Counter bytes_;
};

}  // namespace spantape
