// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/dpdk_port.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#include "capture/source/dpdk_eal.h"
#include "capture/source/flow_spread.h"

namespace spantape {

namespace {

// A worker that has nothing to do looks again after a millisecond: what a port takes meanwhile must fit.
constexpr std::uint16_t kDescriptors = 4096;
constexpr unsigned kHandOverPackets = 4096;
// A worker's own burst, the one that it takes, and what a driver takes ahead.
constexpr unsigned kPacketsInHand = 4 * kBurstPackets;
constexpr std::uint32_t kMtuOfJumbo = 9000;
constexpr std::uint32_t kMtuOfOneBuffer = 2000;  // mirrored frames are longer than others by their encapsulation
// How often worker 0 asks the port in one turn when all that came was for others.
constexpr int kReceivesInATurn = 64;
// A driver's clock that differs less from ours is taken for right.
constexpr TimeNs kClocksAgreeNs = kNsPerSecond;

// Repeating two bytes makes Toeplitz symmetric: Woo and Park, "Scalable TCP session monitoring with symmetric
// receive-side scaling", 2012.
std::array<std::uint8_t, 256> symmetric_key() {
    std::array<std::uint8_t, 256> key{};
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    return key;
}

constexpr std::uint64_t kRssWanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP;

// Software ports (a tap) claim the hash as well, but spread by another one.
bool hashes_by_key(const rte_eth_dev_info& info) {
    const std::string_view bus = rte_bus_name(rte_dev_bus(info.device));
    return (info.flow_type_rss_offloads & kRssWanted) != 0 && info.hash_key_size != 0 && bus != "vdev";
}

// The ports of this process by the devargs of their specs, for the workers after the first one.
struct OpenPorts {
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<DpdkPort>, std::less<>> by_devargs;
};

OpenPorts& open_ports() {
    static OpenPorts all;
    return all;
}

std::set<std::uint16_t> ports_there() {
    std::set<std::uint16_t> ports;
    for (std::uint16_t port = rte_eth_find_next(0); port < RTE_MAX_ETHPORTS;
         port = rte_eth_find_next(static_cast<std::uint16_t>(port + 1)))
        ports.insert(port);
    return ports;
}

// An af_packet port's ring takes 512 frames unless told otherwise: 10 ms of 50,000 packets/s, and a worker that waits
// for a CPU waits longer. This is 16 MiB a queue, and as much again for sending, which the driver insists on.
std::string with_room(const std::string& devargs) {
    if (!devargs.starts_with("net_af_packet") || devargs.find("framecnt=") != std::string::npos) return devargs;
    return devargs + ",framecnt=8192";
}

std::string reason(int status) { return rte_strerror(std::abs(status)) + take_dpdk_complaints(); }

}  // namespace

Result<std::shared_ptr<DpdkPort>> DpdkPort::open(const std::string& devargs, const SourceOptions& options) {
    OpenPorts& all = open_ports();
    const std::lock_guard lock(all.mutex);
    auto known = all.by_devargs[devargs].lock();
    if (options.worker > 0) {
        if (!known) return fail("worker {} found it closed: worker 0 has it no more", options.worker);
        return known;
    }
    if (known) return fail("is open already: each port can be a source once");
    if (auto started = start_eal(options.dpdk); !started) return std::unexpected(started.error());
    take_dpdk_complaints();
    const std::shared_ptr<DpdkPort> port(new DpdkPort(static_cast<unsigned>(std::max(options.workers, 1))));
    if (auto attached = port->attach(devargs); !attached) return std::unexpected(attached.error());
    if (auto started = port->start(devargs); !started) return std::unexpected(started.error());
    all.by_devargs[devargs] = port;
    return port;
}

DpdkPort::~DpdkPort() {
    for (const HandOver& hand_over : hand_overs_) {
        rte_mbuf* packet = nullptr;
        while (hand_over.ring != nullptr && rte_ring_dequeue(hand_over.ring, reinterpret_cast<void**>(&packet)) == 0)
            rte_pktmbuf_free(packet);
        rte_ring_free(hand_over.ring);
    }
    if (started_) rte_eth_dev_stop(port_);
    if (attached_) rte_eth_dev_close(port_);
    if (device_ != nullptr) rte_dev_remove(device_);
    rte_mempool_free(pool_);
    take_dpdk_complaints();
}

// Finds the port, or makes it from its device.
Result<> DpdkPort::attach(const std::string& devargs) {
    const std::string name = devargs.substr(0, devargs.find(','));
    if (rte_eth_dev_get_port_by_name(name.c_str(), &port_) == 0) {
        attached_ = true;
        return {};
    }
    const std::set<std::uint16_t> before = ports_there();
    if (const int status = rte_dev_probe(with_room(devargs).c_str()); status != 0)
        return fail("no such device, or no driver that takes it ({})", reason(status));
    for (const std::uint16_t port : ports_there()) {
        if (before.contains(port)) continue;
        rte_eth_dev_info info{};
        if (rte_eth_dev_info_get(port, &info) != 0) continue;
        port_ = port;
        attached_ = true;
        device_ = info.device;
        return {};
    }
    return fail("the device has no network port{}", take_dpdk_complaints());
}

Result<> DpdkPort::start(const std::string& devargs) {
    rte_eth_dev_info info{};
    if (const int status = rte_eth_dev_info_get(port_, &info); status != 0)
        return fail("the port says nothing of itself ({})", reason(status));
    if (rte_mbuf_dyn_rx_timestamp_register(&stamp_at_, &stamp_flag_) != 0)
        return fail("no room for time stamps in packets ({})", reason(rte_errno));
    driver_stamps_ = std::string_view(info.driver_name) == "net_pcap";
    card_spreads_ = workers_ > 1 && hashes_by_key(info) && info.max_rx_queues >= workers_;
    // Without a card's hash, each queue that a software port was given has packets of its own.
    queues_ = card_spreads_ ? static_cast<std::uint16_t>(workers_) : std::max<std::uint16_t>(info.nb_rx_queues, 1);
    if (auto configured = configure(info); !configured) return configured;
    if (auto set_up = set_up_queues(info); !set_up) return set_up;
    if (workers_ > 1 && !card_spreads_)
        if (auto made = make_hand_overs(); !made) return made;
    if (const int status = rte_eth_dev_start(port_); status != 0)
        return fail("{} cannot be started ({})", devargs, reason(status));
    started_ = true;
    // A port that is not promiscuous by itself says so; software ports know neither.
    if (const int status = rte_eth_promiscuous_enable(port_); status != 0 && status != -ENOTSUP)
        return fail("the port cannot be made promiscuous ({})", reason(status));
    rte_eth_allmulticast_enable(port_);
    if (std::string_view(info.driver_name) == "net_af_packet") forget_early_packets();
    rte_eth_stats_reset(port_);
    sockets_.find_new();
    return {};
}

// Until the driver had bound its socket to the interface, the kernel gave it the packets of all interfaces.
void DpdkPort::forget_early_packets() {
    constexpr int kMostBursts = 4096;  // a busy interface has more all the time
    std::array<rte_mbuf*, kBurstPackets> packets{};
    for (std::uint16_t queue = 0; queue < queues_; ++queue) {
        std::uint16_t got = 1;
        for (int burst = 0; burst < kMostBursts && got != 0; ++burst) {
            got = rte_eth_rx_burst(port_, queue, packets.data(), static_cast<std::uint16_t>(packets.size()));
            release(std::span(packets).first(got));
        }
    }
}

Result<> DpdkPort::configure(const rte_eth_dev_info& info) {
    static auto key = symmetric_key();
    rte_eth_conf conf{};
    if (card_spreads_) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_key = key.data();
        conf.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
        conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kRssWanted;
    }
    conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    const std::uint32_t mtu =
        std::min<std::uint32_t>(conf.rxmode.offloads != 0 ? kMtuOfJumbo : kMtuOfOneBuffer, info.max_mtu);
    // Some drivers take no other length than their own (0), and some want a sending queue for each receiving one.
    const std::uint16_t one_sender = std::min<std::uint16_t>(1, info.max_tx_queues);
    int status = 0;
    for (const std::uint16_t senders : {one_sender, std::min(queues_, info.max_tx_queues)}) {
        for (const std::uint32_t length : {mtu, 0u}) {
            conf.rxmode.mtu = length;
            senders_ = senders;
            status = rte_eth_dev_configure(port_, queues_, senders, &conf);
            if (status == 0) {
                take_dpdk_complaints();
                return {};
            }
        }
    }
    return fail("the port cannot be configured with {} queues ({})", queues_, reason(status));
}

