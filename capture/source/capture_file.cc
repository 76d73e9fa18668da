// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells the formats apart by their first bytes.
#include "capture/source/capture_file.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "capture/source/pcap_file.h"
#include "capture/source/pcapng_file.h"

namespace spantape {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kSniffBytes = 64;

constexpr std::string_view kPcapngMagic = "\x0a\x0d\x0d\x0a"sv;

struct Magic {
    std::string_view bytes;
    std::string_view what;
};

// What people point at by mistake; for the message only.
constexpr Magic kOtherMagics[] = {
    {"\x7f"
     "ELF"sv,
     "a program"},
    {"RIFF"sv, "a WAV or AVI file"},
    {"OggS"sv, "an Ogg file"},
    {"ID3"sv, "an MP3 file"},
    {"fLaC"sv, "a FLAC file"},
    {"PK\x03\x04"sv, "a ZIP archive"},
    {"\x28\xb5\x2f\xfd"sv, "compressed with zstd: unpack it first"},
    {"\x04\x22\x4d\x18"sv, "compressed with lz4: unpack it first"},
    {"\xfd"
     "7zXZ"sv,
     "compressed with xz: unpack it first"},
    {"BZh"sv, "compressed with bzip2: unpack it first"},
    {"snoop\0"sv, "a snoop capture: convert it with editcap"},
    {"RTSS"sv, "a Network Monitor capture: convert it with editcap"},
    {"GMBU"sv, "a Network Monitor capture: convert it with editcap"},
    {"XCP\0"sv, "a NetXRay capture: convert it with editcap"},
    {"#!rtpplay"sv, "an rtpdump file"},
    {"%PDF"sv, "a PDF"},
    {"<?xml"sv, "XML"},
};

bool is_text(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x80 || std::isprint(byte) != 0 || std::isspace(byte) != 0;
    });
}

std::string looks_like(std::string_view bytes) {
    for (const Magic& magic : kOtherMagics) {
        if (bytes.starts_with(magic.bytes)) return fmt::format("looks like {}", magic.what);
    }
    if (is_text(bytes)) return "looks like text";
    std::string dump;
    for (const char byte : bytes.substr(0, 8)) dump += fmt::format(" {:02x}", static_cast<unsigned char>(byte));
    return "begins with" + dump;
}

std::string in_brackets(const std::string& text) { return text.empty() ? "" : fmt::format(" ({})", text); }

}  // namespace

bool CaptureFile::end(std::string error) {
    ended_ = true;
    error_ = std::move(error);
    return false;
}

bool CaptureFile::end_cut_short(std::string_view where) {
    return end(fmt::format("cut short at byte {}, {}{}", bytes_->position() + bytes_->ready().size(), where,
                           in_brackets(bytes_->error())));
}

bool CaptureFile::end_damaged(std::uint64_t byte, std::string_view where, std::string_view why) {
    return end(fmt::format("damaged at byte {}, {}: {}{}", byte, where, why, in_brackets(bytes_->error())));
}

Result<std::unique_ptr<CaptureFile>> open_capture_file(const std::string& path) {
    auto bytes = FileBytes::open(path);
    if (!bytes) return std::unexpected(bytes.error());
    return open_capture_bytes(std::move(*bytes));
}

Result<std::unique_ptr<CaptureFile>> open_capture_bytes(std::unique_ptr<FileBytes> bytes) {
    const auto head = bytes->peek(kSniffBytes);
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    if (text.empty()) {
        if (!bytes->error().empty()) return fail("cannot be read: {}", bytes->error());
        return fail("is empty, not a capture file");
    }
    if (text.starts_with(kPcapngMagic)) return PcapngFile::open(std::move(bytes));
    if (PcapFile::is_magic(head)) return PcapFile::open(std::move(bytes));
    return fail("is not a pcap or pcapng capture file: it {}", looks_like(text));
}

}  // namespace spantape
