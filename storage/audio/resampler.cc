// SPDX-License-Identifier: AGPL-3.0-or-later
// soxr, high quality, 16 bit in and out, without dither so that the same recording gives the same file every time.
#include "storage/audio/resampler.h"

#include <soxr.h>

#include <utility>

namespace spantape {

struct Resampler::State {
    soxr_t soxr = nullptr;
    std::uint32_t from_hz = 0, to_hz = 0;
};

Resampler::Resampler(std::unique_ptr<State> state) : state_(std::move(state)) {}
Resampler::~Resampler() { soxr_delete(state_->soxr); }

Result<std::unique_ptr<Resampler>> Resampler::open(std::uint32_t from_hz, std::uint32_t to_hz) {
    const soxr_io_spec_t io = [] {
        soxr_io_spec_t spec = soxr_io_spec(SOXR_INT16_I, SOXR_INT16_I);
        spec.flags = SOXR_NO_DITHER;
        return spec;
    }();
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, SOXR_LINEAR_PHASE);
    soxr_error_t error = nullptr;
    const soxr_t soxr = soxr_create(from_hz, to_hz, 1, &error, &io, &quality, nullptr);
    if (soxr == nullptr) {
        return fail("resampling from {} Hz to {} Hz: {}", from_hz, to_hz, error != nullptr ? error : "cannot start");
    }
    return std::unique_ptr<Resampler>(new Resampler(std::make_unique<State>(State{soxr, from_hz, to_hz})));
}

Result<> Resampler::push(std::span<const std::int16_t> in, std::vector<std::int16_t>& out) {
    const std::size_t before = out.size();
    const std::size_t room = in.size() * state_->to_hz / state_->from_hz + 65536;
    out.resize(before + room);
    std::size_t used = 0;
    std::size_t made = 0;
    const soxr_error_t error =
        soxr_process(state_->soxr, in.data(), in.size(), &used, out.data() + before, room, &made);
    out.resize(before + made);
    if (error != nullptr) return fail("resampling from {} Hz to {} Hz: {}", state_->from_hz, state_->to_hz, error);
    if (used != in.size())
        return fail("resampling from {} Hz: took {} of {} samples", state_->from_hz, used, in.size());
    return {};
}

Result<> Resampler::finish(std::vector<std::int16_t>& out) {
    for (;;) {
        const std::size_t before = out.size();
        constexpr std::size_t kRoom = 65536;
        out.resize(before + kRoom);
        std::size_t made = 0;
        const soxr_error_t error = soxr_process(state_->soxr, nullptr, 0, nullptr, out.data() + before, kRoom, &made);
        out.resize(before + made);
        if (error != nullptr) return fail("resampling from {} Hz to {} Hz: {}", state_->from_hz, state_->to_hz, error);
        if (made == 0) return {};
    }
}

}  // namespace spantape
