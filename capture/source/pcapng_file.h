// SPDX-License-Identifier: AGPL-3.0-or-later
// A pcapng file (draft-ietf-opsawg-pcapng). Not read through libpcap, which gives up on files whose interfaces differ
// in link type or snap length and on sections of another byte order, as merged and multi-interface captures have them.
// Owner and errors as in capture_file.h. Packets of interfaces whose link type we do not know are left out and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/source/byte_order.h"
#include "capture/source/capture_file.h"

namespace spantape {

class PcapngFile final : public CaptureFile {
public:
    static Result<std::unique_ptr<CaptureFile>> open(std::unique_ptr<FileBytes> bytes);

    std::size_t read(std::span<Packet> burst) override;

private:
    // From an interface description block, draft §4.2.
    struct Interface {
        int link_number = 0;
        std::optional<LinkType> link;
        std::uint32_t snap_bytes = 0;     // 0: no limit
        std::uint8_t resolution = 6;      // if_tsresol: 10^-n seconds, or 2^-n when the top bit is set
        std::int64_t offset_seconds = 0;  // if_tsoffset
    };
    // The numbers of a packet block, of whichever kind.
    struct Record {
        std::size_t interface = 0;
        std::optional<std::uint64_t> stamp;
        std::uint32_t captured = 0;
        std::uint32_t wire = 0;
        const std::uint8_t* data = nullptr;
    };

    using CaptureFile::CaptureFile;

    [[nodiscard]] bool is_ready() const;
    // True when the block gave packet_; false when it was something else, or the end.
    bool read_block();
    bool begin_section();
    bool add_interface(std::span<const std::uint8_t> body);
    bool take_packet(std::uint32_t type, std::span<const std::uint8_t> body);
    bool read_record(std::uint32_t type, std::span<const std::uint8_t> body, Record& record);
    static TimeNs time_of(const Interface& interface, std::uint64_t stamp);
    bool damaged(std::string_view why);
    bool cut_short();
    bool end_of_file();

    ByteOrder order_;                    // of this section
    std::vector<Interface> interfaces_;  // of this section
    std::uint64_t block_at_ = 0;         // the byte of the file that the block in hand begins at
    Packet packet_;
    bool has_first_ = false;  // packet_ was read by open() and not given yet
    std::uint64_t packets_ = 0;
    std::uint64_t left_out_ = 0;
    int left_out_link_ = 0;
};

}  // namespace spantape
