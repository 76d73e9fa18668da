// SPDX-License-Identifier: AGPL-3.0-or-later
// The functions of the manual behind RequestHandler, by function_table.h; what is not built yet answers
// API_COMMAND_NOT_SUPPORTED. Lives on the control thread; searches and audio run on the pool and come back.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/control/call_control.h"
#include "api/functions/access.h"
#include "api/functions/audit.h"
#include "api/functions/blackout_keeper.h"
#include "api/functions/directory_functions.h"
#include "api/functions/directory_service.h"
#include "api/functions/exports.h"
#include "api/functions/function_table.h"
#include "api/functions/mail_job.h"
#include "api/protocol/message.h"
#include "storage/index/index.h"
#include "storage/past_blackout.h"
#include "storage/purge.h"
#include "storage/redaction.h"
#include "storage/segment/reader.h"

namespace spantape::api {

struct FunctionContext {
    CallControl& control;
    ControlOutputs& outputs;
    Index& index;
    SegmentStore segments;
    boost::asio::io_context& control_thread;
    boost::asio::thread_pool& pool;
    std::function<TimeNs()> now;                          // capture clock
    std::function<std::vector<Element>()> status;         // counters of all threads, for APPLIANCESTATUS
    std::function<std::vector<Element>()> problems = {};  // a PROBLEM for each that there is, for SYSTEMSTATUS
    std::function<TimeNs()> storing_fails_since = {};     // nothing of what is recorded gets to the disk; 0: it does
    // Takes what lies on disk of a window off it; durable when it returns. On the pool.
    std::function<Result<RedactionSummary>(const RedactionWindow&)> redact;
    // What lies on disk of calls that are over, and in copies of them. On the pool; both or none are empty.
    std::function<Result<ReachedBack>(const PastBlackout&)> reach_back = {};
    std::function<Result<SilencedCopies>(const PastBlackout&, const std::vector<std::uint64_t>&)> silence_copies = {};
    AuditSink audit;  // may be empty
    // Called on the pool, never twice at once for one recording; may be empty.
    std::function<Result<PurgeSummary>(const std::vector<std::uint64_t>&, const PurgeWish&)> purge;
    DirectoryService& directory;
    bool users_dialect = false;  // api.dialect "5.x-users"
    MailSink mail = {};          // empty: no mail server
    AccessOptions access = {};
    bool agent_blackout = true;        // api.agent_blackout
    VoxCoding vox = VoxCoding::adpcm;  // export.vox
    std::string blackouts_file = {};   // where those that run are kept; "": they end with the daemon
};

class Functions : public RequestHandler {
public:
    explicit Functions(FunctionContext context);

    void handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) override;
    void admit_to_pages(const Client& client, std::function<void(Reply&&)> done) override;
    // A document given to the writer outside of CallControl is durable and indexed.
    void on_recording_stored(std::uint64_t ident);
    // The writer has told something: what waited for recordings to be complete looks again.
    void on_writer() {
        for (const auto& try_again : std::exchange(reaching_back_, {})) try_again();
    }
    // The past part of a blackout can be taken off the disk now.
    void on_blackout_ready(const BlackoutReady& ready);

    // Blackouts of before the restart go on; an error: which those are is not known.
    Result<> resume_blackouts() { return blackouts_kept_.resume(context_.now()); }
    // Ten times a second.
    void tick() { blackouts_kept_.tick(); }
    // Before the calls are ended with the daemon.
    void freeze_blackouts() { blackouts_kept_.freeze(); }

    // Purges those that it may; `done` on the control thread.
    void purge_recordings(std::vector<std::uint64_t> idents, PurgeWish wish,
                          std::function<void(const Result<PurgeSummary>&)> done);

private:
    friend class FunctionList;  // names the handlers

    void perform(const FunctionDescription& function, const Request& request, const Client& client,
                 const Access::Identified& identified, Done done);

    // call_functions.cc
    void test(const FunctionCall& call, Done done);
    void call_start(const FunctionCall& call, Done done);
    void call_stop(const FunctionCall& call, Done done);
    void call_update(const FunctionCall& call, Done done);
    void record_start(const FunctionCall& call, Done done);
    void record_stop(const FunctionCall& call, Done done);
    struct StoredUpdate {
        FieldUpdate fields;
        std::string message;                        // RESULTMSG when it is done
        Visibility visible = {};                    // of recordings to who asks
        std::function<void(Recording&)> also = {};  // what no field says; of one that is finished
    };
    void update_last_recording(const std::string& device_id, StoredUpdate update, Done done);
    void update_stored(std::uint64_t ident, StoredUpdate update, Done done);
    void put_update(Recording&& document, Reply&& reply, Done done);

