// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/dpdk_source.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <rte_mbuf.h>

#include "capture/source/dpdk_port.h"

namespace spantape {

namespace {
constexpr std::size_t kLargestFrameBytes = 65'535;
constexpr TimeNs kLookAfterNs = kNsPerSecond;
}  // namespace

DpdkSource::DpdkSource(std::string spec, std::shared_ptr<DpdkPort> port, std::uint8_t index, unsigned worker)
    : name_(std::move(spec)), port_(std::move(port)), index_(index), worker_(worker), joined_(kLargestFrameBytes) {}

DpdkSource::~DpdkSource() { release(); }

Result<std::unique_ptr<Source>> DpdkSource::open(const std::string& spec, const std::string& devargs,
                                                 std::uint8_t index, const SourceOptions& options) {
    auto port = DpdkPort::open(devargs, options);
    if (!port) return std::unexpected(port.error());
    return std::unique_ptr<Source>(
        new DpdkSource(spec, std::move(*port), index, static_cast<unsigned>(options.worker)));
}

std::size_t DpdkSource::poll(std::span<Packet> burst) {
    release();
    const TimeNs now_ns = wall_clock_ns();  // one reading a burst
    held_count_ = port_->receive(worker_, std::span(held_).first(std::min(burst.size(), held_.size())), now_ns);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < held_count_; ++i) {
        const rte_mbuf& packet = *held_[i];
        const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(packet.pkt_len, kLargestFrameBytes));
        burst[i] = {.data = bytes_of(packet, length),
                    .captured_bytes = length,
                    .wire_bytes = packet.pkt_len,
                    .time_ns = port_->stamps() ? port_->time_of(packet) : now_ns,
                    .link = LinkType::ethernet,
                    .source = index_};
        bytes += length;
    }
    packets_.add(held_count_);
    bytes_.add(bytes);
    look_after(now_ns);
    return held_count_;
}

// The whole packet in one piece: as it lies there, or, when it came in several buffers, joined into memory of ours.
const std::uint8_t* DpdkSource::bytes_of(const rte_mbuf& packet, std::size_t bytes) {
    if (packet.nb_segs == 1) return rte_pktmbuf_mtod(&packet, const std::uint8_t*);
    std::uint8_t* to = joined_.room(bytes);
    rte_pktmbuf_read(&packet, 0, static_cast<std::uint32_t>(bytes), to);
    return to;
}

void DpdkSource::release() {
    DpdkPort::release(std::span(held_).first(held_count_));
    held_count_ = 0;
    joined_.clear();
}

// Also when the wall clock was set back.
void DpdkSource::look_after(TimeNs now_ns) {
    if (worker_ != 0 || std::abs(now_ns - looked_after_ns_) < kLookAfterNs) return;
    looked_after_ns_ = now_ns;
    port_->read_drops();
}

// The port's own are those of worker 0.
SourceCounters DpdkSource::counters() const {
    return {.packets = packets_.get(),
            .bytes = bytes_.get(),
            .dropped_kernel = worker_ == 0 ? port_->dropped_kernel() : 0,
            .dropped_card = worker_ == 0 ? port_->dropped_card() : 0,
            .dropped_spread = worker_ == 0 ? port_->dropped_spread() : 0};
}

}  // namespace spantape
