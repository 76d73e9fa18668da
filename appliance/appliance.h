// SPDX-License-Identifier: AGPL-3.0-or-later
// The whole recorder, wired: sources, workers, signalling, writer, index, control plane and servers, each on its
// thread, joined by queues. `spantaped` runs one with listeners; `spantape record` runs one without.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/control/directory.h"
#include "api/functions/access.h"
#include "api/protocol/servers.h"
#include "capture/base/result.h"
#include "capture/source/source.h"
#include "storage/archive_action.h"
#include "storage/export/mail.h"
#include "storage/export/vox_file.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape {

struct ApplianceOptions {
    std::uint32_t core_id = 1;
    // [capture]
    std::vector<std::string> sources;
    std::uint16_t workers = 1;
    std::vector<int> cpus;
    Pace pace = Pace::realtime;
    bool exit_at_end = false;
    std::uint32_t max_streams = 0;  // a worker; 0: four times recording.channels and 4096
    std::size_t ring_bytes = 16u << 10;
    DpdkOptions dpdk;
    // [sip]
    std::vector<std::uint16_t> sip_ports = {5060};
    TimeNs media_timeout_ns = 60 * kNsPerSecond;
    // [devices], [recording]
    std::vector<std::string> device_match;
    std::uint32_t channels = 1000;
    bool record_unanswered = true;
    bool record_unsignalled = true;
    TimeNs hold_back_ns = 0;
    bool mask_dtmf = false;
    TimeNs blackout_limit_ns = 600 * kNsPerSecond;
    double silence_dbov = -50;
    // [storage]
    std::string store;  // directory: STORE/segments, STORE/index, STORE/keys
    TimeNs flush_ns = kNsPerSecond;
    std::uint64_t segment_bytes = 256ull << 20;
    bool encrypt = true;
    std::string master_key;           // file; "": STORE/master.key. Made where neither it nor a keyring is.
    std::int32_t keep_days = 0;       // of recordings that name none; 0: for ever
    double reserve_percent = 0;       // of the disk to be kept free
    std::int64_t archive_action = 0;  // of recordings that name none; 0: they are not archived
    // [directory]
    Directory::Base directory;
    bool users_dialect = false;  // api.dialect
    // [api], [webapi]; no listeners at all when `serve` is false
    bool serve = true;
    api::ServerOptions servers;
    api::AccessOptions access;
    bool agent_blackout = true;
    VoxCoding vox = VoxCoding::adpcm;
    // [mail]
    MailServer mail;
    TimeNs mail_retry_ns = 60 * kNsPerSecond;
    // One line worth logging, from any thread. level: "info", "warning", "error".
    std::function<void(const char* level, const std::string& line)> log;
    // Called on the control thread with what has been read so far, about ten times a second (progress of a file).
    std::function<void(std::uint64_t packets)> progress;
};

class Appliance {
public:
    // Opens store and sources, recovers what a crash left, starts all threads and listeners. An error says what could
    // not be had.
    static Result<std::unique_ptr<Appliance>> start(ApplianceOptions options);
    virtual ~Appliance() = default;

    // "xml=127.0.0.1:5620 events=…" with the real ports; "" when nothing listens.
    [[nodiscard]] virtual std::string addresses() const = 0;
    // Runs the control plane on the calling thread until request_stop(), or until the end of all files with
    // exit_at_end; then ends the calls that go on, makes everything durable, and stops all threads. An error: something
    // could not be stored.
    virtual Result<> run() = 0;
    // Any thread or signal handler: run() ends soon.
    virtual void request_stop() = 0;
    // Any thread: TLS clients to come see the certificate as its file is now; why not is logged.
    virtual void reload_certificates() = 0;
    // Any thread: a line in the audit log about the daemon itself ("daemon_start", "configuration_reload", …).
    virtual void note(const char* what, const std::string& detail) = 0;
    // Any thread: other actions than those it was started with; what is under way is finished by the old ones.
    // The configuration's schedule, from now on.
    virtual void set_schedule(std::vector<RuleText> rules) = 0;
    virtual void set_archive_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) = 0;

    // Recordings completed by this run, in order of completion; after run(), when `serve` was off.
    [[nodiscard]] virtual std::vector<std::uint64_t> completed() const = 0;
    // Any thread: with live sources, the kernel has provided the memory of all streams, in the background since
    // start().
    [[nodiscard]] virtual bool memory_ready() const = 0;
    // Valid as long as the appliance is.
    [[nodiscard]] virtual Index& index() = 0;
    [[nodiscard]] virtual SegmentStore segments() const = 0;
    // Name and value of every counter that `status` shows, and what went wrong with a source ("" when nothing).
    [[nodiscard]] virtual std::vector<api::Element> status() const = 0;
    [[nodiscard]] virtual std::string source_error() const = 0;
};

}  // namespace spantape
