// SPDX-License-Identifier: AGPL-3.0-or-later
// The calls that are known, by Call-ID, by number and by deadline, and the Call-IDs that ended a short while ago.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "capture/sip/sip_call.h"

namespace spantape {

class CallTable {
public:
    [[nodiscard]] SipCall* find(std::string_view call_id) const;
    [[nodiscard]] SipCall* find(std::uint64_t number) const;
    [[nodiscard]] std::size_t size() const { return by_number_.size(); }

    // The call_id must not be in the table yet. Numbers rise from 1. The call starts unanswered.
    SipCall& add(std::string call_id);
    void set_response_seen(SipCall& call);
    void set_answered(SipCall& call);
    void set_deadline(SipCall& call, std::optional<TimeNs> deadline_ns);
    void remove(SipCall& call);

    // Which call gives way when the table is full: the oldest that nobody responded to, else the oldest unanswered,
    // else the oldest; nullptr when empty.
    [[nodiscard]] SipCall* dispensable() const;
    // A call whose deadline is not after now, or nullptr.
    [[nodiscard]] SipCall* due(TimeNs now_ns) const;

private:
    std::map<std::uint64_t, std::unique_ptr<SipCall>> by_number_;  // in order of age
    std::unordered_map<std::string_view, SipCall*> by_call_id_;    // keys are the calls' own
    std::set<std::uint64_t> silent_;                               // numbers; no response was seen, nor an answer told
    std::set<std::uint64_t> unanswered_;                           // numbers of the others
    std::set<std::pair<TimeNs, std::uint64_t>> by_deadline_;       // time, number
    std::uint64_t last_number_ = 0;
};

// Call-IDs of ended calls, so that what is still under way of them starts nothing.
class EndedCalls {
public:
    struct Ended {
        TimeNs time_ns = 0;
        std::uint32_t highest_cseq = 0;
    };

    EndedCalls(std::size_t max_calls, TimeNs linger_ns) : max_calls_(max_calls), linger_ns_(linger_ns) {}

    void add(const std::string& call_id, Ended ended);
    void remove(const std::string& call_id) { by_call_id_.erase(call_id); }
    // Nothing when it is unknown or ended longer ago than the linger time.
    [[nodiscard]] std::optional<Ended> find(const std::string& call_id, TimeNs now_ns) const;
    void expire(TimeNs now_ns);

private:
    void drop_oldest();

    std::size_t max_calls_;
    TimeNs linger_ns_;
    std::unordered_map<std::string, Ended> by_call_id_;
    std::deque<std::pair<TimeNs, std::string>> in_order_;
};

}  // namespace spantape
