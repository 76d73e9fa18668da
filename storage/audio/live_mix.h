// SPDX-License-Identifier: AGPL-3.0-or-later
// A running call as one hears it now: frames of its streams, as they come, to samples of both sides a fixed time later.
// Order, loss, clocks and codecs are treated as in a telephone: what is later than kDelayNs is lost. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "storage/audio/decoder.h"
#include "storage/audio/resampler.h"
#include "storage/recording.h"
#include "storage/segment/reader.h"

namespace spantape {

class LiveMix {
public:
    static constexpr TimeNs kDelayNs = 100 * kNsPerMs;  // a jitter buffer's
    static constexpr TimeNs kTickNs = 20 * kNsPerMs;
    static constexpr std::size_t kChannels = 2;  // left: the device's side

    // rate_hz: of the samples. start_ns: the capture clock now.
    LiveMix(std::uint32_t rate_hz, TimeNs start_ns) : rate_hz_(rate_hz), start_ns_(start_ns) {}

    void push(std::uint64_t stream_id, Side side, const PayloadFormat& format, const StoredFrame& frame);
    // The ticks that are due, interleaved. Every tick gives kTickNs of samples, silence where nothing came.
    Result<std::vector<std::int16_t>> render(TimeNs now_ns);

private:
    struct Waiting {
        PayloadFormat format;
        std::uint32_t timestamp = 0;
        TimeNs media_ns = 0;  // when it would have come without delay
        std::size_t samples = 0;
        std::vector<std::uint8_t> payload;
    };
    struct Stream {
        Side side = Side::device;
        std::map<std::int64_t, Waiting> waiting;  // by extended sequence number
        std::int64_t newest = 0;
        std::int64_t played = -1;  // number of the frame decoded last,
        TimeNs ended_ns = 0;       // and where it ends
        bool started = false;
        std::uint32_t anchor_timestamp = 0;  // this came, or should have,
        TimeNs anchor_ns = 0;                // at this time
        std::unique_ptr<Decoder> decoder;
        PayloadFormat format;
        std::deque<std::int16_t> samples;  // decoded, from the next tick on
    };
    struct Bus {  // streams of one rate and side
        std::unique_ptr<Resampler> resampler;
        std::vector<std::int32_t> sum;
        std::vector<std::int16_t> out;
    };

    void place(Stream& stream, Waiting& frame, TimeNs arrival_ns) const;
    static void conceal(Stream& stream, TimeNs tick_ns);
    static void play(Stream& stream, std::int64_t number, const Waiting& frame, TimeNs tick_ns);
    Result<> tick(TimeNs tick_ns, std::vector<std::int16_t>& out);
    Result<Bus*> bus(Side side, std::uint32_t rate_hz);

    std::uint32_t rate_hz_;
    TimeNs start_ns_;
    std::int64_t ticks_ = 0;  // given out
    std::unordered_map<std::uint64_t, Stream> streams_;
    std::map<std::pair<Side, std::uint32_t>, Bus> buses_;
};

}  // namespace spantape
