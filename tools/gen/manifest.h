// SPDX-License-Identifier: AGPL-3.0-or-later
// The truth about what was sent, one JSON document, written call by call as they end.
#pragma once

#include <fstream>
#include <string>

#include "capture/base/result.h"
#include "tools/gen/audio_source.h"
#include "tools/gen/call.h"
#include "tools/gen/options.h"

namespace spantape::gen {

class Manifest {
public:
    // With an empty path nothing is written.
    static Result<Manifest> open(const GenOptions& options);
    void add(const GenCall& call, const AudioSource& audio);
    Result<> finish();

private:
    std::string path_;
    std::ofstream file_;
    bool first_ = true;
};

}  // namespace spantape::gen
