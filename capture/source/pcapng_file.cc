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
    if (file->ended()) return fail("is no readable pcapng file: {}", file->error());
    // The first packet at once, so that a file of nothing that we know is refused.
    while (!file->has_first_ && !file->ended()) file->has_first_ = file->read_block();
    if (!file->has_first_ && file->left_out_ > 0) {
        return fail("has link type {}, which is not supported", link_type_name(file->left_out_link_));
    }
    return file;
}

std::size_t PcapngFile::read(std::span<Packet> burst) {
    std::size_t count = 0;
    if (std::exchange(has_first_, false)) burst[count++] = packet_;
    while (count < burst.size() && !ended() && (count == 0 || is_ready())) {
        if (read_block()) burst[count++] = packet_;
    }
    return count;
}

// The next block is there whole: to read it moves none of the packets before it.
bool PcapngFile::is_ready() const {
    const auto ready = bytes_->ready();
    return ready.size() >= kBlockHeadBytes && order_.u32(ready.data()) != kSectionHeader &&
           order_.u32(ready.data() + 4) <= ready.size();
}

bool PcapngFile::read_block() {
    block_at_ = bytes_->position();
    const auto head = bytes_->peek(kBlockHeadBytes);
    if (head.empty()) return end_of_file();
    if (head.size() < kBlockHeadBytes) return cut_short();
    const std::uint32_t type = order_.u32(head.data());
    if (type == kSectionHeader) return begin_section();
    const std::uint32_t length = order_.u32(head.data() + 4);
    if (length < kBlockFrameBytes || length % 4 != 0) return damaged(fmt::format("a block of {} bytes", length));
    const bool ours =
        type == kInterfaceDescription || type == kObsoletePacket || type == kSimplePacket || type == kEnhancedPacket;
    if (!ours) {  // statistics, names, secrets, custom: of any size
        if (!bytes_->skip(length)) cut_short();
        return false;
    }
    if (length > kLargestBlockBytes) return damaged(fmt::format("a block of {} bytes", length));
    const auto block = bytes_->peek(length);
    if (block.size() < length) return cut_short();
    bytes_->skip(length);
    const auto body = block.subspan(kBlockHeadBytes, length - kBlockFrameBytes);
    return type == kInterfaceDescription ? add_interface(body) : take_packet(type, body);
}

// Section header block, draft §4.1: sets the byte order of what follows and forgets the interfaces.
bool PcapngFile::begin_section() {
    constexpr std::size_t kFixedBytes = 28;
    const auto head = bytes_->peek(kFixedBytes);
    if (head.size() < kFixedBytes) return cut_short();
    constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
    order_ = ByteOrder(std::endian::big);
    if (order_.u32(head.data() + 8) != kByteOrder) {
        order_ = ByteOrder(std::endian::little);
        if (order_.u32(head.data() + 8) != kByteOrder) return damaged("a section without byte order");
    }
    const std::uint16_t version = order_.u16(head.data() + 12);
    if (version != 1) return damaged(fmt::format("version {} of the format", version));
    const std::uint32_t length = order_.u32(head.data() + 4);
    if (length < kFixedBytes || length % 4 != 0) return damaged("a section header of wrong length");
    interfaces_.clear();
    if (!bytes_->skip(length)) cut_short();
    return false;
}

bool PcapngFile::add_interface(std::span<const std::uint8_t> body) {
    constexpr std::size_t kFixedBytes = 8;
    if (body.size() < kFixedBytes) return damaged("an interface description too short");
    if (interfaces_.size() >= kMostInterfaces) return damaged("too many interfaces");
    Interface interface;
    interface.link_number = order_.u16(body.data());
    interface.link = link_type_of(interface.link_number);
    interface.snap_bytes = order_.u32(body.data() + 4);
    auto options = body.subspan(kFixedBytes);
    while (options.size() >= 4) {
        const std::uint16_t code = order_.u16(options.data());
        const std::size_t bytes = order_.u16(options.data() + 2);
        options = options.subspan(4);
        if (code == kOptionEnd || bytes > options.size()) break;
        if (code == kOptionResolution && bytes == 1) interface.resolution = options[0];
        if (code == kOptionOffset && bytes == 8) {
            interface.offset_seconds = static_cast<std::int64_t>(order_.u64(options.data()));
        }
        options = options.subspan(std::min((bytes + 3) & ~std::size_t{3}, options.size()));
    }
    interfaces_.push_back(interface);
    return false;
}

bool PcapngFile::take_packet(std::uint32_t type, std::span<const std::uint8_t> body) {
    Record record;
    if (!read_record(type, body, record)) return damaged("lengths beyond the block");
    if (record.interface >= interfaces_.size()) {
        return damaged(fmt::format("interface {} is not described", record.interface));
    }
    const Interface& interface = interfaces_[record.interface];
    if (!interface.link) {
        ++left_out_;
        left_out_link_ = interface.link_number;
        return false;
    }
    ++packets_;
    packet_.data = record.data;
    packet_.captured_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(record.captured, kLargestPacketBytes));
    packet_.wire_bytes = std::max(record.wire, record.captured);
    // A simple packet block has no time: it is taken to have come with the packet before it.
    if (record.stamp) packet_.time_ns = time_of(interface, *record.stamp);
    packet_.link = *interface.link;
    return true;
}

// Enhanced (draft §4.3), simple (§4.4) and obsolete (appendix A) packet blocks.
bool PcapngFile::read_record(std::uint32_t type, std::span<const std::uint8_t> body, Record& record) {
    const std::uint8_t* at = body.data();
    std::size_t fixed_bytes = 20;
    if (type == kSimplePacket) {
        fixed_bytes = 4;
        if (body.size() < fixed_bytes || interfaces_.empty()) return false;
        record.wire = order_.u32(at);
        record.captured = static_cast<std::uint32_t>(std::min<std::size_t>(record.wire, body.size() - fixed_bytes));
        const std::uint32_t snap_bytes = interfaces_.front().snap_bytes;
        if (snap_bytes != 0) record.captured = std::min(record.captured, snap_bytes);
    } else {
        if (body.size() < fixed_bytes) return false;
        record.interface = type == kEnhancedPacket ? order_.u32(at) : order_.u16(at);
        record.stamp = static_cast<std::uint64_t>(order_.u32(at + 4)) << 32 | order_.u32(at + 8);
        record.captured = order_.u32(at + 12);
        record.wire = order_.u32(at + 16);
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
bool PcapngFile::damaged(std::string_view why) {
    return end_damaged(block_at_, fmt::format("after packet {}", packets_ + left_out_), why);
}

bool PcapngFile::cut_short() { return end_cut_short(fmt::format("after packet {}", packets_ + left_out_)); }

bool PcapngFile::end_of_file() {
    if (!bytes_->error().empty()) return cut_short();
    if (left_out_ == 0) return end();
    return end(
        fmt::format("{} packets left out: link type {} is not supported", left_out_, link_type_name(left_out_link_)));
}

}  // namespace spantape
