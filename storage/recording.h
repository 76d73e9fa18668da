// SPDX-License-Identifier: AGPL-3.0-or-later
// A recording: the fields of one recorded call (the Recording table of the manual, UNIQUEFIELD) and the streams that
// hold its media. A value type; written as one JSON document to the segments and to the index.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "capture/rtp/frame.h"
#include "capture/rtp/stream_handle.h"
#include "capture/rtp/stream_quality.h"
#include "capture/sip/events.h"
#include "storage/blackout_windows.h"

namespace spantape {

enum class Side : std::uint8_t { device, far };  // left and right channel of an export

// One stream's part in a recording. The media itself is found by stream_id; recordings may share streams.
struct RecordedStream {
    std::uint64_t stream_id = 0;
    FlowKey flow;
    Side side = Side::device;
    bool relay_copy = false;  // the same media seen on another leg; kept, but not mixed a second time
    StreamEncryption encryption = StreamEncryption::none;
    std::vector<PayloadMapping> payloads;  // what each payload type meant in this call
    TimeNs start_ns = 0;                   // arrival of its first stored frame
    TimeNs duration_ns = 0;                // extent of its audio in RTP time
    StreamCounters counters;               // within the stream as a whole
    StreamQuality quality;                 // likewise
    // What its integrity rests on (integrity.h): how many chunks of it there were when the recording ended, and the
    // SHA-256 chained over their seals, in hexadecimal; "" when the recording was not ended by a writer.
    std::uint32_t chunks = 0;
    std::string seal;
};

enum class RecordingState : std::uint8_t {
    recording,    // going on (or, found so at start: the appliance was killed meanwhile)
    stored,       // complete and durable
    interrupted,  // ended by a crash or kill; what was durable is there
};

struct Recording {
    std::uint64_t ident = 0;     // RECORDID; rising, never reused
    std::string global_call_id;  // core id, 4 digits, then 10 digits
    std::uint32_t core_id = 1;
    std::uint64_t session_id = 0;  // media session its streams were bound to
    RecordingState state = RecordingState::recording;
    std::string ended_by;  // "bye", "cancelled", "failed", "media_timeout", "api", "end_of_capture", "crash", ...
    TimeNs start_ns = 0;   // capture clock
    TimeNs stop_ns = 0;    // 0 while recording

    // Fields by the manual's names; strings, UTF-8.
    std::string device_id, device_alias, sys_user, crm_user, station;
    std::string group, gate, ani, dnis, call_id, call_instance;
    std::array<std::string, 15> user;
    std::string direction = "?";  // I, O or ?
    std::string filename;
    std::int64_t agent_id = 0;
    std::int32_t priority = 0;
    std::int32_t keep_days = -1;       // -1: as configured; 0: for ever
    std::int64_t archive_action = -1;  // -1: as configured; 0: none
    std::uint32_t channel = 0;
    bool agent_initiated = false, cti_initiated = false;
    std::string schedule_rule;  // name of the rule of the schedule that wanted it; "": none did, or there were none
    bool locked = false;        // legal hold: never purged
    std::string lock_reason;

    std::vector<RecordedStream> streams;
    std::vector<BlackoutWindow> blackouts;  // within it, in order, apart; a running one ends at INT64_MAX
    std::uint64_t redacted = 0;             // frames of its streams that were stored and taken off the disk again
    std::uint64_t dropped_kernel = 0;       // by its sources, of all packets, while it ran

    // 0 while recording. Saturates, so that a document with absurd times cannot overflow it.
    [[nodiscard]] TimeNs duration_ns() const {
        TimeNs duration = 0;
        if (stop_ns <= start_ns) return 0;
        return __builtin_sub_overflow(stop_ns, start_ns, &duration) ? INT64_MAX : duration;
    }
};

// One JSON object, one line; from_json names the member that was wrong. Unknown members are ignored (newer writers).
// Text from the network may be no UTF-8; it is written as valid_utf8() makes it, so that every document reads back.
[[nodiscard]] std::string to_json(const Recording& recording);
Result<Recording> recording_from_json(std::string_view json);

// Value of a column of the manual's Recording table by its UNIQUEFIELD name, in any letter case ("ident", "user2",
// "sgroup", "device_id", "calldirection", ...); recording_time as UNIX seconds, duration in whole seconds.
// nullopt-like: has = false when there is no such column here.
struct ColumnValue {
    bool known = false;
    std::string value;
};
[[nodiscard]] ColumnValue column(const Recording& recording, std::string_view name);
// All column names, lower case, in the manual's order; then those that only the API's parameters name (sys_user, ...).
[[nodiscard]] const std::vector<std::string_view>& column_names();
// The name in column_names() that `name` means, in any letter case and with the other spellings of the manual resolved
// ("GROUP" -> "sgroup", "recordid" -> "ident"); empty when there is no such column.
[[nodiscard]] std::string_view canonical_column(std::string_view name);

// `text` with every byte that is not part of valid UTF-8 (RFC 3629) replaced by U+FFFD.
[[nodiscard]] std::string valid_utf8(std::string_view text);

// The public form that `spantape record|calls --json` print for one recording (design.md §5): ident, the columns,
// recording_time, duration, state, ledger, streams.
[[nodiscard]] std::string to_public_json(const Recording& recording);

}  // namespace spantape
