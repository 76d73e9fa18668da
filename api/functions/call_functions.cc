// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Message Structure (TEST), Call Handling Functions.
#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"

namespace spantape::api {

namespace {

Reply reply_to(CallOutcome outcome, const Request& request, const CallControl& control, const std::string& notes) {
    switch (outcome) {
        case CallOutcome::device_invalid:
            return refused(ResultCode::API_DEVICE_INVALID, "Could not find a device matching given parameters");
        case CallOutcome::not_in_call:
            return refused(ResultCode::API_DEVICE_NOT_IN_CALL, "The device is not in a call" + notes);
        case CallOutcome::no_free_channels:
            return refused(ResultCode::API_ERROR_NO_FREE_CHANNELS,
                           fmt::format("All {} channels are in use{}", control.options().channels, notes));
        case CallOutcome::no_schedule:
            return refused(ResultCode::API_DID_NOT_MATCH_A_SCHEDULE, "No rule of the schedule wants this call" + notes);
        case CallOutcome::blocked:
            return refused(ResultCode::API_ERROR_BLOCKED_RECORDING_FILTER,
                           "A rule of the schedule forbids to record this call" + notes);
        case CallOutcome::out_of_space:
            return refused(ResultCode::API_ERROR_OUT_OF_DISK_SPACE, "The disk is full" + notes);
        case CallOutcome::agent_not_found:
        case CallOutcome::no_blackout:     // of blackouts alone
        case CallOutcome::nothing_active:  // "these functions will not cause problems if the device is not being
                                           // recorded"
        case CallOutcome::ok:
            break;
    }
    return sent_to_cores(request, control, notes);
}

constexpr const char* kNoDevice = "one of DEVICEID, DEVICEALIAS, STATIONNAME, SYS_USER, CRM_USER is required";

}  // namespace

void Functions::test(const FunctionCall& /*call*/, Done done) { done({}); }

void Functions::call_start(const FunctionCall& call, Done done) {
    const CallParameters parameters = call_parameters(call.parameters);
    const auto outcome = context_.control.call_start(parameters.who, parameters.fields, context_.now());
    done(reply_to(outcome, call.request, context_.control, parameters.notes));
}

void Functions::call_stop(const FunctionCall& call, Done done) {
    const CallParameters parameters = call_parameters(call.parameters);
    done(reply_to(context_.control.call_stop(parameters.who, context_.now()), call.request, context_.control,
                  parameters.notes));
}

void Functions::record_start(const FunctionCall& call, Done done) {
    const CallParameters parameters = call_parameters(call.parameters);
    const auto outcome = context_.control.record_start(parameters.who, parameters.fields, context_.now());
    done(reply_to(outcome, call.request, context_.control, parameters.notes));
}

void Functions::record_stop(const FunctionCall& call, Done done) {
    const CallParameters parameters = call_parameters(call.parameters);
    const auto outcome = context_.control.record_stop(parameters.who, parameters.fields, context_.now());
    done(reply_to(outcome, call.request, context_.control, parameters.notes));
}

// manual: CALLUPDATE; with RECORDID, CALLUPDATE – Post Recording.
void Functions::call_update(const FunctionCall& call, Done done) {
    const CallParameters parameters = call_parameters(call.parameters);
    StoredUpdate update{parameters.fields, "Updated recording in database" + parameters.notes,
                        access_.visibility(call.caller)};
    if (const auto ident = call.parameters.integer("RECORDID"))
        return update_stored(static_cast<std::uint64_t>(*ident), std::move(update), std::move(done));
    // The page names this code for a request without any device.
    if (parameters.who.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, kNoDevice));
    const auto outcome = context_.control.call_update(parameters.who, parameters.fields, context_.now());
    const auto answer = [&] { done(reply_to(outcome, call.request, context_.control, parameters.notes)); };
    if (!call.parameters.flag("UPDATE_IF_NOT_RECORDING").value_or(false)) return answer();
    // Its recording is over, and the call goes on.
    if (outcome == CallOutcome::ok)
        if (const auto ident = context_.control.recording_over(parameters.who))
            return update_stored(*ident, std::move(update), std::move(done));
    const std::string device_id = context_.control.device_id_of(parameters.who);
    const Device* device = context_.control.find_device({.device_id = device_id});
    const bool in_call = device != nullptr && device->active_call() != nullptr;  // maybe by another CALLINSTANCE
    if (outcome != CallOutcome::not_in_call || in_call) return answer();
    update_last_recording(device_id, std::move(update), std::move(done));
}

void Functions::update_last_recording(const std::string& device_id, StoredUpdate update, Done done) {
    if (const auto ident = context_.control.last_recording_on(device_id))
        return update_stored(*ident, std::move(update), std::move(done));
    RecordingQuery query;
    query.equal.emplace_back("device_id", device_id);
    query.limit = 1;
    on_pool([this, query] { return context_.index.search(query); },
            [this, device_id, update = std::move(update), done = std::move(done)](auto found) mutable {
                if (!found) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message));
                if (found->empty())
                    return done(refused(ResultCode::API_RECORDID_INVALID,
                                        fmt::format("there is no recording of device {} to update", device_id)));
                update_stored(found->front().ident, std::move(update), std::move(done));
            });
}

void Functions::update_stored(std::uint64_t ident, StoredUpdate update, Done done) {
    Reply ok;
    ok.message = update.message;
    if (purging_.contains(ident))
        return done(refused(ResultCode::API_RECORDID_INVALID, fmt::format("recording {} is being purged", ident)));
    if (!update.visible.all)
        if (const auto active = context_.control.active_recording(ident); active && !update.visible.sees(*active))
            return done(not_visible(ident));
    if (context_.control.update_active(ident, update.fields, update.also)) return done(std::move(ok));
    if (const auto at = updating_.find(ident); at != updating_.end()) {
        if (!update.visible.sees(at->second.document)) return done(not_visible(ident));
        apply(update.fields, at->second.document);
        if (update.also) update.also(at->second.document);
        return put_update(Recording(at->second.document), std::move(ok), std::move(done));
    }
    on_pool([this, ident] { return context_.index.recording(ident); },
            [this, ident, update = std::move(update), ok = std::move(ok), done = std::move(done)](auto found) mutable {
                if (!found) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message));
                if (!found->has_value())
                    return done(
                        refused(ResultCode::API_DATABASE_QUERY_ERROR, fmt::format("there is no recording {}", ident)));
                if (purging_.contains(ident))
                    return done(
                        refused(ResultCode::API_RECORDID_INVALID, fmt::format("recording {} is being purged", ident)));
                // Another update may have come in between: its document is the newer one.
                const auto at = updating_.find(ident);
                Recording document = at != updating_.end() ? at->second.document : std::move(**found);
                if (!update.visible.sees(document)) return done(not_visible(ident));
                apply(update.fields, document);
                if (update.also) update.also(document);
                put_update(std::move(document), std::move(ok), std::move(done));
            });
}

// Answers when the document is durable: what was answered API_OK is true.
void Functions::put_update(Recording&& document, Reply&& reply, Done done) {
    Updating& updating = updating_[document.ident];
    updating.document = document;
    updating.waiting.emplace_back(std::move(reply), std::move(done));
    context_.outputs.put({std::move(document), false});
    context_.outputs.flush(0);
}

void Functions::on_recording_stored(std::uint64_t ident) {
    const auto at = updating_.find(ident);
    if (at == updating_.end()) return;
    auto [reply, done] = std::move(at->second.waiting.front());
    at->second.waiting.pop_front();
    if (at->second.waiting.empty()) updating_.erase(at);
    done(std::move(reply));
}

}  // namespace spantape::api
