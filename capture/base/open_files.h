// SPDX-License-Identifier: AGPL-3.0-or-later
#pragma once

#include <sys/resource.h>

namespace spantape {

// As many open files as this process may have; what a shell or systemd begins with (1,024) is less than the files of an
// index of ten million recordings, or than so many connections.
inline void raise_open_files_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // refused: then it stays as it was
}

}  // namespace spantape
