// SPDX-License-Identifier: AGPL-3.0-or-later
// A classic pcap file (draft-ietf-opsawg-pcap), which takes what libpcap takes, but without libpcap's copy of each
// packet: a file at full speed is bound by what reading a packet costs. Owner and errors as in capture_file.h.
#pragma once

#include <memory>
#include <span>

#include "capture/source/byte_order.h"
#include "capture/source/capture_file.h"

namespace spantape {

class PcapFile final : public CaptureFile {
public:
    // What `head` begins with is the magic number of a pcap file, of whichever kind.
    static bool is_magic(std::span<const std::uint8_t> head);
    static Result<std::unique_ptr<CaptureFile>> open(std::unique_ptr<FileBytes> bytes);

    std::size_t read(std::span<Packet> burst) override;

private:
    // The order of a record's captured and original length: it changed with version 2.3.
    enum class Lengths : std::uint8_t { captured_first, original_first, smaller_first };
    // The numbers of a record's header.
    struct Record {
        TimeNs time_ns;
        std::uint32_t captured_bytes;
        std::uint32_t wire_bytes;
    };

    using CaptureFile::CaptureFile;

    Result<> read_header();
    [[nodiscard]] Record record_at(const std::uint8_t* at) const;
    std::size_t read_ready(std::span<Packet> burst);
    bool fetch_record();

    ByteOrder order_;
    TimeNs tick_ns_ = 1000;         // of the fraction of a second
    std::size_t record_bytes_ = 0;  // of a record's header
    Lengths lengths_ = Lengths::captured_first;
    std::uint32_t snap_bytes_ = 0;
    LinkType link_ = LinkType::ethernet;
    std::uint64_t packets_ = 0;
};

}  // namespace spantape
