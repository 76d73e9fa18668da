// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: BLACKOUTSTART/AGENTBLACKOUTSTART, BLACKOUTSTOP/AGENTBLACKOUTSTOP. What lies in the past is taken off the disk
// before the answer is given.
#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"

namespace spantape::api {

namespace {

Reply reply_to(CallOutcome outcome, const Request& request, const CallControl& control, const std::string& notes) {
    switch (outcome) {
        case CallOutcome::device_invalid:
            return refused(ResultCode::API_DEVICE_INVALID, "Could not find a device matching given parameters");
        case CallOutcome::agent_not_found:
            return refused(ResultCode::API_AGENT_NOT_FOUND, "Could not find an agent matching given parameters");
        case CallOutcome::not_in_call:
            return refused(ResultCode::API_DEVICE_NOT_IN_CALL, "The device is not in a call" + notes);
        case CallOutcome::no_blackout:
            return refused(ResultCode::API_BLACKOUT_INVALID_STATE, "There is no blackout to stop" + notes);
        default:
            return sent_to_cores(request, control, notes);
    }
}

Reply no_agent_blackouts() {
    return refused(ResultCode::API_COMMAND_NOT_ALLOWED, "blackouts of agents are switched off (api.agent_blackout)");
}

Reply not_taken_off(const std::string& why) {
    return refused(ResultCode::API_ERROR_PROCESSING_MESSAGE,
                   "what was stored before the blackout could not be taken off the disk: " + why);
}

TimeNs offset_ns(const Parameters& parameters) { return parameters.integer("TIMEOFFSET").value_or(0) * kNsPerSecond; }

}  // namespace

// A blackout that was answered goes on after a restart, also after kill -9: it is in the file first.
Done Functions::when_kept(Done done) {
    return [this, done = std::move(done)](Reply&& reply) {
        blackouts_kept_.keep([done, reply = std::move(reply)]() mutable { done(std::move(reply)); });
    };
}

void Functions::blackout_start(const FunctionCall& call, Done done) {
    const auto started =
        context_.control.blackout_start(device_address(call.parameters), offset_ns(call.parameters), context_.now());
    Reply reply = reply_to(started.outcome, call.request, context_.control, call.parameters.notes());
    done = when_kept(std::move(done));
    if (started.token == 0) return done(std::move(reply));
    blackouts_.emplace(started.token, std::pair(std::move(reply), std::move(done)));
}

void Functions::blackout_stop(const FunctionCall& call, Done done) {
    const auto outcome =
        context_.control.blackout_stop(device_address(call.parameters), offset_ns(call.parameters), context_.now());
    when_kept(std::move(done))(reply_to(outcome, call.request, context_.control, call.parameters.notes()));
}

void Functions::agent_blackout_start(const FunctionCall& call, Done done) {
    if (!context_.agent_blackout) return done(no_agent_blackouts());
    const auto started = context_.control.agent_blackout_start(device_address(call.parameters),
                                                               offset_ns(call.parameters), context_.now());
    Reply reply = reply_to(started.outcome, call.request, context_.control, call.parameters.notes());
    done = when_kept(std::move(done));
    if (started.past && context_.reach_back)  // at last: what ended calls have on the disk by then
        done = [this, past = *started.past, done = std::move(done)](Reply&& of_calls) {
            if (of_calls.code != ResultCode::API_OK) return done(std::move(of_calls));
            reach_back(past, std::move(of_calls), done);
        };
    if (started.tokens.empty()) return done(std::move(reply));
    // Answered when all of his calls are dark; with what went wrong on one of them.
    struct Open {
        std::size_t calls;
        Reply reply;
        Done done;
    };
    const auto open = std::make_shared<Open>(Open{started.tokens.size(), reply, std::move(done)});
    for (const std::uint64_t token : started.tokens)
        blackouts_.emplace(token, std::pair(reply, [open](Reply&& of_call) {
                               if (of_call.code != ResultCode::API_OK) open->reply = std::move(of_call);
                               if (--open->calls == 0) open->done(std::move(open->reply));
                           }));
}

// Of recordings that are complete; those that are about to be in the index are waited for.
void Functions::reach_back(const PastBlackout& blackout, Reply&& reply, Done done) {
    if (context_.control.completing(blackout)) {
        reaching_back_.emplace_back([this, blackout, reply = std::move(reply), done = std::move(done)] {
            reach_back(blackout, Reply(reply), done);
        });
        return;
    }
    on_pool([this, blackout] { return context_.reach_back(blackout); },
            [this, blackout, reply = std::move(reply), done = std::move(done)](auto reached) mutable {
                if (!reached) return done(not_taken_off(reached.error().message));
                reached_back(blackout, std::move(*reached), std::move(reply), std::move(done));
            });
}

// The documents tell, before anybody looks at the copies: see silence_copies().
void Functions::reached_back(const PastBlackout& blackout, ReachedBack&& reached, Reply&& reply, Done done) {
    struct Open {
        PastBlackout blackout;
        ReachedBack reached;
        Reply reply;
        Done done;
        std::size_t documents;
    };
    const std::size_t documents = reached.recordings.size();
    const auto open =
        std::make_shared<Open>(Open{blackout, std::move(reached), std::move(reply), std::move(done), documents});
    if (documents == 0) return silence_copies(blackout, open->reached, std::move(open->reply), std::move(open->done));
    for (const ReachedRecording& each : std::vector(open->reached.recordings))
        update_stored(
            each.ident, {.fields = {}, .message = "", .also = [each](Recording& document) { each.apply(document); }},
            [this, open, ident = each.ident](Reply&& put) {
                // One that was purged meanwhile has no document any more.
                if (put.code != ResultCode::API_OK && !purging_.contains(ident))
                    open->reached.left.push_back(fmt::format("recording {}: {}", ident, put.message));
                if (--open->documents == 0)
                    silence_copies(open->blackout, open->reached, std::move(open->reply), std::move(open->done));
            });
}

void Functions::silence_copies(const PastBlackout& blackout, const ReachedBack& reached, Reply&& reply, Done done) {
    std::vector<std::uint64_t> idents;
    for (const ReachedRecording& each : reached.recordings) idents.push_back(each.ident);
    on_pool([this, blackout, idents = std::move(idents)] { return context_.silence_copies(blackout, idents); },
            [lines = reached.left, reply = std::move(reply), done = std::move(done)](auto silenced) mutable {
                if (!silenced) return done(not_taken_off(silenced.error().message));
                lines.insert(lines.end(), silenced->left.begin(), silenced->left.end());
                constexpr std::size_t kMostLines = 20;
                const std::size_t more = lines.size() - std::min(lines.size(), kMostLines);
                lines.resize(lines.size() - more);
                if (more > 0) lines.push_back(fmt::format("and {} more", more));
                done(lines.empty() ? std::move(reply) : not_taken_off(fmt::format("{}", fmt::join(lines, "; "))));
            });
}

void Functions::agent_blackout_stop(const FunctionCall& call, Done done) {
    if (!context_.agent_blackout) return done(no_agent_blackouts());
    const auto outcome = context_.control.agent_blackout_stop(device_address(call.parameters),
                                                              offset_ns(call.parameters), context_.now());
    when_kept(std::move(done))(reply_to(outcome, call.request, context_.control, call.parameters.notes()));
}

// Also of windows that nobody waits for: of a call that got its media after its blackout had begun.
void Functions::on_blackout_ready(const BlackoutReady& ready) {
    Reply answer;
    Done answer_to = [](Reply&&) {};
    if (auto waiting = blackouts_.extract(ready.token)) std::tie(answer, answer_to) = std::move(waiting.mapped());
    if (ready.redact.streams.empty() || ready.redact.to_ns <= ready.redact.from_ns) {
        context_.control.redaction_over(ready.session);
        return answer_to(std::move(answer));
    }
    on_pool(
        [this, window = ready.redact] { return context_.redact(window); },
        [this, session = ready.session, reply = std::move(answer), done = std::move(answer_to)](auto redacted) mutable {
            if (redacted) {
                context_.control.redaction_over(session);
                context_.control.redacted(session, redacted->frames);
                return done(std::move(reply));
            }
            Reply failed = not_taken_off(redacted.error().message);
            context_.outputs.log("redaction", failed.message);
            done(std::move(failed));
        });
}

}  // namespace spantape::api
