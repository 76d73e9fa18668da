// SPDX-License-Identifier: AGPL-3.0-or-later
// Hostile payloads into each decoder. The first byte is the payload type; then records: a byte of flags (a gap before
// it, lost or silent), two of length, the payload. Every sample must be written and no gap overfilled.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "capture/base/byte_reader.h"
#include "storage/audio/decoder.h"

namespace spantape {
namespace {

const PayloadTable& formats() {
    static const std::vector<PayloadMapping> mappings = {
        {96, "G726-16", 8000, 1, ""},       {97, "G726-24", 8000, 1, ""},
        {98, "G726-40", 8000, 1, ""},       {99, "AAL2-G726-24", 8000, 1, ""},
        {100, "AAL2-G726-40", 8000, 1, ""}, {101, "L16", 16000, 2, ""},
        {102, "AMR", 8000, 1, ""},          {103, "AMR", 8000, 1, "octet-align=1"},
        {104, "AMR-WB", 16000, 1, ""},      {106, "iLBC", 8000, 1, ""},
        {107, "SPEEX", 8000, 1, ""},        {108, "SPEEX", 16000, 1, ""},
        {111, "opus", 48000, 2, ""},
    };
    static const PayloadTable table = payload_table(mappings);
    return table;
}

void decode_all(Decoder& decoder, const PayloadFormat& format, ByteReader reader) {
    constexpr std::size_t kMostSamples = 1 << 20;  // of 64 KiB in any codec
    while (reader.left() >= 3) {
        const std::uint8_t flags = reader.u8();
        const auto payload = reader.bytes(std::min<std::size_t>(reader.u16(), reader.left()));
        const std::size_t samples = frame_samples(format, payload);
        if (samples == 0) continue;
        if (samples > kMostSamples) std::abort();
        if ((flags & 1) != 0) {
            const Gap gap{std::size_t{flags} * 37, (flags & 2) != 0};
            if (decoder.fill(gap, payload).size() > gap.samples) std::abort();
        }
        std::vector<std::int16_t> out(samples);
        decoder.decode(payload, out);
    }
}

}  // namespace
}  // namespace spantape

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape;
    if (size == 0) return 0;
    const PayloadFormat& format = formats()[data[0] & 0x7f];
    if (!format.audible()) return 0;
    decode_all(*make_decoder(format), format, ByteReader({data + 1, size - 1}));
    return 0;
}
