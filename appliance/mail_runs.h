// SPDX-License-Identifier: AGPL-3.0-or-later
// Mails with recordings: each is tried at once, on a thread of its own; what the server wants later is kept in
// STORE/mail and tried again, across restarts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "api/functions/exports.h"
#include "api/functions/mail_job.h"
#include "storage/chained_log.h"

namespace spantape {

class MailRuns {
public:
    struct Tools {
        std::string store;
        MailServer server;
        TimeNs first_retry_ns = 60 * kNsPerSecond;  // doubles up to an hour
        TimeNs give_up_ns = 3 * 24 * 3600 * kNsPerSecond;
        const Index& index;
        SegmentStore segments;
        boost::asio::io_context& control_thread;
        ChainedLog* audit = nullptr;  // what became of mails that were queued
        std::function<void(const char* level, const std::string& line)> log;
    };

    explicit MailRuns(Tools tools);
    // What is queued stays queued.
    ~MailRuns();
    MailRuns(const MailRuns&) = delete;
    MailRuns& operator=(const MailRuns&) = delete;

    // Control thread; `done` is called there.
    void submit(api::MailJob&& job, std::function<void(const MailResult&)> done);

private:
    struct Queued {
        api::MailJob job;
        std::string file;  // in STORE/mail
        TimeNs since_ns = 0, due_ns = 0;
        std::uint32_t attempts = 0;
    };
    using Done = std::function<void(const MailResult&)>;

    void load_queue();
    void run();
    void try_new(api::MailJob&& job, const Done& done);
    void try_again(Queued&& queued);
    [[nodiscard]] MailResult send(const api::MailJob& job) const;
    // Durable when it says so.
    [[nodiscard]] Result<> keep(const Queued& queued) const;
    void forget(const Queued& queued) const;
    void queue(Queued&& queued);
    void note(const Queued& queued, const std::string& result, const std::string& why) const;

    const Tools tools_;
    const api::ExportSource source_;
    std::uint64_t next_file_ = 1;        // mail thread
    std::multimap<TimeNs, Queued> due_;  // mail thread
    std::mutex mutex_;                   // of what follows
    std::condition_variable wake_;
    std::deque<std::pair<api::MailJob, Done>> submitted_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace spantape
