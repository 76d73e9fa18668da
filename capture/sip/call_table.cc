// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/call_table.h"

namespace spantape {

SipCall* CallTable::find(std::string_view call_id) const {
    const auto found = by_call_id_.find(call_id);
    return found == by_call_id_.end() ? nullptr : found->second;
}

SipCall* CallTable::find(std::uint64_t number) const {
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : found->second.get();
}

SipCall& CallTable::add(std::string call_id) {
    auto call = std::make_unique<SipCall>();
    SipCall& added = *call;
    added.number = ++last_number_;
    added.call_id = std::move(call_id);
    by_call_id_.emplace(added.call_id, &added);
    silent_.insert(added.number);
    by_number_.emplace(added.number, std::move(call));
    return added;
}

void CallTable::set_response_seen(SipCall& call) {
    call.response_seen = true;
    if (silent_.erase(call.number) != 0) unanswered_.insert(call.number);
}

void CallTable::set_answered(SipCall& call) {
    call.answered = true;
    call.retry_until_ns.reset();
    call.legs.clear();
    silent_.erase(call.number);
    unanswered_.erase(call.number);
}

void CallTable::set_deadline(SipCall& call, std::optional<TimeNs> deadline_ns) {
    if (call.deadline_ns == deadline_ns) return;
    if (call.deadline_ns) by_deadline_.erase({*call.deadline_ns, call.number});
    if (deadline_ns) by_deadline_.insert({*deadline_ns, call.number});
    call.deadline_ns = deadline_ns;
}

void CallTable::remove(SipCall& call) {
    set_deadline(call, std::nullopt);
    silent_.erase(call.number);
    unanswered_.erase(call.number);
    by_call_id_.erase(call.call_id);
    by_number_.erase(call.number);
}

SipCall* CallTable::dispensable() const {
    if (!silent_.empty()) return find(*silent_.begin());
    if (!unanswered_.empty()) return find(*unanswered_.begin());
    return by_number_.empty() ? nullptr : by_number_.begin()->second.get();
}

SipCall* CallTable::due(TimeNs now_ns) const {
    if (by_deadline_.empty() || by_deadline_.begin()->first > now_ns) return nullptr;
    return find(by_deadline_.begin()->second);
}

void EndedCalls::drop_oldest() {
    const auto& [time_ns, call_id] = in_order_.front();
    const auto found = by_call_id_.find(call_id);
    // It may have started anew and ended again since.
    if (found != by_call_id_.end() && found->second.time_ns == time_ns) by_call_id_.erase(found);
    in_order_.pop_front();
}

void EndedCalls::add(const std::string& call_id, Ended ended) {
    while (!in_order_.empty() && in_order_.size() >= max_calls_) drop_oldest();
    by_call_id_.insert_or_assign(call_id, ended);
    in_order_.emplace_back(ended.time_ns, call_id);
}

std::optional<EndedCalls::Ended> EndedCalls::find(const std::string& call_id, TimeNs now_ns) const {
    const auto found = by_call_id_.find(call_id);
    if (found == by_call_id_.end() || found->second.time_ns + linger_ns_ <= now_ns) return std::nullopt;
    return found->second;
}

void EndedCalls::expire(TimeNs now_ns) {
    while (!in_order_.empty() && in_order_.front().first + linger_ns_ <= now_ns) drop_oldest();
}

}  // namespace spantape
