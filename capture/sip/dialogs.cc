// SPDX-License-Identifier: AGPL-3.0-or-later
// The rules by which SIP messages start, change and end calls. A call is its Call-ID, on however many legs it shows.
#include "capture/sip/dialogs.h"

#include <algorithm>
#include <utility>

#include "capture/sip/body.h"
#include "capture/sip/call_table.h"
#include "capture/sip/duplicate_filter.h"
#include "capture/sip/message.h"
#include "capture/sip/registrations.h"
#include "capture/sip/sdp.h"

namespace spantape {

namespace {

constexpr TimeNs kDuplicateWindowNs = 32 * kNsPerSecond;  // 64*T1: how long a peer retransmits (RFC 3261 §17)
constexpr TimeNs kRetryWithinNs = 32 * kNsPerSecond;
constexpr TimeNs kCancelAnswerWithinNs = 32 * kNsPerSecond;
constexpr std::size_t kMaxRememberedMessages = 1 << 18;  // 4 MB; 8,000 messages a second over the window
constexpr std::size_t kMinRememberedMessages = 1 << 10;
constexpr int kRequestTerminated = 487;

std::size_t remembered_messages(std::size_t max_calls) {
    return std::clamp(std::min(max_calls, kMaxRememberedMessages) * 2, kMinRememberedMessages, kMaxRememberedMessages);
}

// A message and what is known about it.
struct Arrival {
    TimeNs time_ns = 0;
    const Endpoint& source;
    const Endpoint& destination;
    SipMessage message;
    LegKey leg;
    std::string_view sdp;  // empty unless it is an offer or an answer
};

// Failures list capabilities, OPTIONS answers too: no offer and no answer (RFC 3264, RFC 6337 §2.2).
bool may_offer_media(const SipMessage& message) {
    switch (message.method) {
        case SipMethod::invite:
        case SipMethod::ack:
        case SipMethod::prack:
        case SipMethod::update:
            return message.is_request() || (message.status > 100 && message.status < 300);
        default:
            return false;
    }
}

bool is_initial_invite(const SipMessage& message) {
    return message.is_request() && message.method == SipMethod::invite && message.to.tag.empty();
}

// After these a client usually tries again under the same Call-ID: redirection, credentials, session timer (RFC 4028).
bool invites_retry(int status) { return status < 400 || status == 401 || status == 407 || status == 422; }

}  // namespace

struct SipDialogs::State {
    State(SipLimits its_limits, Emit its_emit)
        : limits(its_limits),
          emit(std::move(its_emit)),
          duplicates(remembered_messages(limits.max_calls), kDuplicateWindowNs),
          registrations(limits.max_users),
          ended(limits.max_calls, limits.ended_linger_ns) {}

    void on_bytes(TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                  std::span<const std::uint8_t> bytes);
    void expire(TimeNs now_ns);

    void on_register(const Arrival& arrival);
    SipCall* start_if_due(const Arrival& arrival);
    SipCall& start(const Arrival& arrival);
    void make_room(TimeNs time_ns);
    bool on_request(SipCall& call, const Arrival& arrival);
    void on_invite(SipCall& call, const Arrival& arrival);
    void on_ack(SipCall& call, const Arrival& arrival);
    bool on_response(SipCall& call, const Arrival& arrival);
    bool on_failure(SipCall& call, const Arrival& arrival);
    void tell_media(SipCall& call, const Arrival& arrival);
    void answer(SipCall& call, TimeNs time_ns);
    void end(SipCall& call, TimeNs time_ns, SipCallEnd reason, int status);
    void set_deadline(SipCall& call);
    void on_due(SipCall& call, TimeNs now_ns);

    template <class What>
    void tell(TimeNs time_ns, What&& what) {
        emit(SipEvent{time_ns, std::forward<What>(what)});
    }

