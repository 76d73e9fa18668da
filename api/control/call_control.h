// SPDX-License-Identifier: AGPL-3.0-or-later
// The recording decisions: SIP events, stream events and API functions in; decisions for the workers, documents for the
// writer and events for subscribers out. Knows no XML, no socket and no clock: time comes with every input. Owned by
// the control thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/control/channels.h"
#include "api/control/field_update.h"
#include "api/control/state.h"
#include "api/protocol/message.h"
#include "capture/sip/events.h"
#include "capture/worker_messages.h"
#include "storage/media_writer.h"

namespace spantape {

// Where decisions go. Implemented by the wiring; by a recorder of calls in tests.
class ControlOutputs {
public:
    virtual ~ControlOutputs() = default;
    virtual void decide(const Decision& decision) = 0;                 // to every worker
    virtual void put(PutRecording&& command) = 0;                      // to the writer
    virtual void flush(std::uint64_t token) = 0;                       // to the writer: FlushAll
    virtual void publish(const api::Event& event) = 0;                 // to subscribers
    virtual void forget_sip_call(std::uint64_t call) = 0;              // to signalling
    virtual std::uint64_t next_number(const std::string& series) = 0;  // "ident", "session", "global_call"
    virtual bool filename_taken(const std::string& filename) = 0;
    virtual void completed(std::uint64_t ident) = 0;  // a recording is complete, durable and indexed
    virtual std::uint64_t dropped_by_kernel() = 0;    // packets, all sources, since start
    // Worth a line: no free channel, ...; may come in floods: `kind` tells which lines are of a kind.
    virtual void log(std::string_view kind, const std::string& line) = 0;
};

struct ControlOptions {
    std::uint32_t core_id = 1;
    std::vector<std::string> device_match;  // regular expressions on SIP user parts; empty: record the called user
    std::uint32_t channels = 1000;
    bool record_unanswered = true;  // keep early media of calls that were never answered
    TimeNs media_timeout_ns = 60 * kNsPerSecond;
    std::string recording_path = "/var/lib/spantape";
    std::size_t workers = 1;
    // Devices learned from calls alone and in none now: the oldest are forgotten when there are more.
    std::size_t idle_devices = 20'000;
};

// How a function that names a device is addressed. Empty = not given.
struct DeviceAddress {
    std::string device_id, device_alias, sys_user, crm_user, station;
    std::optional<std::string> instance;  // CALLINSTANCE
    [[nodiscard]] bool empty() const {
        return device_id.empty() && device_alias.empty() && sys_user.empty() && crm_user.empty() && station.empty();
    }
};

enum class CallOutcome : std::uint8_t {
    ok,
    device_invalid,  // nothing known under that alias, user or station
    not_in_call,
    no_free_channels,  // the call is known, but not recorded
    nothing_active,    // stop functions: nothing to stop (is API_OK)
};

class CallControl {
public:
    CallControl(ControlOptions options, ControlOutputs& outputs, TimeNs now_ns);
    ~CallControl();

    // --- what happens on the wire and in the other threads
    void on_sip(const SipEvent& event);
    void on_worker(const WorkerEvent& event);
    void on_writer(const WriterEvent& event);
    void on_tick(TimeNs now_ns);
    // Ends every call ("end_of_capture", "shutdown"); idle() tells when all recordings are durable.
    void end_all(TimeNs now_ns, const std::string& reason);
    [[nodiscard]] bool idle() const;

