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

#include "capture/source/capture_file.h"

namespace spantape {

class PcapngFile final : public CaptureFile {
public:
    static Result<std::unique_ptr<CaptureFile>> open(std::unique_ptr<FileBytes> bytes);

    const Packet* next() override;
    [[nodiscard]] const std::string& error() const override { return error_; }

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

    explicit PcapngFile(std::unique_ptr<FileBytes> bytes) : bytes_(std::move(bytes)) {}

    // What gives no packet, for it is something else or the end, gives nullptr.
    const Packet* read_block();
    std::nullptr_t begin_section();
    std::nullptr_t add_interface(std::span<const std::uint8_t> body);
    const Packet* take_packet(std::uint32_t type, std::span<const std::uint8_t> body);
    bool read_record(std::uint32_t type, std::span<const std::uint8_t> body, Record& record);
    [[nodiscard]] std::uint16_t u16(const std::uint8_t* at) const;
    [[nodiscard]] std::uint32_t u32(const std::uint8_t* at) const;
    static TimeNs time_of(const Interface& interface, std::uint64_t stamp);
    std::nullptr_t end_early(std::string_view how, std::string_view why = {});
    std::nullptr_t end();

    std::unique_ptr<FileBytes> bytes_;
    bool big_endian_ = false;
    std::vector<Interface> interfaces_;  // of this section
    std::size_t consume_ = 0;            // bytes of the block that packet_ lies in, taken at the next call
    Packet packet_;
    const Packet* first_ = nullptr;  // read by open(), not given yet
    std::uint64_t packets_ = 0;
    std::uint64_t left_out_ = 0;
    int left_out_link_ = 0;
    bool ended_ = false;
    std::string error_;
};

}  // namespace spantape
