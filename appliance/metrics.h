// SPDX-License-Identifier: AGPL-3.0-or-later
// The statistics in the text format of Prometheus, version 0.0.4: what GET /metrics answers. The only user of
// prometheus-cpp.
#pragma once

#include <string>

#include "appliance/statistics.h"

namespace spantape {

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Reads /proc/self for the process's own figures; those that cannot be read are left out.
[[nodiscard]] std::string metrics_text(const Statistics& statistics);

}  // namespace spantape
