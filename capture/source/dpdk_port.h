// SPDX-License-Identifier: AGPL-3.0-or-later
// One DPDK port, shared by the Sources of all workers: by the card, where it has a queue for each worker and a hash
// that both directions of a call agree on; else in software, by worker 0, which then hands the others' packets over on
// one ring each. Opened and closed by the thread that opens the sources; stopped when the last Source is gone. At run
// time each queue or ring belongs to one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/base/clock.h"
#include "capture/base/counters.h"
#include "capture/base/result.h"
#include "capture/source/packet_sockets.h"
#include "capture/source/source.h"

struct rte_device;
struct rte_eth_dev_info;
struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

namespace spantape {

class DpdkPort {
public:
    // For worker 0: opens the device of `devargs` ("0000:3b:00.0", "net_pcap0,rx_pcap=x.pcap", or the name of a port
    // that is there already); for the others: the port that worker 0 opened. The message of an error does not name
    // the spec.
    static Result<std::shared_ptr<DpdkPort>> open(const std::string& devargs, const SourceOptions& options);
    ~DpdkPort();
    DpdkPort(const DpdkPort&) = delete;
    DpdkPort& operator=(const DpdkPort&) = delete;

    // The worker's next packets, which it owns from then on; their number. `now_ns` (wall clock) is their time where
    // the driver has none.
    std::size_t receive(unsigned worker, std::span<rte_mbuf*> packets, TimeNs now_ns);
    // Whether packets carry their own capture times; else it is that of their receive(). A second cache line of each.
    [[nodiscard]] bool stamps() const { return driver_stamps_ || !hand_overs_.empty(); }
    // The capture time of a packet that receive() gave, where stamps().
    [[nodiscard]] TimeNs time_of(const rte_mbuf& packet) const;
    // Gives packets back.
    static void release(std::span<rte_mbuf*> packets);

    // Worker 0, now and then: asks the card, or the kernel under an af_packet port, what it dropped.
    void read_drops();
    // Any thread.
    [[nodiscard]] std::uint64_t dropped_kernel() const { return dropped_kernel_.get(); }
    [[nodiscard]] std::uint64_t dropped_card() const { return dropped_card_.get(); }
    [[nodiscard]] std::uint64_t dropped_spread() const { return dropped_spread_.get(); }

private:
    struct HandOver {  // to one worker
        rte_ring* ring = nullptr;
        std::vector<rte_mbuf*> staged;
    };

    explicit DpdkPort(unsigned workers) : workers_(workers) {}
    Result<> attach(const std::string& devargs);
    Result<> start(const std::string& devargs);
    Result<> configure(const rte_eth_dev_info& info);
    Result<> set_up_queues(const rte_eth_dev_info& info);
    Result<> make_hand_overs();
    void forget_early_packets();
    std::size_t receive_from_queues(std::span<rte_mbuf*> packets, TimeNs now_ns);
    std::size_t spread(std::span<rte_mbuf*> packets);
    void hand_over();
    void stamp(std::span<rte_mbuf*> packets, TimeNs now_ns);

    unsigned workers_;
    std::uint16_t port_ = 0;
    bool attached_ = false;  // port_ is ours to stop and close
    bool started_ = false;
    rte_device* device_ = nullptr;  // not null: ours to remove
    std::uint16_t queues_ = 1;
    std::uint16_t senders_ = 0;     // queues to send on, which stay empty
    std::uint16_t next_queue_ = 0;  // of those that worker 0 takes in turn
    bool card_spreads_ = false;     // the n-th worker has the n-th queue
    bool driver_stamps_ = false;    // microseconds, of an epoch of its own
    TimeNs stamp_offset_ns_ = 0;
    bool stamp_anchored_ = false;
    int stamp_at_ = 0;  // where in an mbuf its time lies
    std::uint64_t stamp_flag_ = 0;
    rte_mempool* pool_ = nullptr;
    std::vector<HandOver> hand_overs_;  // by worker; that of worker 0 stays empty
    PacketSockets sockets_;             // of the driver, where it has any
    std::uint64_t last_dropped_ = 0;
    Counter dropped_kernel_;
    Counter dropped_card_;
    Counter dropped_spread_;
};

}  // namespace spantape
