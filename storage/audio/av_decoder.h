// SPDX-License-Identifier: AGPL-3.0-or-later
// Codecs that libavcodec decodes: AMR, AMR-WB, G.723.1, iLBC, Speex. What a payload holds is told apart here, by the
// codec's RTP payload format, and its frames are handed to the library one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "storage/audio/decoder.h"

namespace spantape {

[[nodiscard]] bool is_av_codec(Encoding encoding);
// Samples that the payload stands for; 0: it is none of the codec's.
[[nodiscard]] std::size_t av_frame_samples(const PayloadFormat& format, std::span<const std::uint8_t> payload);
[[nodiscard]] std::unique_ptr<Decoder> make_av_decoder(const PayloadFormat& format);

}  // namespace spantape
