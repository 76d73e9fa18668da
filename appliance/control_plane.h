// SPDX-License-Identifier: AGPL-3.0-or-later
// The control thread: CallControl, functions and servers on one event loop, fed by the queues of the other threads.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/control/call_control.h"
#include "api/control/directory.h"
#include "appliance/appliance.h"
#include "capture/signalling.h"
#include "capture/worker.h"
#include "storage/chained_log.h"
#include "storage/index/directory_store.h"
#include "storage/media_writer.h"

namespace spantape {

// The ends of the queues that are control's, and what it may look at. All outlive it.
struct ControlLinks {
    std::vector<WorkerLinks*> workers;
    std::vector<const Worker*> captures;
    const Signalling* signalling = nullptr;
    SpscQueue<SignallingEvent>& sip_events;
    SpscQueue<std::uint64_t>& sip_forget;
    Wakeup& signalling_wakeup;
    MediaWriter& writer;
    SpscQueue<WriterCommand>& writer_commands;
    SpscQueue<WriterEvent>& writer_events;
    Wakeup& control_wakeup;
    Index& index;
    Directory& directory;
    DirectoryStore* directory_store;  // nullptr: the directory is not kept
    SegmentStore segments;
    std::shared_ptr<Keyring> keyring;                                        // none: nothing is encrypted
    std::function<Result<RedactionSummary>(const RedactionWindow&)> redact;  // on a pool thread
    std::string archive_identity;                                            // of the store
    std::vector<std::uint64_t> interrupted;  // recordings that recovery ended: their lines in the integrity log are due
    std::atomic<TimeNs>& capture_clock;      // for the writer, of files; written here
    ChainedLog* audit = nullptr;
    ChainedLog* integrity = nullptr;
};

class ControlPlane {
public:
    // live: time is the wall clock; otherwise it is what the workers' ticks say.
    static Result<std::unique_ptr<ControlPlane>> start(const ApplianceOptions& options, bool live, ControlLinks links);
    virtual ~ControlPlane() = default;

    // As in Appliance.
    [[nodiscard]] virtual std::string addresses() const = 0;
    virtual Result<> run() = 0;
    virtual void request_stop() = 0;
    virtual void reload_certificates() = 0;  // any thread
    virtual void set_schedule(std::vector<RuleText> rules) = 0;
    virtual void set_archive_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) = 0;
    [[nodiscard]] virtual std::vector<std::uint64_t> completed() const = 0;
    [[nodiscard]] virtual std::vector<api::Element> status() const = 0;
};

}  // namespace spantape
