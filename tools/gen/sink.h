// SPDX-License-Identifier: AGPL-3.0-or-later
// Where generated packets go: a pcap file, or an interface in real time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "capture/base/clock.h"
#include "capture/base/result.h"

namespace spantape::gen {

class PacketSink {
public:
    virtual ~PacketSink() = default;
    // In order of time. The bytes may be used again after the call.
    virtual Result<> put(TimeNs time_ns, std::span<const std::uint8_t> packet) = 0;
    virtual Result<> finish() = 0;
    // Packets sent more than 10 ms after their time.
    [[nodiscard]] virtual std::uint64_t late() const { return 0; }
};

// Nanosecond pcap, Ethernet. "-" is standard output.
Result<std::unique_ptr<PacketSink>> open_pcap_sink(const std::string& path);
// Raw Ethernet frames (AF_PACKET), each when the wall clock reaches its time; those due together in one system call.
Result<std::unique_ptr<PacketSink>> open_interface_sink(const std::string& interface);

}  // namespace spantape::gen
