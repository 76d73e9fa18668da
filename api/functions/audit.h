// SPDX-License-Identifier: AGPL-3.0-or-later
// What a function tells the audit log: who asked for what and what came of it. Names of parameters, and of their
// values the device and what names an entry of the directory: the others may be anything, secrets too.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/functions/function_table.h"
#include "api/protocol/message.h"

namespace spantape::api {

struct AuditEntry {
    std::string what;      // TYPE
    std::string listener;  // "xml", "events", "webapi", "tls", "xml_tls"
    std::string from;      // the client's address
    std::string user;      // USERNAME; "" when none logged in
    std::string device;    // DEVICEID as given; "" without
    std::string reason;    // REASON, of functions that have one
    std::vector<std::string> parameters;
    // What a function of the directory was to change: the parameters that name it, and the ids that were found.
    std::vector<std::pair<std::string, std::string>> about;
    std::vector<std::uint64_t> recordings;  // given out or changed
    std::size_t found = 0;                  // of a listing: recordings in the answer
    ResultCode result = ResultCode::API_OK;
};

// Called on the control thread for each request that changes, starts, exports or lists; must not wait for a disk.
using AuditSink = std::function<void(AuditEntry&&)>;

// Functions that only look at the state of the moment are left out, and TEST.
[[nodiscard]] bool is_audited(const FunctionDescription& function);
[[nodiscard]] AuditEntry audit_entry(const Request& request, const Client& client);
// `entry` with what the reply tells.
[[nodiscard]] AuditEntry audit_result(AuditEntry entry, const Reply& reply);

}  // namespace spantape::api
