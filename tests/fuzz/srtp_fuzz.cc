// SPDX-License-Identifier: AGPL-3.0-or-later
// SRTP on hostile packets: the first byte names the suites of two keys, then comes a run of length-prefixed datagrams.
// Nothing authenticates but by the wildest luck; what matters is that no byte beyond a packet or its buffer is touched.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "capture/rtp/srtp.h"

namespace {

using namespace spantape;

const SrtpContexts& contexts_of(std::uint8_t byte) {
    static const std::vector<SrtpContexts> kAll = [] {
        std::vector<SrtpContexts> all;
        for (std::uint8_t suite = 0; suite < 16; ++suite) {
            SrtpKey key{.suite = static_cast<SrtpSuite>(suite % 8)};
            key.mki_bytes = suite < 8 ? 0 : static_cast<std::uint8_t>(suite * 2 - 15);
            all.push_back(SrtpContext::make(key));
        }
        return all;
    }();
    return kAll[byte % 16];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    SrtpStream stream;
    stream.learn(contexts_of(data[0]));
    stream.learn(contexts_of(data[0] / 16));
    ++data;
    --size;
    while (size > 0) {
        const std::size_t length = std::min<std::size_t>(data[0], size - 1);
        const std::vector<std::uint8_t> datagram(data + 1, data + 1 + length);
        RtpHeader header;
        const RtpParse parsed = parse_rtp(datagram, header);
        if (parsed == RtpParse::ok || parsed == RtpParse::bad_padding) {
            if (header.packet().data() != datagram.data() || header.packet().size() != datagram.size())
                __builtin_trap();
            std::vector<std::uint8_t> out(datagram.size());
            const auto payload = stream.open(header, out);
            if (payload && payload->size() > out.size()) __builtin_trap();
        }
        data += 1 + length;
        size -= 1 + length;
    }
    return 0;
}
