// SPDX-License-Identifier: AGPL-3.0-or-later
// One capture file, read packet by packet. One owner, one thread. Formats: pcap (any byte order, microseconds or
// nanoseconds) and pcapng, each plain or gzip.
#pragma once

#include <memory>
#include <string>

#include "capture/base/result.h"
#include "capture/source/file_bytes.h"
#include "capture/source/source.h"

namespace spantape {

// What is kept of a packet at most: libpcap's own bound, which all programs that write captures keep to.
inline constexpr std::size_t kLargestPacketBytes = 262'144;

class CaptureFile {
public:
    virtual ~CaptureFile() = default;

    // The next packet, in file order, or nullptr at the end; valid until the next call. Packet::source is 0.
    virtual const Packet* next() = 0;

    // After the end: empty, or why it came early ("cut short at byte 4711, in packet 12"; bytes of gzip are counted
    // unpacked).
    [[nodiscard]] virtual const std::string& error() const = 0;
};

// The message of an error does not name the file: no such file, not a capture file (and what it looks like), a link
// type that we do not know.
Result<std::unique_ptr<CaptureFile>> open_capture_file(const std::string& path);
Result<std::unique_ptr<CaptureFile>> open_capture_bytes(std::unique_ptr<FileBytes> bytes);

}  // namespace spantape
