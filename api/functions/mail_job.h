// SPDX-License-Identifier: AGPL-3.0-or-later
// A mail that a function asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "api/functions/exports.h"
#include "storage/export/mail.h"

namespace spantape::api {

struct MailJob {
    std::vector<std::uint64_t> idents;  // their audio, one after the other, in one file
    std::string to, to_name, from, from_name;
    ExportWish wish;
};

// Tries once and calls back on the control thread with what came of it; `later`: it will be tried again.
using MailSink = std::function<void(MailJob&& job, std::function<void(const MailResult&)> done)>;

}  // namespace spantape::api
