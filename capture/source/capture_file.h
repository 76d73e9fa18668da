// SPDX-License-Identifier: AGPL-3.0-or-later
// One capture file, read packet by packet. One owner, one thread. Formats: pcap (any byte order, microseconds or
// nanoseconds) and pcapng, each plain or gzip.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "capture/base/result.h"
#include "capture/source/file_bytes.h"
#include "capture/source/source.h"

namespace spantape {

// What is read of a packet at most: libpcap's own bound, which all programs that write captures keep to.
inline constexpr std::size_t kLargestPacketBytes = 262'144;

class CaptureFile {
public:
    virtual ~CaptureFile() = default;

    // Fills burst (not empty) from the front with the next packets, in file order, and gives how many there are: as
    // many as lie in memory together; 0 at the end. Valid until the next call. Packet::source is 0.
    virtual std::size_t read(std::span<Packet> burst) = 0;

    // After the end: empty, or why it came early ("cut short at byte 4711, in packet 12"; bytes of gzip are counted
    // unpacked).
    [[nodiscard]] const std::string& error() const { return error_; }

protected:
    explicit CaptureFile(std::unique_ptr<FileBytes> bytes) : bytes_(std::move(bytes)) {}

    // Nothing more comes, and error() says why. `where` is the packet: "in packet 12". All give false.
    bool end(std::string error = {});
    bool end_cut_short(std::string_view where);  // when all that is left was asked for, and is not enough
    bool end_damaged(std::uint64_t byte, std::string_view where, std::string_view why);
    [[nodiscard]] bool ended() const { return ended_; }

    std::unique_ptr<FileBytes> bytes_;

private:
    bool ended_ = false;
    std::string error_;
};

// The message of an error does not name the file: no such file, not a capture file (and what it looks like), a link
// type that we do not know.
Result<std::unique_ptr<CaptureFile>> open_capture_file(const std::string& path);
Result<std::unique_ptr<CaptureFile>> open_capture_bytes(std::unique_ptr<FileBytes> bytes);

}  // namespace spantape
