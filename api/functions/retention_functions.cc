// SPDX-License-Identifier: AGPL-3.0-or-later
// Ours: RECORDINGPURGE, RECORDINGLOCK, RECORDINGUNLOCK. And purging for whoever else wants it: retention.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/functions/functions.h"

namespace spantape::api {

namespace {

std::uint64_t record_id(const Parameters& parameters) {
    return static_cast<std::uint64_t>(parameters.integer("RECORDID").value());
}

}  // namespace

void Functions::recording_purge(const FunctionCall& call, Done done) {
    if (!context_.purge) return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED, "nothing can be purged here"));
    const auto answer = [done = std::move(done)](const Result<PurgeSummary>& purged) {
        if (!purged) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, purged.error().message));
        if (!purged->copies_left.empty())
            return done(refused(
                ResultCode::API_ERROR_PROCESSING_MESSAGE,
                fmt::format("{}; {}", purged->refused.empty() ? "Purged from the store" : purged->refused.front(),
                            fmt::join(purged->copies_left, "; "))));
        if (!purged->refused.empty()) return done(refused(ResultCode::API_RECORDID_INVALID, purged->refused.front()));
        Reply reply;
        reply.message = fmt::format("Purged: {} chunks and {} documents, {} bytes", purged->chunks, purged->documents,
                                    purged->bytes);
        if (!purged->copies_removed.empty())
            reply.message += fmt::format("; {} archived copies", purged->copies_removed.size());
        done(std::move(reply));
    };
    purge_recordings({record_id(call.parameters)}, {.copies = true, .refuse = {}}, answer);
}

void Functions::recording_lock(const FunctionCall& call, Done done) {
    FieldUpdate fields;
    fields.locked = call.request.type == "RECORDINGLOCK";
    fields.lock_reason = *fields.locked ? call.parameters.text_or_empty("REASON") : std::string();
    const char* message = *fields.locked ? "Locked recording" : "Unlocked recording";
    update_stored(record_id(call.parameters), {std::move(fields), message}, std::move(done));
}

// What is being changed, or whose call still goes on, is refused; what is being purged is not changed meanwhile.
void Functions::purge_recordings(std::vector<std::uint64_t> idents, PurgeWish wish,
                                 std::function<void(const Result<PurgeSummary>&)> done) {
    PurgeSummary before;
    const auto refuse = [&](std::uint64_t ident, const char* why) {
        before.refused.push_back(fmt::format("recording {}: {}", ident, why));
    };
    std::erase_if(idents, [&](std::uint64_t ident) {
        const bool busy = updating_.contains(ident) || purging_.contains(ident);
        if (busy) refuse(ident, updating_.contains(ident) ? "is being changed" : "is being purged");
        return busy;
    });
    if (idents.empty()) return done(before);
    purging_.insert(idents.begin(), idents.end());
    on_pool(
        [this, idents] {
            std::vector<std::pair<std::uint64_t, std::uint64_t>> sessions;  // ident, session
            for (const std::uint64_t ident : idents) {
                const auto recording = context_.index.recording(ident);
                sessions.emplace_back(ident, recording && *recording ? (*recording)->session_id : 0);
            }
            return sessions;
        },
        [this, before = std::move(before), wish = std::move(wish), done = std::move(done)](auto sessions) mutable {
            std::vector<std::uint64_t> chosen;
            for (const auto& [ident, session] : sessions) {
                if (context_.control.session_active(session) || context_.control.active_recording(ident)) {
                    before.refused.push_back(fmt::format("recording {}: its call still goes on", ident));
                    purging_.erase(ident);
                } else {
                    chosen.push_back(ident);
                }
            }
            if (chosen.empty()) return done(before);
            on_pool([this, chosen, wish = std::move(wish)] { return context_.purge(chosen, wish); },
                    [this, chosen, before = std::move(before), done = std::move(done)](Result<PurgeSummary> purged) {
                        for (const std::uint64_t ident : chosen) purging_.erase(ident);
                        if (purged)
                            purged->refused.insert(purged->refused.end(), before.refused.begin(), before.refused.end());
                        done(purged);
                    });
        });
}

}  // namespace spantape::api
