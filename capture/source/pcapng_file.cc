// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/pcapng_file.h"

#include <algorithm>
#include <utility>

#include "capture/source/link_types.h"

namespace spantape {

namespace {

__extension__ using Wide = __int128;

// Block types, draft §10.1 and the sections it names.
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;  // the same in both byte orders
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kObsoletePacket = 2;
constexpr std::uint32_t kSimplePacket = 3;
constexpr std::uint32_t kEnhancedPacket = 6;

constexpr std::uint16_t kOptionEnd = 0;
constexpr std::uint16_t kOptionResolution = 9;
constexpr std::uint16_t kOptionOffset = 14;

constexpr std::size_t kBlockHeadBytes = 8;    // type, total length
constexpr std::size_t kBlockFrameBytes = 12;  // those and the length once more at the end
constexpr std::size_t kLargestBlockBytes = 16u << 20;
constexpr std::size_t kMostInterfaces = 65'536;
constexpr std::int64_t kLatestSecond = 0xffff'ffff;  // the year 2106, as with pcap: leaves room to calculate

}  // namespace

Result<std::unique_ptr<CaptureFile>> PcapngFile::open(std::unique_ptr<FileBytes> bytes) {
    std::unique_ptr<PcapngFile> file(new PcapngFile(std::move(bytes)));
    file->begin_section();
    if (file->ended_) return fail("is no readable pcapng file: {}", file->error_);
    file->first_ = file->next();  // so that a file of nothing that we know is refused at once
    if (file->first_ == nullptr && file->left_out_ > 0) {
        return fail("has link type {}, which is not supported", link_type_name(file->left_out_link_));
    }
    return file;
}

std::uint16_t PcapngFile::u16(const std::uint8_t* at) const {
    return static_cast<std::uint16_t>(big_endian_ ? at[0] << 8 | at[1] : at[1] << 8 | at[0]);
}

std::uint32_t PcapngFile::u32(const std::uint8_t* at) const {
    const std::uint32_t first = u16(at);
    const std::uint32_t second = u16(at + 2);
    return big_endian_ ? first << 16 | second : second << 16 | first;
}

const Packet* PcapngFile::next() {
    if (first_ != nullptr) return std::exchange(first_, nullptr);
    while (!ended_) {
        bytes_->skip(std::exchange(consume_, 0));
        if (const Packet* packet = read_block()) return packet;
    }
    return nullptr;
}

// Reads one block; its packet, if it is one that we give.
const Packet* PcapngFile::read_block() {
    const auto head = bytes_->peek(kBlockHeadBytes);
    if (head.empty()) return end();
    if (head.size() < kBlockHeadBytes) return end_early("cut short");
    const std::uint32_t type = u32(head.data());
    if (type == kSectionHeader) return begin_section();
    const std::uint32_t length = u32(head.data() + 4);
    if (length < kBlockFrameBytes || length % 4 != 0) {
        return end_early("damaged", fmt::format("a block of {} bytes", length));
    }
    const bool ours =
        type == kInterfaceDescription || type == kObsoletePacket || type == kSimplePacket || type == kEnhancedPacket;
    if (!ours) {  // statistics, names, secrets, custom: of any size
        if (!bytes_->skip(length)) end_early("cut short");
        return nullptr;
    }
    if (length > kLargestBlockBytes) return end_early("damaged", fmt::format("a block of {} bytes", length));
    const auto block = bytes_->peek(length);
    if (block.size() < length) return end_early("cut short");
    consume_ = length;
    const auto body = block.subspan(kBlockHeadBytes, length - kBlockFrameBytes);
    return type == kInterfaceDescription ? add_interface(body) : take_packet(type, body);
}

// Section header block, draft §4.1: sets the byte order of what follows and forgets the interfaces.
std::nullptr_t PcapngFile::begin_section() {
    constexpr std::size_t kFixedBytes = 28;
    const auto head = bytes_->peek(kFixedBytes);
    if (head.size() < kFixedBytes) return end_early("cut short");
    big_endian_ = true;
    constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
    if (u32(head.data() + 8) != kByteOrder) {
        big_endian_ = false;
        if (u32(head.data() + 8) != kByteOrder) return end_early("damaged", "a section without byte order");
    }
    if (u16(head.data() + 12) != 1) {
        return end_early("damaged", fmt::format("version {} of the format", u16(head.data() + 12)));
    }
    const std::uint32_t length = u32(head.data() + 4);
    if (length < kFixedBytes || length % 4 != 0) return end_early("damaged", "a section header of wrong length");
    interfaces_.clear();
    return bytes_->skip(length) ? nullptr : end_early("cut short");
}

std::nullptr_t PcapngFile::add_interface(std::span<const std::uint8_t> body) {
    constexpr std::size_t kFixedBytes = 8;
    if (body.size() < kFixedBytes) return end_early("damaged", "an interface description too short");
    if (interfaces_.size() >= kMostInterfaces) return end_early("damaged", "too many interfaces");
    Interface interface;
    interface.link_number = u16(body.data());
    interface.link = link_type_of(interface.link_number);
    interface.snap_bytes = u32(body.data() + 4);
    auto options = body.subspan(kFixedBytes);
    while (options.size() >= 4) {
        const std::uint16_t code = u16(options.data());
        const std::size_t bytes = u16(options.data() + 2);
        options = options.subspan(4);
        if (code == kOptionEnd || bytes > options.size()) break;
        if (code == kOptionResolution && bytes == 1) interface.resolution = options[0];
        if (code == kOptionOffset && bytes == 8) {
            const std::uint64_t first = u32(options.data());
            const std::uint64_t second = u32(options.data() + 4);
            interface.offset_seconds =
                static_cast<std::int64_t>(big_endian_ ? first << 32 | second : second << 32 | first);
        }
        options = options.subspan(std::min((bytes + 3) & ~std::size_t{3}, options.size()));
    }
    interfaces_.push_back(interface);
    return nullptr;
}

const Packet* PcapngFile::take_packet(std::uint32_t type, std::span<const std::uint8_t> body) {
    Record record;
    if (!read_record(type, body, record)) return end_early("damaged", "lengths beyond the block");
    if (record.interface >= interfaces_.size()) {
        return end_early("damaged", fmt::format("interface {} is not described", record.interface));
    }
    const Interface& interface = interfaces_[record.interface];
    if (!interface.link) {
        ++left_out_;
        left_out_link_ = interface.link_number;
        return nullptr;
    }
    ++packets_;
    packet_.data = record.data;
    packet_.captured_bytes = record.captured;
    packet_.wire_bytes = std::max(record.wire, record.captured);
    // A simple packet block has no time: it is taken to have come with the packet before it.
    if (record.stamp) packet_.time_ns = time_of(interface, *record.stamp);
    packet_.link = *interface.link;
    return &packet_;
}

// Enhanced (draft §4.3), simple (§4.4) and obsolete (appendix A) packet blocks.
bool PcapngFile::read_record(std::uint32_t type, std::span<const std::uint8_t> body, Record& record) {
    const std::uint8_t* at = body.data();
    std::size_t fixed_bytes = 20;
    if (type == kSimplePacket) {
        fixed_bytes = 4;
        if (body.size() < fixed_bytes || interfaces_.empty()) return false;
        record.wire = u32(at);
        record.captured = static_cast<std::uint32_t>(std::min<std::size_t>(record.wire, body.size() - fixed_bytes));
        const std::uint32_t snap_bytes = interfaces_.front().snap_bytes;
        if (snap_bytes != 0) record.captured = std::min(record.captured, snap_bytes);
    } else {
        if (body.size() < fixed_bytes) return false;
        record.interface = type == kEnhancedPacket ? u32(at) : u16(at);
        record.stamp = static_cast<std::uint64_t>(u32(at + 4)) << 32 | u32(at + 8);
        record.captured = u32(at + 12);
        record.wire = u32(at + 16);
    }
    record.data = at + fixed_bytes;
    return record.captured <= body.size() - fixed_bytes;
}

TimeNs PcapngFile::time_of(const Interface& interface, std::uint64_t stamp) {
    const unsigned exponent = interface.resolution & 0x7fu;
    Wide ns = 0;
    if ((interface.resolution & 0x80u) != 0) {
        // Below 2^-94 seconds the product shifts away altogether.
        ns = exponent < 94 ? (static_cast<Wide>(stamp) * kNsPerSecond) >> exponent : 0;
    } else {
        ns = stamp;
        for (unsigned i = exponent; i < 9; ++i) ns *= 10;
        for (unsigned i = 9; i < exponent && ns != 0; ++i) ns /= 10;
    }
    ns += static_cast<Wide>(interface.offset_seconds) * kNsPerSecond;
    return static_cast<TimeNs>(std::clamp<Wide>(ns, 0, static_cast<Wide>(kLatestSecond) * kNsPerSecond));
}

// Where the block in hand begins is where the file stops making sense.
std::nullptr_t PcapngFile::end_early(std::string_view how, std::string_view why) {
    ended_ = true;
    std::uint64_t at = bytes_->position();
    if (how == "cut short") {
        bytes_->skip(kLargestBlockBytes);
        at = bytes_->position();
    }
    error_ = fmt::format("{} at byte {}, after packet {}", how, at, packets_ + left_out_);
    if (!why.empty()) error_ += fmt::format(": {}", why);
    if (!bytes_->error().empty()) error_ += fmt::format(" ({})", bytes_->error());
    return nullptr;
}

std::nullptr_t PcapngFile::end() {
    ended_ = true;
    if (!bytes_->error().empty()) return end_early("cut short");
    if (left_out_ > 0) {
        error_ = fmt::format("{} packets left out: link type {} is not supported", left_out_,
                             link_type_name(left_out_link_));
    }
    return nullptr;
}

}  // namespace spantape
