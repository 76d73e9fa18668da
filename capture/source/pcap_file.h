// SPDX-License-Identifier: AGPL-3.0-or-later
// A classic pcap file, read by libpcap from our (perhaps unpacked) bytes. Owner and errors as in capture_file.h.
#pragma once

#include <memory>
#include <string>

#include "capture/source/capture_file.h"

struct pcap;

namespace spantape {

class PcapFile final : public CaptureFile {
public:
    static Result<std::unique_ptr<CaptureFile>> open(std::unique_ptr<FileBytes> bytes);
    ~PcapFile() override;

    const Packet* next() override;
    [[nodiscard]] const std::string& error() const override { return error_; }

private:
    PcapFile(std::unique_ptr<FileBytes> bytes, pcap* handle, LinkType link);

    std::unique_ptr<FileBytes> bytes_;  // libpcap reads from it: outlives handle_
    pcap* handle_;
    Packet packet_;
    std::uint64_t packets_ = 0;
    std::string error_;
};

}  // namespace spantape