    // blackout_functions.cc
    void blackout_start(const FunctionCall& call, Done done);
    void blackout_stop(const FunctionCall& call, Done done);
    void agent_blackout_start(const FunctionCall& call, Done done);
    void agent_blackout_stop(const FunctionCall& call, Done done);
    Done when_kept(Done done);
    void reach_back(const PastBlackout& blackout, Reply&& reply, Done done);
    void reached_back(const PastBlackout& blackout, ReachedBack&& reached, Reply&& reply, Done done);
    void silence_copies(const PastBlackout& blackout, const ReachedBack& reached, Reply&& reply, Done done);

    // status_functions.cc
    [[nodiscard]] bool is_visible(const Device& device, const Call* call, const Visibility& to) const;
    [[nodiscard]] std::vector<const Device*> devices_named(const FunctionCall& call) const;
    void device_list(const FunctionCall& call, Done done);
    void device_status(const FunctionCall& call, Done done);
    void device_recording_status(const FunctionCall& call, Done done);
    void system_status(const FunctionCall& call, Done done);
    void channels(const FunctionCall& call, Done done);
    void events(const FunctionCall& call, Done done);
    void appliance_status(const FunctionCall& call, Done done);
    void assurance(const FunctionCall& call, Done done);

    // recording_functions.cc
    void call_list(const FunctionCall& call, Done done);

    // schedule_functions.cc
    void explain(const FunctionCall& call, Done done);

    // export_functions.cc
    [[nodiscard]] ExportSource export_source(const FunctionCall& call) const;
    void export_audio(const FunctionCall& call, Done done);
    void combined_export(const FunctionCall& call, Done done);
    void waveform(const FunctionCall& call, Done done);
    // live_functions.cc
    void live(const FunctionCall& call, Done done);
    void email(const FunctionCall& call, Done done);
    void combined_email(const FunctionCall& call, Done done);
    void mail_found(const std::vector<Recording>& recordings, MailJob&& job, Done done);

    // retention_functions.cc
    void recording_purge(const FunctionCall& call, Done done);
    void recording_lock(const FunctionCall& call, Done done);

    // directory_functions.h: what changes or lists the directory, answered when it is durable.
    template <DirectoryFunction kFunction>
    void directory_function(const FunctionCall& call, Done done) {
        run_directory_function(kFunction, call.parameters, std::move(done));
    }
    void run_directory_function(DirectoryFunction function, const Parameters& parameters, Done done);

    // Writes a long list here, on the control thread, but a slice at a time (sliced.h), so that no decision waits for
    // all of it.
    void in_slices(std::function<bool(Reply&)> next, Reply&& reply, Done done);

    // Runs `work` on the pool and `then(result)` back on the control thread.
    template <class Work, class Then>
    void on_pool(Work work, Then then);

    FunctionContext context_;
    BlackoutKeeper blackouts_kept_;
    Access access_;
    struct Updating {  // a stored recording's document under way to the disk
        Recording document;
        std::deque<std::pair<Reply, Done>> waiting;  // one for each document put, in order
    };
    std::map<std::uint64_t, Updating> updating_;
    std::map<std::uint64_t, std::pair<Reply, Done>> blackouts_;  // by token: answered when the past part is redacted
    // Blackouts of ended calls, until what they reach is in the index.
    std::vector<std::function<void()>> reaching_back_;
    std::set<std::uint64_t> purging_;
};

template <class Work, class Then>
void Functions::on_pool(Work work, Then then) {
    boost::asio::post(context_.pool, [this, work = std::move(work), then = std::move(then)]() mutable {
        auto result = std::make_shared<decltype(work())>(work());
        boost::asio::post(context_.control_thread,
                          [result, then = std::move(then)]() mutable { then(std::move(*result)); });
    });
}

// The reply of a function that failed, or was refused.
[[nodiscard]] Reply refused(ResultCode code, std::string message);
// A recording of groups that the caller may not see.
[[nodiscard]] Reply not_visible(std::uint64_t ident);

}  // namespace spantape::api