Result<> DpdkPort::set_up_queues(const rte_eth_dev_info& info) {
    std::uint16_t descriptors = kDescriptors;
    std::uint16_t to_send = 64;
    if (const int status = rte_eth_dev_adjust_nb_rx_tx_desc(port_, &descriptors, &to_send); status != 0)
        return fail("the port's queues cannot be set up ({})", reason(status));
    const unsigned packets = queues_ * std::max<unsigned>(descriptors, kDescriptors) +
                             (card_spreads_ ? 0 : (workers_ - 1) * kHandOverPackets) + workers_ * kPacketsInHand;
    const int node = rte_eth_dev_socket_id(port_);
    // One thread alone takes and gives back, or several do.
    pool_ = rte_pktmbuf_pool_create_by_ops(fmt::format("spantape-{}", port_).c_str(), packets, 0, 0,
                                           RTE_MBUF_DEFAULT_BUF_SIZE, node, workers_ > 1 ? "ring_mp_mc" : "ring_sp_sc");
    if (pool_ == nullptr) {
        return fail("no memory for {} packet buffers of {} bytes ({}): raise capture.dpdk_memory_mib", packets,
                    RTE_MBUF_DEFAULT_BUF_SIZE, reason(rte_errno));
    }
    rte_eth_rxconf conf = info.default_rxconf;
    conf.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    for (std::uint16_t queue = 0; queue < queues_; ++queue)
        if (const int status =
                rte_eth_rx_queue_setup(port_, queue, descriptors, static_cast<unsigned>(node), &conf, pool_);
            status != 0)
            return fail("the port's queue {} cannot be set up ({})", queue, reason(status));
    for (std::uint16_t queue = 0; queue < senders_; ++queue)
        if (const int status = rte_eth_tx_queue_setup(port_, queue, to_send, static_cast<unsigned>(node), nullptr);
            status != 0)
            return fail("the port's sending side cannot be set up ({})", reason(status));
    return {};
}

