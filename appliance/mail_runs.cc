// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/mail_runs.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include "api/control/event_document.h"
#include "storage/durable_file.h"

namespace spantape {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMostSubmitted = 1000, kMostQueued = 10'000;
constexpr TimeNs kLongestWaitNs = 3600 * kNsPerSecond;

std::string what_it_is(const std::vector<Recording>& recordings) {
    const Recording& first = recordings.front();
    const std::string more = recordings.size() == 1 ? "" : fmt::format(" and {} more", recordings.size() - 1);
    return fmt::format("Recording {}{}, device {}, {}", first.ident, more, first.device_id,
                       manual_time(first.start_ns));
}

std::string letter(const std::vector<Recording>& recordings) {
    std::string text;
    for (const Recording& recording : recordings)
        text += fmt::format("Recording {}: device {}, from {}, to {}, {}, {:.0f} s\r\n", recording.ident,
                            recording.device_id, recording.ani, recording.dnis, manual_time(recording.start_ns),
                            seconds(recording.duration_ns()));
    return text;
}

// A mail that an earlier version queued names no format.
api::ExportWish wish_of(const json::value& queued) {
    api::ExportWish wish;
    const json::value* name = queued.as_object().if_contains("format");
    if (name == nullptr) return wish;
    const auto format = media_format(name->as_string());
    if (!format) throw std::runtime_error("there is no format " + std::string(name->as_string()));
    wish.format = *format;
    if (const json::value* seal = queued.as_object().if_contains("seal")) {
        auto read = CavSeal::from_text(seal->as_string());
        if (!read) throw std::runtime_error(read.error().message);
        wish.seal = std::move(*read);
    }
    return wish;
}

}  // namespace

MailRuns::MailRuns(Tools tools) : tools_(std::move(tools)), source_{tools_.index, tools_.segments} {
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "mail");
        load_queue();
        run();
    });
}

MailRuns::~MailRuns() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void MailRuns::submit(api::MailJob&& job, Done done) {
    {
        const std::lock_guard lock(mutex_);
        if (submitted_.size() < kMostSubmitted) {
            submitted_.emplace_back(std::move(job), std::move(done));
            wake_.notify_one();
            return;
        }
    }
    done({MailOutcome::failed, fmt::format("{} mails wait already", kMostSubmitted)});
}

void MailRuns::run() {
    for (;;) {
        std::pair<api::MailJob, Done> fresh;
        {
            std::unique_lock lock(mutex_);
            const auto something = [&] { return stop_ || !submitted_.empty(); };
            if (due_.empty())
                wake_.wait(lock, something);
            else
                wake_.wait_for(lock,
                               std::chrono::nanoseconds(std::max<TimeNs>(due_.begin()->first - wall_clock_ns(), 0)),
                               something);
            if (stop_) return;
            if (!submitted_.empty()) {
                fresh = std::move(submitted_.front());
                submitted_.pop_front();
            }
        }
        if (fresh.second) {
            try_new(std::move(fresh.first), fresh.second);
        } else if (!due_.empty() && due_.begin()->first <= wall_clock_ns()) {
            Queued next = std::move(due_.begin()->second);
            due_.erase(due_.begin());
            try_again(std::move(next));
        }
    }
}

void MailRuns::try_new(api::MailJob&& job, const Done& done) {
    MailResult result = send(job);
    if (result.outcome == MailOutcome::later) {
        const TimeNs now_ns = wall_clock_ns();
        Queued queued{std::move(job), fmt::format("{}/mail/{:010}.json", tools_.store, next_file_++), now_ns,
                      now_ns + tools_.first_retry_ns, 1};
        if (due_.size() >= kMostQueued) {
            result = {MailOutcome::failed, fmt::format("{} mails are queued already; {}", kMostQueued, result.message)};
        } else if (const auto kept = keep(queued); !kept) {
            result = {MailOutcome::failed, kept.error().message};
        } else {
            queue(std::move(queued));
        }
    }
    boost::asio::post(tools_.control_thread, [done, result] { done(result); });
}

void MailRuns::try_again(Queued&& queued) {
    const MailResult result = send(queued.job);
    const TimeNs now_ns = wall_clock_ns();
    // A server that is down now was there when the mail was taken.
    const bool again = result.outcome == MailOutcome::later || result.outcome == MailOutcome::no_server;
    if (again && now_ns - queued.since_ns < tools_.give_up_ns) {
        queued.due_ns = now_ns + std::min(tools_.first_retry_ns << std::min(queued.attempts, 16U), kLongestWaitNs);
        ++queued.attempts;
        if (const auto kept = keep(queued); !kept) tools_.log("warning", kept.error().message);
        return queue(std::move(queued));
    }
    note(queued, result.outcome == MailOutcome::sent ? "sent" : "given up", result.message);
    forget(queued);
}

