// SPDX-License-Identifier: AGPL-3.0-or-later
// REGISTER requests that wait for their answer (RFC 3261 §10), and what a 2xx makes of them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "capture/base/clock.h"
#include "capture/sip/events.h"
#include "capture/sip/message.h"

namespace spantape {

class Registrations {
public:
    explicit Registrations(std::size_t max_pending) : max_pending_(max_pending) {}

    // A REGISTER request or an answer to one. A registration when it is the first 2xx to a remembered request.
    std::optional<SipRegistered> on_message(TimeNs time_ns, const IpAddress& source, const SipMessage& message);
    // Forgets requests that nobody answered.
    void expire(TimeNs now_ns);

private:
    struct Request {
        TimeNs time_ns = 0;
        IpAddress source;
        std::string user;
        SipContact contact;
        std::uint32_t expires_s = 0;
    };

    void remember(TimeNs time_ns, const IpAddress& source, const SipMessage& message);

    std::size_t max_pending_;
    std::unordered_map<std::string, Request> pending_;     // by Call-ID and CSeq
    std::deque<std::pair<TimeNs, std::string>> in_order_;  // keys of pending_, and of some already answered
};

}  // namespace spantape
