// SPDX-License-Identifier: AGPL-3.0-or-later
// What the control plane knows: devices, the calls on them, the media sessions that carry the calls, and the
// recordings being made. Owned by the control thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/control/blackout.h"
#include "api/control/schedule.h"
#include "capture/sip/events.h"
#include "storage/assurance.h"
#include "storage/recording.h"

namespace spantape {

struct Call;
struct Session;

// What the API called a device or a call, in full length.
struct Names {
    std::string device_alias, sys_user, crm_user, station;
};

// A recording while it is made.
struct ActiveRecording {
    Recording fields;                  // streams are filled in when a document is written
    std::shared_ptr<Session> session;  // whose streams it holds
    bool partial = false;              // by RECORDSTART, over a call
    bool stopped = false;              // stop_ns is set; waits for its media to be durable
    TimeNs max_duration_ns = 0;        // MAXRECORDTIME; 0: none
    TimeNs max_silence_ns = 0;         // MAXRECORDSILENCE; 0: none
    std::uint64_t kernel_drops_before = 0;
};

// The media of one conversation: endpoints that signalling named, streams that were found.
struct Session {
    // What one party said last about one endpoint. Payload types and keys that it does not name again stay: frames
    // under way may still need them.
    using Offer = MediaDescription;
    struct Stream {
        std::uint64_t stream_id = 0;
        FlowKey flow;
        CallParty sender = CallParty::caller;
        bool relay_copy = false;
        std::uint8_t first_payload_type = 0;
        StreamEncryption encryption = StreamEncryption::none;
        TimeNs start_ns = 0;
        TimeNs last_ns = 0;
        StreamCounters counters;
        StreamQuality quality;
        std::uint64_t extent_units = 0;
        std::vector<PayloadMapping> payloads;
    };
    std::uint64_t id = 0;
    std::vector<Offer> offers;
    std::vector<Stream> streams;
    bool held[2] = {false, false};   // by party
    bool wanted = true;              // its media is watched for: some call of it is to be recorded
    TimeNs watched_ns = 0;           // since when
    TimeNs from_ns = 0;              // what came before is not to be stored: RECORDSTART asked for it; 0: all of it is
    std::vector<Endpoint> found_at;  // known by them alone: by no signalling
    bool ending = false;             // workers were told; their answers are awaited
    std::size_t answers_missing = 0;
    std::map<std::uint16_t, TimeNs> quiet_since_report;  // worker that carries its media -> when it last said "quiet"
    TimeNs last_media_ns = 0;                            // as far as reported
    std::map<std::uint64_t, BlackoutWindow> blackouts;   // of all its calls, by number; to_ns INT64_MAX: no stop yet
    bool paused = false;                                 // it is in one of them, as far as was told
    bool silence_watched = false;                        // the writer keeps something for it
    std::uint64_t redacted = 0;                          // frames taken out of it on disk
    std::vector<std::shared_ptr<Call>> calls;  // one, or two between two devices; let go when the session is over
};

// One instance on a device.
struct Call : std::enable_shared_from_this<Call> {
    std::uint64_t number = 0;
    Recording fields;  // device, agent and user fields, as the next recording will carry them
    TimeNs start_ns = 0;
    TimeNs answer_ns = 0;              // 0: not answered (yet)
    TimeNs stop_ns = 0;                // 0: going on
    TimeNs finish_at_ns = 0;           // recordings go on until then, for media behind the BYE
    IpAddress sip_caller, sip_callee;  // between which hosts its INVITE went
    std::uint64_t sip_call = 0;        // 0: known through the API alone
    bool documents_due = false;        // those of its recordings are to be written again
    ScheduleDecision schedule;         // what was said of it
    std::optional<Shortfall> refused;  // why it was not recorded, though wanted
    bool recorded = false;             // some of it is, or was
    bool wanted = true;                // it is to be recorded: by the schedule, or since RECORDSTART asked
    bool from_beginning = false;       // its first INVITE was seen
    bool api_named = false;            // the API gave its CALLINSTANCE or started it
    Names named;                       // by the API; holds as long as `fields` begin so
    bool by_media = false;             // its media is all that is known of it
    TimeNs max_duration_ns = 0, max_silence_ns = 0;  // as CALLSTART said, for its recording
    CallParty device_party = CallParty::callee;
    std::string ended_by;
    std::shared_ptr<Session> session;
    std::vector<std::unique_ptr<ActiveRecording>> recordings;
    CallBlackouts blackouts;
    CallBlackouts agent_blackouts;  // of its agent, who may have other calls

    [[nodiscard]] bool active() const { return stop_ns == 0; }
    [[nodiscard]] const ActiveRecording* recording_now() const {
        for (const auto& recording : recordings)
            if (!recording->stopped) return recording.get();
        return nullptr;
    }
};

struct Device {
    std::string id, alias, sys_user, crm_user, station;
    Names named;                               // the same, whole; a name is of the device that it was last given to
    std::uint64_t named_at = 0;                // Directory::phones_version() then
    std::uint64_t last_ended = 0;              // number of the call on it that ended last
    bool kept = false;                         // the API named it, or it registered: never forgotten
    std::vector<IpAddress> addresses;          // its own, newest last; learned from REGISTER and from calls
    std::vector<std::shared_ptr<Call>> calls;  // active ones and the last that ended; oldest first

    // The last active call, or with `instance` that one; nullptr when there is none.
    [[nodiscard]] Call* active_call(const std::string* instance = nullptr) const;
    // The most recently active call, ended or not.
    [[nodiscard]] Call* latest_call() const;
};

}  // namespace spantape