    SipLimits limits;
    Emit emit;
    SipCounters counters;
    DuplicateFilter duplicates;
    Registrations registrations;
    CallTable calls;
    EndedCalls ended;
};

void SipDialogs::State::on_bytes(TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                                 std::span<const std::uint8_t> bytes) {
    if (duplicates.seen(time_ns, bytes)) {
        ++counters.duplicates;
        return;
    }
    auto message = parse_sip_message(bytes);
    if (!message) {
        ++counters.malformed;
        return;
    }
    ++counters.messages;
    Arrival arrival{time_ns, source, destination, std::move(*message), {}, {}};
    if (arrival.message.method == SipMethod::register_) return on_register(arrival);
    arrival.leg = leg_key_of(arrival.message, source, destination);
    if (may_offer_media(arrival.message)) arrival.sdp = find_sdp(arrival.message.content_type, arrival.message.body);

    SipCall* call = calls.find(arrival.message.call_id);
    if (call == nullptr) call = start_if_due(arrival);
    if (call == nullptr) return;
    call->last_message_ns = std::max(call->last_message_ns, time_ns);
    const bool goes_on = arrival.message.is_request() ? on_request(*call, arrival) : on_response(*call, arrival);
    if (goes_on) set_deadline(*call);
}

void SipDialogs::State::on_register(const Arrival& arrival) {
    ++counters.out_of_dialog;
    if (auto registered = registrations.on_message(arrival.time_ns, arrival.source.ip, arrival.message))
        tell(arrival.time_ns, std::move(*registered));
}

// The call that a message of an unknown Call-ID starts, or nullptr.
SipCall* SipDialogs::State::start_if_due(const Arrival& arrival) {
    const SipMessage& message = arrival.message;
    if (const auto before = ended.find(message.call_id, arrival.time_ns)) {
        const bool anew =
            is_initial_invite(message) && message.cseq > before->highest_cseq && arrival.time_ns >= before->time_ns;
        return anew ? &start(arrival) : nullptr;
    }
    const bool invite = message.method == SipMethod::invite;
    // Without its INVITE, a call is worth following from the first message that shows where its audio goes.
    const bool shows_media = (invite || message.method == SipMethod::ack) && !arrival.sdp.empty() &&
                             !parse_sdp(arrival.sdp, CallParty::caller).empty();
    if ((invite && message.is_request()) || shows_media) return &start(arrival);
    ++counters.out_of_dialog;
    return nullptr;
}

SipCall& SipDialogs::State::start(const Arrival& arrival) {
    make_room(arrival.time_ns);
    const SipMessage& message = arrival.message;
    ended.remove(message.call_id);
    SipCall& call = calls.add(message.call_id);
    call.highest_cseq = message.cseq;
    call.tags.learn(CallParty::caller, message.from);
    if (!message.to.tag.empty()) call.tags.learn(CallParty::callee, message.to);
    const bool request = message.is_request();
    tell(arrival.time_ns,
         SipCallStarted{call.number, call.call_id, message.from.party, message.to.party, message.request_user,
                        request ? arrival.source : arrival.destination, request ? arrival.destination : arrival.source,
                        !request || is_initial_invite(message)});
    if (!request) call.legs.open(arrival.leg, identity_of(message.from));
    // Within a dialog an INVITE or ACK comes only after the answer.
    if (request && !is_initial_invite(message)) answer(call, arrival.time_ns);
    return call;
}

void SipDialogs::State::make_room(TimeNs time_ns) {
    while (calls.size() >= std::max<std::size_t>(limits.max_calls, 1)) {
        SipCall& oldest = *calls.dispensable();
        ++counters.calls_evicted;
        // An answered call's audio goes on; its recording ends when the audio does.
        if (!oldest.answered) tell(time_ns, SipCallEnded{oldest.number, SipCallEnd::failed, 0});
        calls.remove(oldest);
    }
}

// False when the call is no more.
bool SipDialogs::State::on_request(SipCall& call, const Arrival& arrival) {
    switch (arrival.message.method) {
        case SipMethod::invite:
            on_invite(call, arrival);
            break;
        case SipMethod::ack:
            on_ack(call, arrival);
            break;
        case SipMethod::prack:
        case SipMethod::update:
            tell_media(call, arrival);
            break;
        case SipMethod::cancel:
            if (!call.answered) call.legs.cancel(arrival.leg, arrival.time_ns);
            break;
        case SipMethod::bye:
            end(call, arrival.time_ns, SipCallEnd::bye, 0);
            return false;
        default:
            break;
    }
    return true;
}

void SipDialogs::State::on_invite(SipCall& call, const Arrival& arrival) {
    const SipMessage& message = arrival.message;
    if (message.to.tag.empty()) {
        call.tags.learn(CallParty::caller, message.from);
        call.highest_cseq = std::max(call.highest_cseq, message.cseq);
    }
    // Some phones put the To tag of the 401 or 407 into the INVITE that answers it.
    if (!call.answered && (message.to.tag.empty() || call.retry_until_ns)) {
        call.legs.open(arrival.leg, identity_of(message.from));
        if (!call.legs.none_outstanding()) call.retry_until_ns.reset();
    }
    tell_media(call, arrival);
}

void SipDialogs::State::on_ack(SipCall& call, const Arrival& arrival) {
    tell_media(call, arrival);
    // Where the mirror shows only one direction, an ACK tells that a 2xx came: that to a failure has the INVITE's
    // branch (RFC 3261 §17.1.1.3).
    const bool tells_answer = !arrival.sdp.empty() || (!call.response_seen && !call.legs.known(arrival.leg));
    if (!call.answered && tells_answer) answer(call, arrival.time_ns);
}

// False when the call is no more.
bool SipDialogs::State::on_response(SipCall& call, const Arrival& arrival) {
    const SipMessage& message = arrival.message;
    if (message.method != SipMethod::invite) {
        tell_media(call, arrival);
        return true;
    }
    calls.set_response_seen(call);
    if (message.status >= 300) return on_failure(call, arrival);
    if (!message.to.tag.empty()) {
        const bool by_callee = call.tags.requester(message) == CallParty::caller;
        call.tags.learn(by_callee ? CallParty::callee : CallParty::caller, message.to);
    }
    tell_media(call, arrival);
    if (message.status >= 200 && !call.answered) answer(call, arrival.time_ns);
    return true;
}

// False when the call is no more.
bool SipDialogs::State::on_failure(SipCall& call, const Arrival& arrival) {
    const int status = arrival.message.status;
    if (call.answered || !call.legs.fail(arrival.leg) || !call.legs.none_outstanding()) return true;
    if (invites_retry(status)) {
        call.failure_status = status;
        call.retry_until_ns = arrival.time_ns + kRetryWithinNs;
        return true;
    }
    const bool cancelled = status == kRequestTerminated;
    end(call, arrival.time_ns, cancelled ? SipCallEnd::cancelled : SipCallEnd::failed, cancelled ? 0 : status);
    return false;
}

void SipDialogs::State::tell_media(SipCall& call, const Arrival& arrival) {
    if (arrival.sdp.empty()) return;
    const bool by_caller = (call.tags.requester(arrival.message) == CallParty::caller) == arrival.message.is_request();
    auto media = parse_sdp(arrival.sdp, by_caller ? CallParty::caller : CallParty::callee);
    if (media.empty() || !call.media.is_news(media)) return;
    tell(arrival.time_ns, SipCallMedia{call.number, std::move(media)});
}

void SipDialogs::State::answer(SipCall& call, TimeNs time_ns) {
    calls.set_answered(call);
    tell(time_ns, SipCallAnswered{call.number});
}

void SipDialogs::State::end(SipCall& call, TimeNs time_ns, SipCallEnd reason, int status) {
    tell(time_ns, SipCallEnded{call.number, reason, status});
    ended.add(call.call_id, {time_ns, call.highest_cseq});
    calls.remove(call);
}

void SipDialogs::State::set_deadline(SipCall& call) {
    if (call.answered) return calls.set_deadline(call, std::nullopt);
    TimeNs deadline_ns = call.last_message_ns + limits.unanswered_ns;
    if (call.retry_until_ns) deadline_ns = std::min(deadline_ns, *call.retry_until_ns);
    if (const auto cancel_ns = call.legs.first_cancel_ns())
        deadline_ns = std::min(deadline_ns, *cancel_ns + kCancelAnswerWithinNs);
    calls.set_deadline(call, deadline_ns);
}

void SipDialogs::State::on_due(SipCall& call, TimeNs now_ns) {
    if (call.retry_until_ns && *call.retry_until_ns <= now_ns)
        return end(call, now_ns, SipCallEnd::failed, call.failure_status);
    const bool cancelled = call.legs.fail_cancelled_before(now_ns - kCancelAnswerWithinNs);
    if (cancelled && call.legs.none_outstanding()) return end(call, now_ns, SipCallEnd::cancelled, 0);
    if (call.last_message_ns + limits.unanswered_ns <= now_ns) return end(call, now_ns, SipCallEnd::failed, 0);
    set_deadline(call);
}

void SipDialogs::State::expire(TimeNs now_ns) {
    while (SipCall* call = calls.due(now_ns)) on_due(*call, now_ns);
    registrations.expire(now_ns);
    ended.expire(now_ns);
}

SipDialogs::SipDialogs(SipLimits limits, Emit emit) : state_(std::make_unique<State>(limits, std::move(emit))) {}
SipDialogs::~SipDialogs() = default;

void SipDialogs::on_message(TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                            std::span<const std::uint8_t> message) {
    state_->on_bytes(time_ns, source, destination, message);
}

void SipDialogs::forget(std::uint64_t call) {
    if (SipCall* known = state_->calls.find(call)) state_->calls.remove(*known);
}

void SipDialogs::expire(TimeNs now_ns) { state_->expire(now_ns); }

SipCounters SipDialogs::counters() const { return state_->counters; }

std::size_t SipDialogs::calls() const { return state_->calls.size(); }

}  // namespace spantape
