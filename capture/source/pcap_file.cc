// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/pcap_file.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <pcap/pcap.h>

#include "capture/source/link_types.h"

namespace spantape {

namespace {

constexpr std::size_t kStreamBytes = 32u << 10;

ssize_t read_bytes(void* cookie, char* to, std::size_t count) {
    return static_cast<ssize_t>(static_cast<FileBytes*>(cookie)->read(reinterpret_cast<std::uint8_t*>(to), count));
}

// Only tells where it is, which is all that ftello() asks for.
int tell_position(void* cookie, off64_t* offset, int whence) {
    if (whence != SEEK_CUR || *offset != 0) return -1;
    *offset = static_cast<off64_t>(static_cast<FileBytes*>(cookie)->position());
    return 0;
}

}  // namespace

PcapFile::PcapFile(std::unique_ptr<FileBytes> bytes, pcap* handle, LinkType link)
    : bytes_(std::move(bytes)), handle_(handle) {
    packet_.link = link;
}

PcapFile::~PcapFile() { pcap_close(handle_); }

Result<std::unique_ptr<CaptureFile>> PcapFile::open(std::unique_ptr<FileBytes> bytes) {
    std::FILE* stream =
        fopencookie(bytes.get(), "rb", cookie_io_functions_t{read_bytes, nullptr, tell_position, nullptr});
    if (stream == nullptr) return fail("no memory left to read it");
    // Not unbuffered, though FileBytes has a buffer: then glibc reads byte by byte.
    setvbuf(stream, nullptr, _IOFBF, kStreamBytes);
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    pcap* handle = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why.data());
    if (handle == nullptr) {
        std::fclose(stream);
        return fail("is no readable pcap file: {}", why.data());
    }
    const int number = pcap_datalink(handle);
    const auto link = link_type_of(number);
    if (!link) {
        pcap_close(handle);
        return fail("has link type {}, which is not supported", link_type_name(number));
    }
    return std::unique_ptr<CaptureFile>(new PcapFile(std::move(bytes), handle, *link));
}

const Packet* PcapFile::next() {
    if (!error_.empty()) return nullptr;
    pcap_pkthdr* header = nullptr;
    const std::uint8_t* data = nullptr;
    const int got = pcap_next_ex(handle_, &header, &data);
    if (got == 1) {
        ++packets_;
        packet_.data = data;
        packet_.captured_bytes = header->caplen;
        packet_.wire_bytes = std::max(header->len, header->caplen);
        packet_.time_ns = static_cast<TimeNs>(header->ts.tv_sec) * kNsPerSecond + header->ts.tv_usec;
        return &packet_;
    }
    std::FILE* stream = pcap_file(handle_);
    if (got == PCAP_ERROR && std::feof(stream) == 0) {
        error_ =
            fmt::format("damaged at byte {}, in packet {}: {}", ftello(stream), packets_ + 1, pcap_geterr(handle_));
    } else if (got == PCAP_ERROR) {
        error_ = fmt::format("cut short at byte {}, in packet {}", bytes_->position(), packets_ + 1);
    } else if (!bytes_->error().empty()) {
        error_ = fmt::format("cut short at byte {}, after packet {}", bytes_->position(), packets_);
    }
    if (!bytes_->error().empty()) error_ += fmt::format(" ({})", bytes_->error());
    return nullptr;
}

}  // namespace spantape
