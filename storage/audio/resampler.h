// SPDX-License-Identifier: AGPL-3.0-or-later
// Sample-rate conversion of one channel as a stream, in step with its input: linear phase, no delay left over.
// libsoxr is known only here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "capture/base/result.h"

namespace spantape {

class Resampler {
public:
    static Result<std::unique_ptr<Resampler>> open(std::uint32_t from_hz, std::uint32_t to_hz);
    ~Resampler();
    Resampler(const Resampler&) = delete;
    Resampler& operator=(const Resampler&) = delete;

    // Appends to out what the input so far gives; some stays inside until finish().
    Result<> push(std::span<const std::int16_t> in, std::vector<std::int16_t>& out);
    // Appends the rest; nothing may be pushed after it.
    Result<> finish(std::vector<std::int16_t>& out);

private:
    struct State;
    explicit Resampler(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace spantape
