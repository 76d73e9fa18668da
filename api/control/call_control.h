// SPDX-License-Identifier: AGPL-3.0-or-later
// The recording decisions: SIP events, stream events and API functions in; decisions for the workers, documents for the
// writer and events for subscribers out. Knows no XML, no socket and no clock: time comes with every input. Owned by
// the control thread.
#pragma once

#include <array>
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
#include <unordered_set>
#include <utility>
#include <vector>

#include "api/control/assurance.h"
#include "api/control/channels.h"
#include "api/control/explained_media.h"
#include "api/control/field_update.h"
#include "api/control/phone_addresses.h"
#include "api/control/schedule.h"
#include "api/control/state.h"
#include "api/protocol/message.h"
#include "capture/sip/events.h"
#include "capture/worker_messages.h"
#include "storage/media_writer.h"
#include "storage/past_blackout.h"
#include "storage/retention.h"
#include "storage/running_blackouts.h"

namespace spantape {

// Where decisions go. Implemented by the wiring; by a recorder of calls in tests.
class ControlOutputs {
public:
    virtual ~ControlOutputs() = default;
    virtual void decide(const Decision& decision) = 0;                 // to every worker
    virtual void put(PutRecording&& command) = 0;                      // to the writer
    virtual void flush(std::uint64_t token) = 0;                       // to the writer: FlushAll
    virtual void command_writer(WriterCommand&& command) = 0;          // to the writer: blackouts
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
    bool record_unsignalled = true;  // media of known phones that neither SIP nor the API explains
    bool record_unanswered = true;   // keep early media of calls that were never answered
    TimeNs media_timeout_ns = 60 * kNsPerSecond;
    std::string recording_path = "/var/lib/spantape";
    std::size_t workers = 1;
    TimeNs blackout_limit_ns = 600 * kNsPerSecond;  // a blackout without a stop ends then; 0: never
    TimeNs hold_back_ns = 0;                        // the writer's: what is younger is not on disk at a flush
    bool mask_dtmf = false;                         // the writer's: it must know what payload types mean
    // Devices learned from calls alone and in none now: the oldest are forgotten when there are more.
    std::size_t idle_devices = 20'000;
};

// How a function that names a device is addressed, in full length. Empty = not given.
struct DeviceAddress {
    std::string device_id, device_alias, sys_user, crm_user, station;
    std::optional<std::string> instance;  // CALLINSTANCE
    [[nodiscard]] bool empty() const {
        return device_id.empty() && device_alias.empty() && sys_user.empty() && crm_user.empty() && station.empty();
    }
    bool operator==(const DeviceAddress&) const = default;
    // Cut to what a recording's fields hold, to be compared with them.
    [[nodiscard]] DeviceAddress as_stored() const;
};

enum class CallOutcome : std::uint8_t {
    ok,
    device_invalid,  // nothing known under that alias, user or station
    not_in_call,
    no_free_channels,  // the call is known, but not recorded
    out_of_space,      // likewise, since the disk is full
    no_schedule,       // likewise: no rule of the schedule wants it
    blocked,           // likewise: a rule forbids it
    agent_not_found,   // blackouts: nothing known of that user
    no_blackout,       // BLACKOUTSTOP: none runs
    nothing_active,    // stop functions: nothing to stop (is API_OK)
};

class Directory;
struct User;

inline constexpr std::string_view kEndOfCapture = "end_of_capture";  // of files that are read to their end

// What was decided on a call, and what came of it.
struct ExplainedCall {
    Recording fields;  // as the schedule saw them
    TimeNs at_ns = 0;
    ScheduleDecision decision;
    std::vector<std::string> outcomes;
};

class CallControl {
public:
    // directory: who is on which device; nullptr: nobody is known.
    CallControl(ControlOptions options, ControlOutputs& outputs, TimeNs now_ns, const Directory* directory = nullptr);
    ~CallControl();

