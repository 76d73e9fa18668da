// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/dtmf_mask.h"

#include <new>

#include <spandsp.h>

namespace spantape {

namespace {

constexpr std::uint32_t kReceiverHz = 8000;
// The receiver looks at blocks of 102 samples and tells a tone at the end of the second that holds it; the tone may
// have begun in the one before.
constexpr std::size_t kToldAfterSamples = std::size_t{3} * 102;

void release(dtmf_rx_state_s* receiver) { dtmf_rx_free(receiver); }

// To 8 kHz, in place: the mean of each group of samples is filter enough for tones below 1.7 kHz.
void decimate(std::vector<std::int16_t>& samples, std::size_t factor) {
    const std::size_t count = samples.size() / factor;
    for (std::size_t i = 0; i < count; ++i) {
        int sum = 0;
        for (std::size_t j = 0; j < factor; ++j) sum += samples[i * factor + j];
        samples[i] = static_cast<std::int16_t>(sum / static_cast<int>(factor));
    }
    samples.resize(count);
}

bool is_digit(int status) { return status != 0 && status != 'x'; }  // 'x': may become one

}  // namespace

DtmfMask::DtmfMask() : receiver_(dtmf_rx_init(nullptr, nullptr, nullptr), release) {
    if (receiver_ == nullptr) throw std::bad_alloc();
    dtmf_rx_set_realtime_callback(receiver_.get(), on_tone, this);
}
DtmfMask::~DtmfMask() = default;

void DtmfMask::on_tone(void* mask, int digit, int /*level*/, int /*delay*/) {
    if (digit != 0) static_cast<DtmfMask*>(mask)->tone_began_ = true;
}

void DtmfMask::scan(const PayloadFormat& format, std::span<const std::uint8_t> payload) {
    samples_.resize(decoded_samples(format, payload.size()));
    if (samples_.empty() || format.clock_rate_hz % kReceiverHz != 0) {
        frames_.push_back({0, in_tone_});
        return;
    }
    decode(format, payload, samples_);
    if (format.clock_rate_hz > kReceiverHz) decimate(samples_, format.clock_rate_hz / kReceiverHz);
    tone_began_ = false;
    dtmf_rx(receiver_.get(), samples_.data(), static_cast<int>(samples_.size()));
    frames_.push_back({samples_.size(), in_tone_});
    in_tone_ = is_digit(dtmf_rx_status(receiver_.get()));
    if (in_tone_ || tone_began_) mask_tone();
}

// The newest frame, those in which its tone may have begun, and one before.
void DtmfMask::mask_tone() {
    std::size_t at = frames_.size() - 1;
    frames_[at].masked = true;
    for (std::size_t covered = 0; at > 0 && covered < kToldAfterSamples;) {
        covered += frames_[--at].samples;
        frames_[at].masked = true;
    }
    if (at > 0) frames_[at - 1].masked = true;
}

bool DtmfMask::settled() const {
    std::size_t behind = 0;
    for (std::size_t i = 2; i < frames_.size(); ++i)
        if ((behind += frames_[i].samples) >= kToldAfterSamples) return true;
    return false;
}

}  // namespace spantape
