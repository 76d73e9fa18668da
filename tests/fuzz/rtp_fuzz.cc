// SPDX-License-Identifier: AGPL-3.0-or-later
// RTP header parsing and the sequence tracker on hostile datagrams: the input is a run of length-prefixed datagrams.
#include <cstddef>
#include <cstdint>
#include <span>

#include "capture/rtp/frame.h"
#include "capture/rtp/sequence_tracker.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    spantape::SequenceTracker tracker;
    std::uint64_t stored = 0;
    while (size > 0) {
        const std::size_t length = std::min<std::size_t>(data[0], size - 1);
        const std::span<const std::uint8_t> datagram(data + 1, length);
        spantape::RtpHeader header;
        if (spantape::parse_rtp(datagram, header) == spantape::RtpParse::ok) {
            if (header.payload.data() < datagram.data() ||
                header.payload.data() + header.payload.size() > datagram.data() + length)
                __builtin_trap();
            stored += tracker.on_frame(header.sequence, header.timestamp,
                                       static_cast<std::uint32_t>(header.payload.size())) !=
                      spantape::SequenceTracker::Verdict::duplicate;
        }
        data += 1 + length;
        size -= 1 + length;
    }
    if (stored == 0 && tracker.lost() != 0) __builtin_trap();
    return 0;
}
