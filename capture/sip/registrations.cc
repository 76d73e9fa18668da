// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/registrations.h"

#include <algorithm>

namespace spantape {

namespace {

constexpr TimeNs kAnswerWithinNs = 64 * kNsPerSecond;  // twice timer F (RFC 3261 §17.1.2.2): proxies wait as well
constexpr std::uint32_t kDefaultExpiresS = 3600;       // RFC 3261 §10.2

std::string key_of(const SipMessage& message) { return message.call_id + ' ' + std::to_string(message.cseq); }

std::uint32_t expires_of(const SipContact& contact, const SipMessage& message) {
    return contact.expires_s.value_or(message.expires_s.value_or(kDefaultExpiresS));
}

// Phones that change their port unbind the old contact and bind the new one in one request: the binding counts.
const SipContact& lasting_contact(const SipMessage& message) {
    return *std::max_element(message.contacts.begin(), message.contacts.end(),
                             [&](const SipContact& left, const SipContact& right) {
                                 return expires_of(left, message) < expires_of(right, message);
                             });
}

// The registrar has the last word on how long (RFC 3261 §10.3 step 8); its answer lists other phones' bindings too.
std::uint32_t granted(const SipMessage& answer, const SipContact& contact, std::uint32_t asked_s) {
    if (asked_s == 0) return 0;
    const auto same = std::find_if(answer.contacts.begin(), answer.contacts.end(), [&](const SipContact& other) {
        return other.user == contact.user && other.host_port == contact.host_port;
    });
    if (same != answer.contacts.end() && same->expires_s) return *same->expires_s;
    return answer.expires_s.value_or(asked_s);
}

}  // namespace

void Registrations::remember(TimeNs time_ns, const IpAddress& source, const SipMessage& message) {
    if (message.contacts.empty() || max_pending_ == 0) return;  // without Contact it only asks
    while (in_order_.size() >= max_pending_) {
        pending_.erase(in_order_.front().second);
        in_order_.pop_front();
    }
    const SipContact& contact = lasting_contact(message);
    // Proxies send it on under the same Call-ID and CSeq: the first that is seen comes from the phone itself.
    const auto [at, is_new] = pending_.try_emplace(
        key_of(message), Request{time_ns, source, message.to.party.user, contact, expires_of(contact, message)});
    if (is_new) in_order_.emplace_back(time_ns, at->first);
}

std::optional<SipRegistered> Registrations::on_message(TimeNs time_ns, const IpAddress& source,
                                                       const SipMessage& message) {
    if (message.is_request()) {
        remember(time_ns, source, message);
        return std::nullopt;
    }
    if (message.status < 200 || message.status >= 300) return std::nullopt;
    const auto answered = pending_.extract(key_of(message));
    if (answered.empty()) return std::nullopt;
    const Request& request = answered.mapped();
    return SipRegistered{request.user, request.source, request.contact.user,
                         granted(message, request.contact, request.expires_s)};
}

void Registrations::expire(TimeNs now_ns) {
    while (!in_order_.empty() && in_order_.front().first + kAnswerWithinNs <= now_ns) {
        pending_.erase(in_order_.front().second);
        in_order_.pop_front();
    }
}

}  // namespace spantape