MailResult MailRuns::send(const api::MailJob& job) const {
    std::vector<Recording> recordings;
    for (const std::uint64_t ident : job.idents) {
        auto found = tools_.index.recording(ident);
        if (!found) return {MailOutcome::later, found.error().message};
        if (!*found) return {MailOutcome::failed, fmt::format("there is no recording {} any more", ident)};
        recordings.push_back(std::move(**found));
    }
    if (recordings.empty()) return {MailOutcome::failed, "the mail names no recording"};
    const TimeNs now_ns = wall_clock_ns();
    auto file = api::open_export(source_, recordings, job.wish, now_ns);
    if (!file) return {MailOutcome::failed, file.error().message};
    Mail mail;
    mail.to = job.to;
    mail.to_name = job.to_name;
    mail.from = job.from;
    mail.from_name = job.from_name;
    mail.subject = what_it_is(recordings);
    mail.text = letter(recordings);
    mail.attachment_name = api::combined_export_name(recordings, job.wish.format);
    mail.attachment_type = media_kind(job.wish.format).content_type;
    mail.attachment = std::move(*file);
    return send_mail(tools_.server, std::move(mail), now_ns);
}

void MailRuns::queue(Queued&& queued) {
    const TimeNs due_ns = queued.due_ns;
    due_.emplace(due_ns, std::move(queued));
}

Result<> MailRuns::keep(const Queued& queued) const {
    const api::MailJob& job = queued.job;
    json::object members{{"idents", json::value_from(job.idents)},
                         {"to", job.to},
                         {"to_name", job.to_name},
                         {"from", job.from},
                         {"from_name", job.from_name},
                         {"format", media_kind(job.wish.format).name},
                         {"since_ns", queued.since_ns},
                         {"due_ns", queued.due_ns},
                         {"attempts", queued.attempts}};
    if (job.wish.seal) members["seal"] = job.wish.seal->to_text();
    const std::string text = json::serialize(members);
    const std::string directory = tools_.store + "/mail", next = queued.file + ".new";
    ::mkdir(directory.c_str(), 0700);
    ::unlink(next.c_str());
    if (const auto written = write_new_file(next, std::as_bytes(std::span(text))); !written) return written;
    if (std::rename(next.c_str(), queued.file.c_str()) != 0) return fail("{}: cannot be put in place", queued.file);
    return sync_directory(directory);
}

void MailRuns::forget(const Queued& queued) const {
    ::unlink(queued.file.c_str());
    if (const auto synced = sync_directory(tools_.store + "/mail"); !synced)
        tools_.log("warning", synced.error().message);
}

// A file that cannot be read is left where it is.
void MailRuns::load_queue() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(tools_.store + "/mail", error)) {
        const std::string path = entry.path();
        if (entry.path().extension() != ".json") continue;
        const std::string stem = entry.path().stem();
        std::uint64_t number = 0;
        std::from_chars(stem.data(), stem.data() + stem.size(), number);
        next_file_ = std::max(next_file_, number + 1);
        std::ifstream file(path, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        try {
            const json::value value = json::parse(text);
            Queued queued;
            queued.job.idents = json::value_to<std::vector<std::uint64_t>>(value.at("idents"));
            queued.job.to = json::value_to<std::string>(value.at("to"));
            queued.job.to_name = json::value_to<std::string>(value.at("to_name"));
            queued.job.from = json::value_to<std::string>(value.at("from"));
            queued.job.from_name = json::value_to<std::string>(value.at("from_name"));
            queued.job.wish = wish_of(value);
            queued.since_ns = value.at("since_ns").to_number<TimeNs>();
            queued.due_ns = value.at("due_ns").to_number<TimeNs>();
            queued.attempts = value.at("attempts").to_number<std::uint32_t>();
            queued.file = path;
            queue(std::move(queued));
        } catch (const std::exception& broken) {
            tools_.log("error", fmt::format("{}: a queued mail that cannot be read: {}", path, broken.what()));
        }
    }
}

void MailRuns::note(const Queued& queued, const std::string& result, const std::string& why) const {
    tools_.log(result == "sent" ? "info" : "warning",
               fmt::format("mail to {}, attempt {}: {}{}", queued.job.to, queued.attempts + 1, result,
                           why.empty() ? "" : ", " + why));
    if (tools_.audit == nullptr) return;
    json::object members{{"what", "queued_mail"},
                         {"to", queued.job.to},
                         {"recordings", json::value_from(queued.job.idents)},
                         {"attempts", queued.attempts + 1},
                         {"result", result}};
    if (!why.empty()) members["reason"] = why;
    if (const auto noted = tools_.audit->append(std::move(members), false); !noted)
        tools_.log("error", noted.error().message);
}

}  // namespace spantape