Result<> DpdkPort::make_hand_overs() {
    hand_overs_.resize(workers_);
    for (unsigned worker = 1; worker < workers_; ++worker) {
        const std::string name = fmt::format("spantape-{}-{}", port_, worker);
        hand_overs_[worker].ring = rte_ring_create(name.c_str(), kHandOverPackets, rte_eth_dev_socket_id(port_),
                                                   RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
        if (hand_overs_[worker].ring == nullptr)
            return fail("no memory for the rings between workers ({}): raise capture.dpdk_memory_mib",
                        reason(rte_errno));
        hand_overs_[worker].staged.reserve(kBurstPackets);
    }
    return {};
}

std::size_t DpdkPort::receive(unsigned worker, std::span<rte_mbuf*> packets, TimeNs now_ns) {
    const auto room = static_cast<std::uint16_t>(std::min(packets.size(), kBurstPackets));
    if (card_spreads_) return rte_eth_rx_burst(port_, static_cast<std::uint16_t>(worker), packets.data(), room);
    if (worker == 0) return receive_from_queues(packets.first(room), now_ns);
    return rte_ring_sc_dequeue_burst(hand_overs_[worker].ring, reinterpret_cast<void**>(packets.data()), room, nullptr);
}

// Until there is something for worker 0 or the queues are empty: it must not fall asleep over a full port because what
// came first was for others.
std::size_t DpdkPort::receive_from_queues(std::span<rte_mbuf*> packets, TimeNs now_ns) {
    int empty = 0;
    for (int turn = 0; turn < kReceivesInATurn && empty < queues_; ++turn) {
        const std::uint16_t queue = next_queue_;
        next_queue_ = static_cast<std::uint16_t>(queue + 1 < queues_ ? queue + 1 : 0);
        const std::size_t got =
            rte_eth_rx_burst(port_, queue, packets.data(), static_cast<std::uint16_t>(packets.size()));
        if (got == 0) {
            ++empty;
            continue;
        }
        empty = 0;
        if (stamps()) stamp(packets.first(got), now_ns);
        const std::size_t ours = hand_overs_.empty() ? got : spread(packets.first(got));
        if (ours != 0) return ours;
    }
    return 0;
}

// A driver's clock counts from an epoch of its own (a capture file's is years ago), and what lives on the wall clock
// here would take its packets for stale: the first packet is now, and the distances are the driver's.
void DpdkPort::stamp(std::span<rte_mbuf*> packets, TimeNs now_ns) {
    for (rte_mbuf* packet : packets) {
        auto* at = RTE_MBUF_DYNFIELD(packet, stamp_at_, rte_mbuf_timestamp_t*);
        TimeNs time_ns = now_ns;
        if (driver_stamps_ && (packet->ol_flags & stamp_flag_) != 0) {
            time_ns = static_cast<TimeNs>(*at) * 1000;
            if (!stamp_anchored_) {
                stamp_anchored_ = true;
                if (std::abs(now_ns - time_ns) > kClocksAgreeNs) stamp_offset_ns_ = now_ns - time_ns;
            }
            time_ns += stamp_offset_ns_;
        }
        *at = static_cast<rte_mbuf_timestamp_t>(time_ns);
    }
}

TimeNs DpdkPort::time_of(const rte_mbuf& packet) const {
    return static_cast<TimeNs>(*RTE_MBUF_DYNFIELD(&packet, stamp_at_, const rte_mbuf_timestamp_t*));
}

// Moves those of worker 0 to the front and hands the others over; the number of its own.
std::size_t DpdkPort::spread(std::span<rte_mbuf*> packets) {
    std::size_t ours = 0;
    for (rte_mbuf* packet : packets) {
        const std::span<const std::uint8_t> head(rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len);
        const unsigned worker = spread_to(flow_spread_hash(head), workers_);
        if (worker == 0)
            packets[ours++] = packet;
        else
            hand_overs_[worker].staged.push_back(packet);
    }
    hand_over();
    return ours;
}

void DpdkPort::hand_over() {
    for (unsigned worker = 1; worker < workers_; ++worker) {
        std::vector<rte_mbuf*>& staged = hand_overs_[worker].staged;
        if (staged.empty()) continue;
        const auto count = static_cast<unsigned>(staged.size());
        const unsigned taken = rte_ring_sp_enqueue_burst(hand_overs_[worker].ring,
                                                         reinterpret_cast<void**>(staged.data()), count, nullptr);
        dropped_spread_.add(count - taken);
        release(std::span(staged).subspan(taken));
        staged.clear();
    }
}

void DpdkPort::release(std::span<rte_mbuf*> packets) {
    if (!packets.empty()) rte_pktmbuf_free_bulk(packets.data(), static_cast<unsigned>(packets.size()));
}

void DpdkPort::read_drops() {
    dropped_kernel_.add(sockets_.take_drops());
    rte_eth_stats stats{};
    if (rte_eth_stats_get(port_, &stats) != 0) return;
    const std::uint64_t dropped = stats.imissed + stats.rx_nombuf + stats.ierrors;
    if (dropped > last_dropped_) dropped_card_.add(dropped - last_dropped_);
    last_dropped_ = dropped;
}

}  // namespace spantape
