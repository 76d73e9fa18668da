// SPDX-License-Identifier: AGPL-3.0-or-later
// Segments out of the input: a header of 8 bytes (flags; port; sequence number in 3 bytes, the highest one standing for
// the top of it; time in units of 50 ms; payload length in 2 bytes), then the payload. Bounds must hold after each, and
// nothing may be held in the end.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "capture/base/byte_reader.h"
#include "capture/sip/start_line.h"
#include "capture/sip/tcp_streams.h"
#include "capture/sip/text.h"

namespace {

using namespace spantape;

constexpr SipTcpLimits kLimits{.max_streams = 4, .max_stream_bytes = 4096, .max_bytes = 16'384};

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    TimeNs now_ns = 1'700'000'000 * kNsPerSecond;
    SipTcpStreams streams(kLimits, [&](TimeNs time_ns, const Endpoint&, const Endpoint&, auto message) {
        std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
        require(is_sip_start_line(sip_text::take_line(text)));
        require(time_ns <= now_ns);
    });
    ByteReader reader({data, size});
    const std::uint8_t addresses[] = {192, 0, 2, 1, 192, 0, 2, 2};
    while (reader.left() >= 8) {
        TcpSegment segment{.source = {IpAddress::from_v4(addresses), 0},
                           .destination = {IpAddress::from_v4(addresses + 4), 5060}};
        segment.flags = reader.u8();
        segment.source.port = reader.u8();
        const std::uint32_t high = reader.u8();
        segment.sequence = (high << 24) | reader.u16();
        now_ns += reader.u8() * 50 * kNsPerMs;
        segment.time_ns = now_ns;
        const std::string copy = [&] {
            const auto bytes = reader.bytes(std::min<std::size_t>(reader.u16() % 2048, reader.left()));
            return std::string(bytes.begin(), bytes.end());
        }();
        segment.payload = {reinterpret_cast<const std::uint8_t*>(copy.data()), copy.size()};
        streams.on_segment(segment);
        require(streams.streams() <= kLimits.max_streams && streams.held_bytes() <= kLimits.max_bytes);
        require(streams.held_bytes() == 0 || streams.waiting());
    }
    streams.flush(now_ns);
    streams.expire(now_ns + kLimits.idle_ns + kNsPerSecond);
    require(streams.streams() == 0 && streams.held_bytes() == 0);
    return 0;
}
