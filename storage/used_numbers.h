// SPDX-License-Identifier: AGPL-3.0-or-later
// The highest numbers of each series that a store's records bear, against those that its index would give out next.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/recording.h"
#include "storage/segment/format.h"

namespace spantape {

struct UsedNumbers {
    std::uint64_t ident = 0, global_call = 0, session = 0, boot = 0;

    void take(const ChunkHeader& chunk) {
        take_stream(chunk.stream_id);
        take_session(chunk.record.session_id);
    }
    void take_stream(std::uint64_t stream_id) { boot = std::max(boot, stream_id >> kBootShift); }
    void take(const Recording& recording) {
        if (recording.ident < kAbsurd) ident = std::max(ident, recording.ident);
        take_session(recording.session_id);
        for (const RecordedStream& stream : recording.streams) take_stream(stream.stream_id);
        // Core id, then the number; calls that the API named otherwise are none of the series.
        const std::string_view call = recording.global_call_id;
        if (call.size() <= kCoreDigits) return;
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(call.data() + kCoreDigits, call.data() + call.size(), number);
        const bool ours = error == std::errc{} && end == call.data() + call.size() && number < kAbsurd;
        if (ours) global_call = std::max(global_call, number);
    }

    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> series() const {
        return {{"ident", ident}, {"global_call", global_call}, {"session", session}, {"boot", boot}};
    }
    // What `index` gives out from now on is beyond them.
    Result<> raise(Index& index) const {
        for (const auto& [name, highest] : series()) {
            if (highest == 0) continue;
            if (auto raised = index.raise_numbers(name, highest + 1); !raised) return raised;
        }
        return {};
    }

private:
    static constexpr int kBootShift = 40;  // stream id = boot << 40 | worker << 32 | number
    static constexpr std::size_t kCoreDigits = 4;
    // A number that no appliance reaches: of a forged document; it would use up the series.
    static constexpr std::uint64_t kAbsurd = std::uint64_t{1} << 62;

    void take_session(std::uint64_t id) {
        if (id < kAbsurd) session = std::max(session, id);
    }
};

}  // namespace spantape
