// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls as SIP shows them.
#include <algorithm>

#include <fmt/format.h>

#include "api/control/call_control.h"

namespace spantape {

namespace {
constexpr TimeNs kMaxHoldTimeouts = 60;  // a call on hold without media ends after so many media_timeouts
constexpr std::size_t kAddressesPerDevice = 4;
constexpr std::size_t kOffersPerSession = 256;  // endpoints that one call may name

void remember_address(std::vector<IpAddress>& addresses, const IpAddress& address) {
    std::erase(addresses, address);
    addresses.push_back(address);
    if (addresses.size() > kAddressesPerDevice) addresses.erase(addresses.begin());
}
}  // namespace

namespace {

// What was not named again stays: frames under way may still need it.
void add_to(Session::Offer& offer, const MediaDescription& newer) {
    for (const PayloadMapping& mapping : newer.payloads) {
        std::erase_if(offer.payloads,
                      [&](const PayloadMapping& old) { return old.payload_type == mapping.payload_type; });
        offer.payloads.push_back(mapping);
    }
    constexpr std::size_t kKeys = 8;
    for (const SrtpKey& key : newer.srtp_keys) {
        std::erase(offer.srtp_keys, key);
        offer.srtp_keys.push_back(key);
        if (offer.srtp_keys.size() > kKeys) offer.srtp_keys.erase(offer.srtp_keys.begin());
    }
    offer.srtp_profile = newer.srtp_profile;
}

}  // namespace

bool CallControl::is_device(const std::string& user) const {
    return std::any_of(device_match_.begin(), device_match_.end(),
                       [&](const std::regex& pattern) { return std::regex_match(user, pattern); });
}

void CallControl::sip_started(const SipCallStarted& started, TimeNs now_ns) {
    const std::string& called = !started.to.user.empty() ? started.to.user : started.request_user;
    std::vector<std::pair<std::string, CallParty>> on;
    if (device_match_.empty()) {
        on.emplace_back(!called.empty() ? called : started.to.host, CallParty::callee);
    } else {
        if (is_device(started.from.user)) on.emplace_back(started.from.user, CallParty::caller);
        if (is_device(called))
            on.emplace_back(called, CallParty::callee);
        else if (is_device(started.request_user))
            on.emplace_back(started.request_user, CallParty::callee);
    }
    if (on.empty()) return;  // between parties that are no phones of ours
    if (on.front().first.empty()) on.front().first = "unknown";
    for (auto& [device_id, party] : on) device_id = first_characters(device_id, kDeviceCharacters);
    std::erase_if(on, [&](const auto& each) {
        const auto known = devices_.find(each.first);
        return known != devices_.end() && joined_call(known->second, started, each.second, now_ns, Leg::farther);
    });
    if (on.empty()) return;  // all that it is of is followed on a nearer leg
    const auto session = open_session();
    sip_sessions_[started.call] = session;
    auto& calls = sip_calls_[started.call];
    for (const auto& [device_id, party] : on) calls.push_back(sip_call_on(device_id, started, party, session, now_ns));
    session->wanted = std::ranges::any_of(calls, [](const CallPtr& call) { return call->wanted; });
}

// A B2BUA makes two dialogs of one conversation, each with a Call-ID of its own: what goes in at one host comes out of
// it, between the same users, while nobody has answered yet. The leg to the device is the one that is recorded; by the
// other the same media would be stored, and heard, twice.
CallControl::Leg CallControl::leg_of(const Call& known, const SipCallStarted& started, CallParty device_party,
                                     TimeNs now_ns) const {
    constexpr TimeNs kApartNs = 10 * kNsPerSecond;
    const IpAddress& caller = started.caller_signalling.ip;
    const IpAddress& callee = started.callee_signalling.ip;
    const std::string& called = !started.to.user.empty() ? started.to.user : started.request_user;
    const bool same = known.active() && known.sip_call != 0 && known.answer_ns == 0 &&
                      known.device_party == device_party && known.fields.ani == started.from.user &&
                      known.fields.dnis == called && now_ns - known.start_ns < kApartNs;
    if (!same || caller == callee || known.sip_caller == known.sip_callee) return Leg::own;
    const bool onward = caller == known.sip_callee && callee != known.sip_caller;
    const bool inward = callee == known.sip_caller && caller != known.sip_callee;
    if (onward == inward) return Leg::own;
    return onward == (device_party == CallParty::callee) ? Leg::nearer : Leg::farther;
}

CallControl::CallPtr CallControl::joined_call(Device& on, const SipCallStarted& started, CallParty device_party,
                                              TimeNs now_ns, Leg wanted) {
    const auto at = std::ranges::find_if(
        on.calls, [&](const CallPtr& known) { return leg_of(*known, started, device_party, now_ns) == wanted; });
    return at == on.calls.end() ? nullptr : *at;
}

CallControl::CallPtr CallControl::sip_call_on(const std::string& device_id, const SipCallStarted& started,
                                              CallParty device_party, const std::shared_ptr<Session>& session,
                                              TimeNs now_ns) {
    Device& on = device(device_id);
    // A call that the API announced and that has found no media yet is this one.
    CallPtr call;
    for (const auto& known : on.calls)
        if (known->active() && known->sip_call == 0 && !known->by_media &&
            (!known->session || known->session->streams.empty()))
            call = known;
    // Or it is the nearer leg of one that is known.
    const CallPtr farther = call != nullptr ? nullptr : joined_call(on, started, device_party, now_ns, Leg::nearer);
    if (farther != nullptr) {
        call = farther;
        if (const auto leg = sip_calls_.find(call->sip_call); leg != sip_calls_.end()) std::erase(leg->second, call);
    }
    const bool announced = call != nullptr;
    if (!announced) {
        call = new_call(on, now_ns, started.from_beginning);
        call->fields.call_instance = fmt::to_string(call->number);
    } else if (call->session) {
        // Its recording goes on in the session that SIP describes.
        std::erase(call->session->calls, call);
        end_session(call->session);
    }
    call->sip_call = started.call;
    call->sip_caller = started.caller_signalling.ip;
    call->sip_callee = started.callee_signalling.ip;
    if (announced && call->recordings.empty()) call->answer_ns = 0;  // SIP tells when it is
    call->device_party = device_party;
    call->session = session;
    session->calls.push_back(call);
    impose_all(*call);
    const std::string farther_id = farther != nullptr ? call->fields.call_id : "";
    const auto describe = [&](Recording& fields) {
        const auto fill = [](std::string& field, const std::string& value) {
            if (field.empty()) field = value;
        };
        if (fields.call_id == farther_id) fields.call_id.clear();
        fill(fields.call_id, started.call_id);
        fill(fields.ani, started.from.user);
        fill(fields.dnis, !started.to.user.empty() ? started.to.user : started.request_user);
        if (fields.direction == "?") fields.direction = device_party == CallParty::callee ? "I" : "O";
    };
    describe(call->fields);
    if (!announced || (!call->wanted && call->recordings.empty())) ask_schedule(*call);
    if (!announced) publish("CALLSTART", *call, nullptr);
    for (const auto& recording : call->recordings) {
        recording->session = session;
        recording->fields.session_id = session->id;
        describe(recording->fields);
    }
    write_documents(*call);
    return call;
}

void CallControl::sip_media(const SipCallMedia& media, TimeNs now_ns) {
    const auto at = sip_sessions_.find(media.call);
    for (const MediaDescription& description : media.media) {
        if (description.endpoint.ip.is_unspecified() || description.endpoint.port == 0) continue;
        explained_media_.described(media.call, description.endpoint);
        signalled(at == sip_sessions_.end() ? nullptr : at->second.get(), description.endpoint);
    }
    if (at == sip_sessions_.end()) return;
    Session& session = *at->second;
    bool held[2] = {true, true};
    bool said[2] = {false, false};
    for (const MediaDescription& description : media.media) {
        const auto party = static_cast<std::size_t>(description.party);
        said[party] = true;
        held[party] &= description.on_hold;
        if (description.endpoint.ip.is_unspecified() || description.endpoint.port == 0) continue;
        auto offer = std::find_if(session.offers.begin(), session.offers.end(), [&](const Session::Offer& known) {
            return known.endpoint == description.endpoint && known.party == description.party;
        });
        if (offer == session.offers.end() && session.offers.size() >= kOffersPerSession) continue;
        if (offer == session.offers.end()) {
            session.offers.push_back(description);
        } else {
            add_to(*offer, description);
        }
        if (session.wanted && !session.ending) watch(session, description);
        for (const CallPtr& call : session.calls) {
            if (call->device_party == description.party)
                remember_address(device(call->fields.device_id).addresses, description.endpoint.ip);
            const bool device_there = call->device_party == description.party;
            phones_.learn(device_there ? call->fields.device_id
                                       : std::string(first_characters(call->fields.ani, kDeviceCharacters)),
                          description.endpoint.ip, PhoneAddresses::From::call);
        }
    }
    // A hold comes after the answer; "sendonly" in the answer itself is an announcement.
    const bool answered = std::any_of(session.calls.begin(), session.calls.end(), [&](const CallPtr& call) {
        return call->answer_ns != 0 && call->answer_ns < now_ns;
    });
    for (const std::size_t party : {0u, 1u})
        if (said[party]) session.held[party] = held[party] && answered;
    assign_payloads(session);
    for (const CallPtr& call : session.calls) write_documents(*call);
    now_ns_ = std::max(now_ns_, now_ns);
}

void CallControl::sip_answered(const SipCallAnswered& answered, TimeNs now_ns) {
    const auto at = sip_calls_.find(answered.call);
    if (at == sip_calls_.end()) return;
    for (const CallPtr& call : at->second) {
        if (!call->active() || call->answer_ns != 0) continue;
        call->answer_ns = now_ns;
        if (call->recordings.empty()) start_recording(*call, now_ns, false);
    }
}

// Its end was not seen and is taken for granted.
void CallControl::forget_sip_call(std::uint64_t sip_call) {
    outputs_.forget_sip_call(sip_call);
    sip_calls_.erase(sip_call);
    sip_sessions_.erase(sip_call);
    explained_media_.call_over(sip_call, now_ns_);
}

void CallControl::sip_ended(const SipCallEnded& ended, TimeNs now_ns) {
    const auto calls = sip_calls_.extract(ended.call);
    sip_sessions_.erase(ended.call);
    explained_media_.call_over(ended.call, now_ns);
    if (calls.empty()) return;
    const char* reason = ended.reason == SipCallEnd::bye         ? "bye"
                         : ended.reason == SipCallEnd::cancelled ? "cancelled"
                                                                 : "failed";
    for (const CallPtr& call : calls.mapped())
        if (call->active()) end_call(*call, now_ns, reason, true);
}

void CallControl::sip_registered(const SipRegistered& registered) {
    constexpr std::size_t kMaxUsers = 200'000;
    const auto learn = [&](const std::string& name) {
        const std::string user(first_characters(name, kDeviceCharacters));
        if (user.empty()) return;
        const auto at = registered_.find(user);
        if (registered.expires_s == 0) {
            if (at != registered_.end()) std::erase(at->second, registered.address);
            return phones_.forget(user, registered.address);
        }
        if (at == registered_.end() && registered_.size() >= kMaxUsers) return;
        remember_address(registered_[user], registered.address);
        if (const auto known = devices_.find(user); known != devices_.end())
            remember_address(known->second.addresses, registered.address);
    };
    if (registered.expires_s != 0)
        phones_.learn(std::string(first_characters(registered.user, kDeviceCharacters)), registered.address,
                      PhoneAddresses::From::registration);
    learn(registered.user);
    if (registered.contact_user != registered.user) learn(registered.contact_user);
    // A phone that registers is a device that calls can be started on.
    const bool ours = device_match_.empty() || is_device(registered.user);
    if (ours && registered.expires_s != 0 && !registered.user.empty() && devices_.size() < kMaxUsers)
        device(std::string(first_characters(registered.user, kDeviceCharacters))).kept = true;
}

void CallControl::session_quiet(Session& session, const WorkerEvent& event, TimeNs now_ns) {
    session.quiet_since_report[event.worker] = now_ns;
    session.last_media_ns = std::max(session.last_media_ns, event.time_ns);
    for (const auto& [worker, reported_ns] : session.quiet_since_report)
        if (now_ns - reported_ns > 3 * kNsPerSecond) return;  // that worker still hears it
    const bool held = session.held[0] || session.held[1];
    if (held && now_ns - session.last_media_ns < options_.media_timeout_ns * kMaxHoldTimeouts) return;
    const auto calls = session.calls;
    for (const CallPtr& call : calls) {
        if (!call->active()) continue;
        if (call->sip_call != 0) forget_sip_call(call->sip_call);
        end_call(*call, session.last_media_ns, "media_timeout", false);
    }
}

}  // namespace spantape
