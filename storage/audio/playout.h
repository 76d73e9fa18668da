// SPDX-License-Identifier: AGPL-3.0-or-later
// Stored frames -> samples: decoding by payload type, order, loss filled, placed by the capture clock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/recording.h"
#include "storage/segment/reader.h"

namespace spantape {

struct AudioFormat {
    std::uint32_t sample_rate_hz = 8000;
    std::uint16_t channels = 2;  // left: the device's side, right: the far side
};

// Renders a recording as interleaved 16-bit samples from its start to its stop (or `now` while it goes on), exactly
// round(duration * rate) frames, in blocks of about a second, with memory that does not grow with its length.
class RecordingAudio {
public:
    // Reads through index and segments; both must outlive it.
    static Result<std::unique_ptr<RecordingAudio>> open(const Index& index, const SegmentStore& segments,
                                                        const Recording& recording, TimeNs now_ns);
    virtual ~RecordingAudio() = default;
    [[nodiscard]] virtual AudioFormat format() const = 0;
    [[nodiscard]] virtual std::uint64_t total_frames() const = 0;  // samples per channel
    // The next samples, interleaved; empty at the end. A damaged chunk is rendered as silence and counted.
    virtual Result<std::vector<std::int16_t>> next() = 0;
    [[nodiscard]] virtual std::uint64_t damaged_chunks() const = 0;
};

}  // namespace spantape
