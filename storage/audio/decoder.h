// SPDX-License-Identifier: AGPL-3.0-or-later
// Payloads of one stream -> 16-bit samples, for every codec that can be decoded. The codec libraries are known only in
// decoder.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage/audio/codec.h"

namespace spantape {

// Samples, at format.sample_rate_hz(), that the payload stands for; 0: it holds no audio.
[[nodiscard]] std::size_t frame_samples(const PayloadFormat& format, std::span<const std::uint8_t> payload);

// Samples missing between two frames.
struct Gap {
    std::size_t samples = 0;
    bool lost = false;  // frames were sent and did not arrive; else the sender was silent
};

// One run of frames of one stream and codec, in playout order. One thread.
class Decoder {
public:
    virtual ~Decoder() = default;
    // out has frame_samples() samples; all are written. What cannot be decoded is silence.
    virtual void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) = 0;
    // What the codec itself knows to put into the gap before the frame `next`, which is decoded afterwards: concealment
    // of a short loss, comfort noise where the sender had announced it. At most gap.samples, from the gap's begin;
    // what is missing is silence.
    virtual std::vector<std::int16_t> fill(const Gap& gap, std::span<const std::uint8_t> next) {
        (void)gap, (void)next;
        return {};
    }
};

// format.audible() must hold.
[[nodiscard]] std::unique_ptr<Decoder> make_decoder(const PayloadFormat& format);

}  // namespace spantape