    // --- what happens on the wire and in the other threads
    void on_sip(const SipEvent& event);
    void on_worker(const WorkerEvent& event);
    void on_writer(const WriterEvent& event);
    // The clock is at now_ns: as a worker's tick says, too. Then write_due_document() for as long as it says that there
    // are more: a piece each, for a thread that has decisions to make meanwhile.
    void advance(TimeNs now_ns);
    bool write_due_document();
    // Ends every call (kEndOfCapture, "shutdown"); idle() tells when all recordings are durable.
    void end_all(TimeNs now_ns, const std::string& reason);
    [[nodiscard]] bool idle() const;

    // --- the API's call functions (manual: Call Handling Functions)
    CallOutcome call_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome call_stop(const DeviceAddress& who, TimeNs now_ns);
    CallOutcome call_update(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome record_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    CallOutcome record_stop(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns);
    // token: BlackoutReady with it tells that the past part can be redacted; 0: all of it is to come.
    struct BlackoutStarted {
        CallOutcome outcome = CallOutcome::ok;
        std::uint64_t token = 0;
    };
    BlackoutStarted blackout_start(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns);
    CallOutcome blackout_stop(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns);
    // Of all calls of an agent, those that begin until the stop too; a token for each call whose past part is to be
    // redacted.
    struct AgentBlackoutStarted {
        CallOutcome outcome = CallOutcome::ok;
        std::vector<std::uint64_t> tokens;
        std::optional<PastBlackout> past;  // with an offset into the past: what it is of calls that are over
    };
    AgentBlackoutStarted agent_blackout_start(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns);
    // A recording that it reaches is complete, but not in the index yet.
    [[nodiscard]] bool completing(const PastBlackout& blackout) const;
    CallOutcome agent_blackout_stop(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns);
    // Those that wait for their stop, or whose stop lies in the future.
    [[nodiscard]] std::vector<RunningBlackout> running_blackouts() const;
    // At the start: those that ran at the last end go on. One of a call covers what goes on on its device: calls whose
    // beginning is not seen; until BLACKOUTSTOP or the limit.
    void resume_blackouts(const std::vector<RunningBlackout>& blackouts, TimeNs now_ns);
    // What lies in the past of a session's blackout is to be taken off the disk: from the command on until that is
    // done. One that failed stays pending.
    [[nodiscard]] bool redaction_pending(std::uint64_t session) const { return redacting_.contains(session); }
    void redaction_over(std::uint64_t session);
    // So many frames of the session were taken off the disk.
    void redacted(std::uint64_t session, std::uint64_t frames);
    // A recording still being made: updates it and says true; false: it is not (look in the index).
    // also: done to the document of one that is complete, but not in the index yet.
    bool update_active(std::uint64_t ident, const FieldUpdate& fields,
                       const std::function<void(Recording&)>& also = {});
    // The newest recording of the device among those that are not yet complete in the index.
    [[nodiscard]] std::optional<std::uint64_t> last_recording_on(const std::string& device_id) const;

    // The newest of the latest calls that is wanted; nullptr: none of them. Valid until the next input.
    [[nodiscard]] const ExplainedCall* explained(const std::function<bool(const ExplainedCall&)>& wanted) const;
    // What the schedule as it is now says of such a call: Schedule::explain().
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> explain(const Recording& fields, TimeNs at_ns);

    // How much room the disk has: decides which recordings still begin.
    void set_space(Space space) { space_ = space; }
    // The media session still runs: streams of it may still be written.
    [[nodiscard]] bool session_active(std::uint64_t session) const { return sessions_.contains(session); }

    // --- what status functions read
    [[nodiscard]] const std::map<std::string, Device>& devices() const { return devices_; }
    [[nodiscard]] const Device* find_device(const DeviceAddress& who) const;
    // All devices that fit every part that is given.
    [[nodiscard]] std::vector<const Device*> matching_devices(const DeviceAddress& who) const;
    // The recording of the device's call that is over while the call goes on; nullopt: it has none.
    [[nodiscard]] std::optional<std::uint64_t> recording_over(const DeviceAddress& who) const;
    // The DEVICEID that is meant, of a device seen or known to the directory; "" when there is none.
    [[nodiscard]] std::string device_id_of(const DeviceAddress& who) const;
    [[nodiscard]] const Channels& channels() const { return channels_; }
    // The document of a recording that is being made, as of now.
    [[nodiscard]] std::optional<Recording> active_recording(std::uint64_t ident) const;
    [[nodiscard]] const Assurance& assurance() const { return assurance_; }
    [[nodiscard]] const ControlOptions& options() const { return options_; }
    [[nodiscard]] std::size_t active_calls() const { return active_calls_; }

private:
    using CallPtr = std::shared_ptr<Call>;

    // sip_calls.cc
    void sip_started(const SipCallStarted& started, TimeNs now_ns);
    void sip_media(const SipCallMedia& media, TimeNs now_ns);
    void sip_answered(const SipCallAnswered& answered, TimeNs now_ns);
    void forget_sip_call(std::uint64_t sip_call);
    void sip_ended(const SipCallEnded& ended, TimeNs now_ns);
    void sip_registered(const SipRegistered& registered);
    enum class Leg : std::uint8_t { own, nearer, farther };
    [[nodiscard]] Leg leg_of(const Call& known, const SipCallStarted& started, CallParty device_party,
                             TimeNs now_ns) const;
    CallPtr joined_call(Device& on, const SipCallStarted& started, CallParty device_party, TimeNs now_ns, Leg wanted);
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

    // media_calls.cc
    void stream_unclaimed(const WorkerEvent& event);
    [[nodiscard]] std::string phone_at(const IpAddress& address) const;
    void join(Call& call, const std::shared_ptr<Session>& session, CallParty device_party);
    void found_by_media(Call& call, const FlowKey& flow, CallParty device_party);
    void signalled(const Session* session, const Endpoint& endpoint);
    void forget_by_media(const Session& session);

    // decisions.cc
    void refresh_schedule();
    [[nodiscard]] ScheduleFacts facts_of(const Recording& fields, TimeNs at_ns) const;
    void ask_schedule(Call& call);
    ScheduleDecision schedule_decision(const Recording& fields, TimeNs at_ns,
                                       const std::vector<std::string>& sampled_out = {});
    void take_decision(Call& call, const ScheduleDecision& decision);
    void note_outcome(const Call& call, std::string outcome);
    void assure(const Call& call);
    void want_media(Session& session, TimeNs from_ns);
    void drop_media(Call& call);
    [[nodiscard]] CallOutcome not_recorded(const Call& call) const;

    // recordings.cc
    // update: what the recording alone is told, by RECORDSTART.
    ActiveRecording* start_recording(Call& call, TimeNs now_ns, bool partial, const FieldUpdate& update = {});
    void stop_recording(Call& call, ActiveRecording& recording, TimeNs now_ns);
    void end_with_its_media(ActiveRecording& recording) const;
    void complete(Call& call, ActiveRecording& recording, bool final);
    void send_late_flushes();
    void stop_all_of(Call& call, TimeNs now_ns);
    void finish_call(Call& call, TimeNs now_ns);
    void end_call(Call& call, TimeNs now_ns, const std::string& reason, bool linger);
    void write_documents(Call& call);
    std::uint32_t take_channel(const Call& wanted_by, TimeNs now_ns);
    std::uint32_t channel_without_media(TimeNs now_ns);
    bool pre_empt(const Call& wanted_by, TimeNs now_ns);
    // MAXRECORDTIME and MAXRECORDSILENCE, of the recording or of the one that the call will have.
    static void set_limits(const FieldUpdate& update, auto& of) {
        constexpr std::int32_t kNone = 0;  // and below
        if (update.max_record_time_s) of.max_duration_ns = std::max(kNone, *update.max_record_time_s) * kNsPerSecond;
        if (update.max_record_silence_s)
            of.max_silence_ns = std::max(kNone, *update.max_record_silence_s) * kNsPerSecond;
    }
    void watch_silence(Session& session);
    void session_silent(const SessionSilent& silent);
    void set_recording_fields(const FieldUpdate& update, ActiveRecording& recording);
    void give_way(Call& call, ActiveRecording& recording, TimeNs now_ns);
    [[nodiscard]] bool name_in_use(const Recording& recording, const std::string& name) const;
    void stored(std::uint64_t ident);
    [[nodiscard]] std::string filename_for(const Recording& recording);

    // blackout.cc
    struct Addressed {
        bool device = false;  // something is known by that address
        CallPtr call;
    };
    [[nodiscard]] Addressed addressed_call(const DeviceAddress& who) const;
    [[nodiscard]] Addressed named_call(const DeviceAddress& who, bool by_label) const;
    [[nodiscard]] static TimeNs behind_repeats(const Session& session, TimeNs to_ns);
    std::uint64_t impose(Session& session, const CallBlackouts::Window& window);
    void impose_all(Call& call);
    void end_window(Session& session, const CallBlackouts::Window& window);
    void end_blackouts(Call& call);
    [[nodiscard]] static CallOutcome unknown(const DeviceAddress& who);

    // agent_blackout.cc
    struct AgentBlackout {
        DeviceAddress who;       // as it was addressed
        std::int32_t agent = 0;  // of the directory; 0: not in it
        BlackoutWindow window;   // while it is open, its limit's end
        bool open = false;       // its stop has not come
        bool of_call = false;    // resumed: of a call that was on device who.device_id
        // Numbers of calls: what it began it ends, whoever has them then.
        std::unordered_set<std::uint64_t> covered = {};
    };
    [[nodiscard]] static CallBlackouts& windows_of(Call& call, const AgentBlackout& blackout) {
        return blackout.of_call ? call.blackouts : call.agent_blackouts;
    }
    bool stop_resumed(const std::string& device_id, TimeNs edge_ns);
    [[nodiscard]] AgentBlackout agent_blackout_of(const DeviceAddress& who) const;
    [[nodiscard]] bool concerns(const AgentBlackout& blackout, const Call& call) const;
    std::vector<AgentBlackout>::iterator running(const AgentBlackout& like);
    std::uint64_t cover(const CallPtr& call, AgentBlackout& blackout);
    std::uint64_t cover_ended(const Call& call, const AgentBlackout& blackout);
    [[nodiscard]] static PastBlackout past_of(const AgentBlackout& blackout, BlackoutWindow window);
    void cover_by_agents(const CallPtr& call);
    void end_agent_blackout(AgentBlackout& blackout, TimeNs edge_ns);
    void advance_agent_blackouts();
    void advance_blackouts();
    void update_pause(Session& session);
    void show_pause(const Call& call, const ActiveRecording& recording, bool paused);
    [[nodiscard]] bool dark_now(const Session& session) const;

    // agents.cc
    void set_fields(const FieldUpdate& update, Recording& fields) const;
    void name_agent(const FieldUpdate& update, Recording& fields) const;
    void name_agent(const Device& on, Recording& fields) const;
    [[nodiscard]] bool names_device(const DeviceAddress& who) const { return !device_id_of(who).empty(); }
    [[nodiscard]] std::string directory_device(const DeviceAddress& who) const;

    // names.cc
    [[nodiscard]] Call* call_on(const Device& on, const DeviceAddress& who) const;
    Device* resolve(const DeviceAddress& who, bool create);
    void name_device(Device& named, const DeviceAddress& who);
    static void name_call(Call& call, const DeviceAddress& who, const FieldUpdate& fields);
    [[nodiscard]] bool is_labelled(const Call& call, const std::string& field, const std::string& wanted,
                                   const std::string User::* of_user) const;
    [[nodiscard]] bool is_overruled(const Device& device, const std::string& name,
                                    const std::string User::* of_user) const;
    void forget_overruled(Device& device) const;
    [[nodiscard]] static bool is_of_another(const Call& call, const DeviceAddress& who);
    [[nodiscard]] bool is_named(const Device& device, const Call* call, const DeviceAddress& who, bool by_label) const;

    // call_control.cc
    CallOutcome reconsider(Call& call, TimeNs now_ns);
    CallOutcome begin_call(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns, TimeNs media_from_ns);
    CallOutcome record_new_call(const DeviceAddress& who, Device& on, const FieldUpdate& fields, TimeNs now_ns);
    Device& device(const std::string& id);
    void note_idle(const Call& call);
    void sweep();
    void check_limits(Call& call);
    void end_without_media(Call& call);
    [[nodiscard]] Recording fields_on(const Device& on) const;
    CallPtr new_call(Device& on, TimeNs now_ns, bool from_beginning = false);
    void forget_ended_calls(Device& on);
    void watch_device(Call& call, const Device& on, TimeNs from_ns);
    void publish(const char* type, const Call& call, const Recording* recording);

    ControlOptions options_;
    ControlOutputs& outputs_;
    const Directory* directory_;
    std::vector<std::regex> device_match_;
    Schedule schedule_;
    std::uint64_t schedule_version_ = 0;                          // of the directory's rules
    std::unordered_map<std::uint64_t, ExplainedCall> explained_;  // by call number
    std::deque<std::uint64_t> explained_order_;                   // oldest first
    Assurance assurance_;
    Channels channels_;
    std::map<std::string, Device> devices_;
    // DEVICEALIAS, SYS_USER, CRM_USER and STATIONNAME, each -> the device that it was given to last.
    std::array<std::unordered_map<std::string, std::string>, 4> named_;
    // Devices without calls, with the number of the call that ended last; some of them in calls again, or kept.
    std::deque<std::pair<std::string, std::uint64_t>> idle_devices_;
    std::unordered_map<std::string, std::vector<IpAddress>> registered_;  // user -> addresses, newest last
    PhoneAddresses phones_;
    ExplainedMedia explained_media_;
    std::unordered_map<Endpoint, std::shared_ptr<Session>, EndpointHash> by_media_at_;  // Session::found_at
    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sessions_;              // by id
    std::unordered_map<std::uint64_t, std::vector<CallPtr>> sip_calls_;                 // by SipCallStarted::call
    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sip_sessions_;
    std::unordered_map<std::uint64_t, CallPtr> open_calls_;  // active, or with recordings not yet durable; by number
    // Recordings that run: the first gives way to those of higher priority.
    struct PriorityKey {
        std::int32_t priority = 0;
        std::uint64_t ident = 0;
        static PriorityKey of(const Recording& fields) { return {fields.priority, fields.ident}; }
        bool operator==(const PriorityKey&) const = default;
        bool operator<(const PriorityKey& other) const {
            return priority != other.priority ? priority < other.priority : ident > other.ident;
        }
    };
    std::map<PriorityKey, CallPtr> by_priority_;
    std::unordered_set<std::uint64_t> channel_given_;          // stopped recordings that hold no channel any more
    std::map<std::uint64_t, CallPtr> without_media_;           // recordings that run and have no stream yet; by ident
    std::unordered_map<std::uint64_t, Recording> completing_;  // stopped, waiting to be durable; by ident
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> flush_tokens_;  // token -> idents
    std::vector<CallPtr> documents_wanted_;                                       // since the last tick
    std::deque<CallPtr> documents_due_;                                           // to be written now
    std::vector<CallPtr> finishing_;                                              // whose finish_at_ns is to come
    std::vector<AgentBlackout> agent_blackouts_;
    std::map<std::uint64_t, CallPtr> blacked_out_calls_;  // that have an edge to come; by number
    struct LateFlush {                                    // once nothing of it is held back
        TimeNs at_ns = 0;
        std::uint64_t token = 0, session = 0;
    };
    std::vector<LateFlush> late_flushes_;
    std::uint64_t next_flush_token_ = 1'000'000;
    std::uint64_t next_blackout_ = 1;
    std::uint64_t next_blackout_token_ = 1;
    std::unordered_map<std::uint64_t, unsigned> redacting_;  // sessions, and how many windows of each
    std::uint64_t next_call_ = 1;
    std::size_t active_calls_ = 0;
    Space space_ = Space::enough;
    TimeNs now_ns_ = 0;
    std::vector<TimeNs> reached_ns_;  // by worker: all that was captured before, it has seen
    TimeNs last_sweep_ns_ = 0;
    std::size_t sweep_hand_ = 0;  // a bucket of open_calls_
    TimeNs cause_ns_ = 0;         // while a SIP event is worked on: its time
    // Names given out for recordings that start in one second: the next number for each.
    TimeNs names_second_ = 0;
    std::unordered_map<std::string, int> next_name_;
};

}  // namespace spantape