    // --- the API's call functions (manual: Call Handling Functions)
    CallOutcome call_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome call_stop(const DeviceAddress& who, TimeNs now_ns);
    CallOutcome call_update(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome record_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome record_stop(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    // A recording still being made: updates it and says true; false: it is not (look in the index).
    bool update_active(std::uint64_t ident, const FieldUpdate& fields);
    // The newest recording of the device among those that are not yet complete in the index.
    [[nodiscard]] std::optional<std::uint64_t> last_recording_on(const std::string& device_id) const;

    // --- what status functions read
    [[nodiscard]] const std::map<std::string, Device>& devices() const { return devices_; }
    [[nodiscard]] const Device* find_device(const DeviceAddress& who) const;
    // All devices that fit every part that is given.
    [[nodiscard]] std::vector<const Device*> matching_devices(const DeviceAddress& who) const;
    [[nodiscard]] const Channels& channels() const { return channels_; }
    // The document of a recording that is being made, as of now.
    [[nodiscard]] std::optional<Recording> active_recording(std::uint64_t ident) const;
    [[nodiscard]] const ControlOptions& options() const { return options_; }
    [[nodiscard]] std::size_t active_calls() const { return active_calls_; }

private:
    using CallPtr = std::shared_ptr<Call>;

    // sip_calls.cc
    void sip_started(const SipCallStarted& started, TimeNs now_ns);
    void sip_media(const SipCallMedia& media, TimeNs now_ns);
    void sip_answered(const SipCallAnswered& answered, TimeNs now_ns);
    void sip_ended(const SipCallEnded& ended, TimeNs now_ns);
    void sip_registered(const SipRegistered& registered);
    CallPtr sip_call_on(const std::string& device_id, const SipCallStarted& started, CallParty device_party,
                        const std::shared_ptr<Session>& session, TimeNs now_ns);
    [[nodiscard]] bool is_device(const std::string& user) const;

    // media_sessions.cc
    std::shared_ptr<Session> open_session();
    void watch(Session& session, const Endpoint& endpoint, CallParty party);
    void watch(Session& session, const MediaDescription& description);
    void stream_bound(Session& session, const WorkerEvent& event);
    void stream_left(Session& session, const WorkerEvent& event);
    void session_quiet(Session& session, const WorkerEvent& event, TimeNs now_ns);
    void end_session(const std::shared_ptr<Session>& session);
    void session_ended(const std::shared_ptr<Session>& session);
    void assign_payloads(Session& session);
    [[nodiscard]] static Recording document(const Call& call, const ActiveRecording& recording);

    // recordings.cc
    ActiveRecording* start_recording(Call& call, TimeNs now_ns, bool partial);
    void stop_recording(Call& call, ActiveRecording& recording, TimeNs now_ns);
    void complete(Call& call, ActiveRecording& recording, bool final);
    void stop_all_of(Call& call, TimeNs now_ns);
    void finish_call(Call& call, TimeNs now_ns);
    void end_call(Call& call, TimeNs now_ns, const std::string& reason, bool linger);
    void write_documents(Call& call);
    void write_due_documents();
    std::uint32_t take_channel(TimeNs now_ns);
    void give_way(Call& call, ActiveRecording& recording, TimeNs now_ns);
    [[nodiscard]] bool name_in_use(const Recording& recording, const std::string& name) const;
    void stored(std::uint64_t ident);
    [[nodiscard]] std::string filename_for(const Recording& recording);

    // call_control.cc
    Device& device(const std::string& id);
    void note_idle(const Call& call);
    Device* resolve(const DeviceAddress& who, bool create);
    void check_limits(Call& call);
    CallPtr new_call(Device& on, TimeNs now_ns);
    void forget_ended_calls(Device& on);
    void watch_device(Call& call, const Device& on);
    void publish(const char* type, const Call& call, const Recording* recording);

    ControlOptions options_;
    ControlOutputs& outputs_;
    std::vector<std::regex> device_match_;
    Channels channels_;
    std::map<std::string, Device> devices_;
    // Devices without calls, with the number of the call that ended last; some of them in calls again, or kept.
    std::deque<std::pair<std::string, std::uint64_t>> idle_devices_;
    std::unordered_map<std::string, std::vector<IpAddress>> registered_;    // user -> addresses, newest last
    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sessions_;  // by id
    std::unordered_map<std::uint64_t, std::vector<CallPtr>> sip_calls_;     // by SipCallStarted::call
    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sip_sessions_;
    std::unordered_map<std::uint64_t, CallPtr> open_calls_;    // active, or with recordings not yet durable; by number
    std::map<std::uint64_t, CallPtr> without_media_;           // recordings that run and have no stream yet; by ident
    std::unordered_map<std::uint64_t, Recording> completing_;  // stopped, waiting to be durable; by ident
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> flush_tokens_;  // token -> idents
    std::vector<CallPtr> documents_due_;
    std::vector<CallPtr> finishing_;  // whose finish_at_ns is to come
    std::uint64_t next_flush_token_ = 1'000'000;
    std::uint64_t next_call_ = 1;
    std::size_t active_calls_ = 0;
    TimeNs now_ns_ = 0;
    TimeNs last_sweep_ns_ = 0;
    TimeNs cause_ns_ = 0;  // while a SIP event is worked on: its time
    // Names given out for recordings that start in one second: the next number for each.
    TimeNs names_second_ = 0;
    std::unordered_map<std::string, int> next_name_;
};

}  // namespace spantape
