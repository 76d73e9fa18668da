// SPDX-License-Identifier: AGPL-3.0-or-later
// All capture files as one source: merged by time stamp, paced or as fast as they are asked for. Belongs to worker 0.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capture/base/counters.h"
#include "capture/source/burst_buffer.h"
#include "capture/source/capture_file.h"
#include "capture/source/pacer.h"
#include "capture/source/source.h"

namespace spantape {

class FileSource final : public Source {
public:
    struct Input {
        std::string name;         // "file:a.pcap"
        std::uint8_t source = 0;  // Packet::source of its packets
        std::unique_ptr<CaptureFile> file;
        const Packet* head = nullptr;  // its next packet
    };

    FileSource(std::vector<Input> inputs, Pace pace);

    std::size_t poll(std::span<Packet> burst) override;
    [[nodiscard]] bool at_end() const override { return order_.empty(); }
    [[nodiscard]] std::string error() const override;
    [[nodiscard]] int wait_fd() const override { return -1; }
    [[nodiscard]] bool lossless() const override { return true; }
    [[nodiscard]] SourceCounters counters() const override;
    [[nodiscard]] const std::string& name() const override { return name_; }

private:
    void advance();

    std::vector<Input> inputs_;
    // Heap of (time of the head, index into inputs_) of all inputs that have one; the earliest in front, of equal
    // ones that of the first file.
    std::vector<std::pair<TimeNs, std::size_t>> order_;
    Pace pace_;
    Pacer pacer_;
    BurstBuffer buffer_{kLargestPacketBytes};
    std::string name_;
    Counter packets_;
    Counter bytes_;
};

}  // namespace spantape
