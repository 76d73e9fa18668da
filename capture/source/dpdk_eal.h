// SPDX-License-Identifier: AGPL-3.0-or-later
// DPDK's Environment Abstraction Layer: memory, buses, drivers. It belongs to the process and can be started once in
// its life, so that its state is the one thing here that is global; it is started by the first dpdk: source, and
// without one it costs nothing.
#pragma once

#include <string>

#include "capture/base/result.h"
#include "capture/source/source.h"

namespace spantape {

// Starts the EAL, once; later calls give the first one's result, whatever their options. Any thread. The calling
// thread's affinity stays as it was, no signal handler is left behind, and no device is touched. An error says why:
// no huge pages where options.huge is always, no memory, a wrong argument.
Result<> start_eal(const DpdkOptions& options);

// What DPDK logged as errors and warnings since the last call, joined by "; ", with ": " in front; "" when nothing.
// It goes into our error messages; what DPDK says while all is well is not shown.
std::string take_dpdk_complaints();

}  // namespace spantape
