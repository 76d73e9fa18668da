// SPDX-License-Identifier: AGPL-3.0-or-later
// All capture files as one source: merged by time stamp, paced or as fast as they are asked for. Belongs to worker 0.
// Packets are given where their file has them: a burst ends where one would have to read on, over the packets given.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capture/base/counters.h"
#include "capture/base/shared_text.h"
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
        std::array<Packet, kBurstPackets> ahead = {};  // its next packets, from `next` to `end`
        std::size_t next = 0;
        std::size_t end = 0;
    };

    FileSource(std::vector<Input> inputs, Pace pace);

    std::size_t poll(std::span<Packet> burst) override;
    [[nodiscard]] bool at_end() const override { return order_.empty(); }
    [[nodiscard]] std::string error() const override { return error_.get(); }
    [[nodiscard]] int wait_fd() const override { return -1; }
    [[nodiscard]] bool lossless() const override { return true; }
    [[nodiscard]] SourceCounters counters() const override;
    [[nodiscard]] const std::string& name() const override { return name_; }

private:
    std::size_t merge(std::span<Packet> burst);
    std::size_t take(std::span<Packet> burst);
    static bool read_ahead(Input& input);
    void reorder();
    void tell_errors();

    std::vector<Input> inputs_;
    // Heap of (time of the next packet, index into inputs_) of all inputs that have one; the earliest in front, of
    // equal ones that of the first file. Only the front one may have given all that it had read ahead.
    std::vector<std::pair<TimeNs, std::size_t>> order_;
    Pace pace_;
    Pacer pacer_;
    std::string name_;
    SharedText error_;  // of the files that have ended
    Counter packets_;
    Counter bytes_;
};

}  // namespace spantape
