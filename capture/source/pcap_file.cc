// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/pcap_file.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "capture/source/link_types.h"

namespace spantape {

namespace {

// Magic numbers, in the byte order of the file.
constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
// A. Kuznetzov's patch of libpcap, in Linux distributions of the nineties: records say interface, protocol and
// direction as well.
constexpr std::uint32_t kKuznetzov = 0xa1b2cd34;

constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kRecordBytes = 16;
constexpr std::size_t kKuznetzovRecordBytes = 24;
constexpr std::uint32_t kEthernetHeaderBytes = 14;

// Of the link type's upper bits six tell of frame check sequences behind the packets, which nobody looks at: the
// length of an IP packet is in its header. The ten between are 0; others make it a link type that there is not.
constexpr std::uint32_t kLinkTypeMask = 0x03ff'ffff;

constexpr std::uint16_t kDgUxVersion = 543;  // of DG/UX's tcpdump

struct Kind {
    std::uint32_t magic;
    std::endian order;
};

// Empty when it is none of ours.
std::optional<Kind> kind_of(std::span<const std::uint8_t> head) {
    if (head.size() < sizeof(std::uint32_t)) return std::nullopt;
    for (const std::endian order : {std::endian::little, std::endian::big}) {
        const std::uint32_t magic = ByteOrder(order).u32(head.data());
        if (magic == kMicroseconds || magic == kNanoseconds || magic == kKuznetzov) return Kind{magic, order};
    }
    return std::nullopt;
}

}  // namespace

bool PcapFile::is_magic(std::span<const std::uint8_t> head) { return kind_of(head).has_value(); }

Result<std::unique_ptr<CaptureFile>> PcapFile::open(std::unique_ptr<FileBytes> bytes) {
    std::unique_ptr<PcapFile> file(new PcapFile(std::move(bytes)));
    if (auto opened = file->read_header(); !opened) return std::unexpected(opened.error());
    return file;
}

Result<> PcapFile::read_header() {
    const auto head = bytes_->peek(kFileHeaderBytes);
    const auto kind = kind_of(head);
    if (!kind || head.size() < kFileHeaderBytes) {
        return fail("is no readable pcap file: cut short at byte {}, in its header", head.size());
    }
    order_ = ByteOrder(kind->order);
    const std::uint16_t major = order_.u16(head.data() + 4);
    const std::uint16_t minor = order_.u16(head.data() + 6);
    const bool is_known = (major == 2 && minor <= 4) || (major == kDgUxVersion && minor == 0);
    if (!is_known) return fail("is no readable pcap file: version {}.{} of the format", major, minor);
    const int number = static_cast<int>(order_.u32(head.data() + 20) & kLinkTypeMask);
    const auto link = link_type_of(number);
    if (!link) return fail("has link type {}, which is not supported", link_type_name(number));
    link_ = *link;
    tick_ns_ = kind->magic == kNanoseconds ? 1 : 1000;
    record_bytes_ = kind->magic == kKuznetzov ? kKuznetzovRecordBytes : kRecordBytes;
    if (major == kDgUxVersion || minor < 3) {
        lengths_ = Lengths::original_first;
    } else if (minor == 3) {  // some wrote it before the change, some after
        lengths_ = Lengths::smaller_first;
    }
    // Nonsense is no limit.
    snap_bytes_ = order_.u32(head.data() + 16);
    if (snap_bytes_ == 0 || snap_bytes_ > std::numeric_limits<std::int32_t>::max()) snap_bytes_ = kLargestPacketBytes;
    // What was captured without a link layer got an Ethernet header on top of what the snap length left.
    if (kind->magic == kKuznetzov && number == 1) snap_bytes_ += kEthernetHeaderBytes;
    bytes_->skip(kFileHeaderBytes);
    return {};
}

inline PcapFile::Record PcapFile::record_at(const std::uint8_t* at) const {
    Record record{.time_ns = order_.u32(at) * kNsPerSecond + order_.u32(at + 4) * tick_ns_,
                  .captured_bytes = order_.u32(at + 8),
                  .wire_bytes = order_.u32(at + 12)};
    const bool swap = lengths_ == Lengths::original_first ||
                      (lengths_ == Lengths::smaller_first && record.captured_bytes > record.wire_bytes);
    if (swap) [[unlikely]]
        std::swap(record.captured_bytes, record.wire_bytes);
    return record;
}

std::size_t PcapFile::read(std::span<Packet> burst) {
    const std::size_t count = read_ready(burst);
    if (count > 0 || ended() || !fetch_record()) return count;
    return read_ready(burst);
}

// The records that are there whole, up to the first that is not or is damaged: fetch_record() then says more.
std::size_t PcapFile::read_ready(std::span<Packet> burst) {
    const auto ready = bytes_->ready();
    std::size_t at = 0;
    std::size_t count = 0;
    while (count < burst.size() && ready.size() - at >= record_bytes_) {
        const Record record = record_at(ready.data() + at);
        if (record.captured_bytes > std::min(kLargestPacketBytes, ready.size() - at - record_bytes_)) break;
        // What is there beyond the snap length is left out, as libpcap does.
        const std::uint32_t captured_bytes = std::min(record.captured_bytes, snap_bytes_);
        burst[count++] = {.data = ready.data() + at + record_bytes_,
                          .captured_bytes = captured_bytes,
                          .wire_bytes = std::max(record.wire_bytes, captured_bytes),
                          .time_ns = record.time_ns,
                          .link = link_};
        at += record_bytes_ + record.captured_bytes;
    }
    bytes_->skip(at);
    packets_ += count;
    return count;
}

// Makes the next record ready; false at the end.
bool PcapFile::fetch_record() {
    const auto head = bytes_->peek(record_bytes_);
    if (head.empty()) return bytes_->error().empty() ? end() : end_cut_short(fmt::format("after packet {}", packets_));
    const std::string where = fmt::format("in packet {}", packets_ + 1);
    if (head.size() < record_bytes_) return end_cut_short(where);
    const std::size_t captured_bytes = record_at(head.data()).captured_bytes;
    if (captured_bytes > kLargestPacketBytes) {
        return end_damaged(bytes_->position() + record_bytes_, where,
                           fmt::format("{} captured bytes, more than a packet has", captured_bytes));
    }
    const std::size_t whole_bytes = record_bytes_ + captured_bytes;
    return bytes_->peek(whole_bytes).size() == whole_bytes || end_cut_short(where);
}

}  // namespace spantape
