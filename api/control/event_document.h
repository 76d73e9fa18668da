// SPDX-License-Identifier: AGPL-3.0-or-later
// The seven events of the manual (Event Interface), with their fields in the manual's order.
#pragma once

#include "api/protocol/message.h"
#include "storage/recording.h"

namespace spantape {

struct EventContext {
    const Recording* fields = nullptr;  // the call's or the recording's
    TimeNs start_ns = 0;                // STARTTIME
    std::string error_reason = "NONE";
};

// type: CALLSTART CALLSTOP RECORDINGSTARTED RECORDINGSTOPPED RECORDINGUPDATE RECORDINGPAUSED RECORDINGRESUMED
api::Event event_document(const std::string& type, const EventContext& context);

// "1/31/2011 2:39:49 PM" in the process's time zone; "" for 0.
std::string manual_time(TimeNs time_ns);

}  // namespace spantape
