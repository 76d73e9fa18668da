// SPDX-License-Identifier: AGPL-3.0-or-later
// Which frames of one stream carry DTMF in their audio (ITU-T Q.23, Q.24), found by spandsp. A tone is certain only
// some 40 ms after it began, so a frame's verdict is settled when that much audio has come behind it. The frame before
// a tone and the one behind it count to it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "storage/audio/codec.h"

struct dtmf_rx_state_s;

namespace spantape {

class DtmfMask {
public:
    DtmfMask();
    ~DtmfMask();
    DtmfMask(const DtmfMask&) = delete;
    DtmfMask& operator=(const DtmfMask&) = delete;

    // The stream's next frame. Audio whose clock is no multiple of 8 kHz, and what is no audio, is not looked into.
    void scan(const PayloadFormat& format, std::span<const std::uint8_t> payload);

    // Of the oldest frame scanned and not popped; only when there is one.
    [[nodiscard]] bool masked() const { return frames_.front().masked; }
    // No later frame can change that.
    [[nodiscard]] bool settled() const;
    void pop() { frames_.pop_front(); }
    [[nodiscard]] bool empty() const { return frames_.empty(); }

private:
    struct Frame {
        std::size_t samples = 0;  // at 8 kHz
        bool masked = false;
    };
    static void on_tone(void* mask, int digit, int level, int delay);
    void mask_tone();

    std::unique_ptr<dtmf_rx_state_s, void (*)(dtmf_rx_state_s*)> receiver_;
    std::deque<Frame> frames_;
    std::vector<std::int16_t> samples_;
    bool tone_began_ = false;  // within the frame being scanned
    bool in_tone_ = false;     // at the end of the last one
};

}  // namespace spantape
