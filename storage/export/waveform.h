// SPDX-License-Identifier: AGPL-3.0-or-later
// What a recording looks like: for each of some columns, how loud each side was, and what is missing there.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/recording.h"
#include "storage/segment/reader.h"

namespace spantape {

struct Waveform {
    struct Column {
        std::int16_t low = 0, high = 0;  // of the samples
        std::uint32_t lost = 0;          // packets that are missing before one that came in it
        bool heard = false;              // some packet came: else a hold, or nothing was sent
    };
    double seconds = 0;
    std::array<std::vector<Column>, 2> sides;  // by Side: the device's, the far one's
    // Of the recording, in seconds from its beginning.
    struct Blackout {
        double from_s = 0, to_s = 0;
    };
    std::vector<Blackout> blackouts;
};

// Up to now_ns while it goes on. Reads and decodes all of it: for a thread that may take its time.
Result<Waveform> waveform_of(const Index& index, const SegmentStore& segments, const Recording& recording,
                             std::size_t columns, TimeNs now_ns);

// {"seconds":…,"device":[[low,high],…],"far":…,"lost":{"device":[[column,packets],…],"far":…},
//  "silent":{"device":[[from,to],…],"far":…} in columns, "blackouts":[[from,to],…] in seconds}
[[nodiscard]] std::string waveform_json(const Waveform& waveform);

// A picture, a pixel a column: the device's side above, the far one below. Blackouts are dark, where nothing was sent
// is grey, lost packets are red marks at the edge.
Result<std::string> waveform_png(const Waveform& waveform, std::size_t height);

}  // namespace spantape
