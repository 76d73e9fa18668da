// SPDX-License-Identifier: AGPL-3.0-or-later
// One worker's share of a live interface, through libpcap. Belongs to that worker; counters() and error() may be read
// by any thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "capture/base/counters.h"
#include "capture/base/shared_text.h"
#include "capture/source/burst_buffer.h"
#include "capture/source/source.h"

struct pcap;
struct pcap_pkthdr;

namespace spantape {

class LiveSource final : public Source {
public:
    // interface: as the system knows it, or "any". index: Packet::source. The message of an error does not name the
    // spec: no such interface, no permission, interface down, unknown link type, fanout refused.
    static Result<std::unique_ptr<Source>> open(const std::string& spec, const std::string& interface,
                                                std::uint8_t index, const SourceOptions& options);
    ~LiveSource() override;

    std::size_t poll(std::span<Packet> burst) override;
    [[nodiscard]] bool at_end() const override { return false; }  // its interface may come back
    [[nodiscard]] std::string error() const override { return error_.get(); }
    [[nodiscard]] int wait_fd() const override { return gone_ ? -1 : wait_fd_; }
    [[nodiscard]] bool lossless() const override { return false; }
    [[nodiscard]] SourceCounters counters() const override;
    [[nodiscard]] const std::string& name() const override { return name_; }

private:
    struct Burst {
        LiveSource* source;
        std::span<Packet> packets;
        std::size_t count = 0;
        std::uint64_t bytes = 0;
    };

    LiveSource(std::string spec, std::string interface, std::uint8_t index, const SourceOptions& options);
    Result<> begin();
    Result<> join_fanout(pcap* handle);
    void look_for_interface(TimeNs now_ns);
    static void take(std::uint8_t* burst, const pcap_pkthdr* header, const std::uint8_t* data);
    void look_after(TimeNs now_ns);
    void read_drops();
    void check_interface();

    std::string name_;
    std::string interface_;
    pcap* handle_ = nullptr;
    LinkType link_ = LinkType::ethernet;
    std::uint8_t index_;
    SourceOptions options_;
    unsigned interface_number_ = 0;  // 0 for "any", which is always there
    bool counts_card_drops_;         // the card's belong to no worker: one of them counts them
    TimeNs not_before_ns_ = 0;       // what was captured earlier came to every worker; 0: all of it is ours
    int wait_fd_ = -1;
    TimeNs looked_after_ns_ = 0;
    std::uint32_t last_dropped_ = 0;  // libpcap's 32-bit sums, which wrap
    std::uint32_t last_card_dropped_ = 0;
    bool gone_ = false;
    SharedText error_;
    BurstBuffer buffer_;
    Counter packets_;
    Counter bytes_;
    Counter dropped_kernel_;
    Counter dropped_card_;
};

}  // namespace spantape
