// SPDX-License-Identifier: AGPL-3.0-or-later
// The statistics as the elements of APPLIANCESTATUS's answer, which `spantape status` shows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/protocol/message.h"
#include "appliance/statistics.h"

namespace spantape {

// A PROBLEM section for each: NAME, SINCE, MESSAGE.
[[nodiscard]] std::vector<api::Element> problem_sections(const std::map<std::string, Problem>& problems);

// First the sums, then the problems, then a WORKER section for each worker, a SOURCE section for each source of each
// worker, and a SOURCEDROPS section for each configured source that delivered packets of no use. Of a section's drops
// only those that occurred; PACKETRATE a second, BUSYPERCENT of its time.
[[nodiscard]] std::vector<api::Element> status_document(const Statistics& statistics, const Rates& rates);

}  // namespace spantape
