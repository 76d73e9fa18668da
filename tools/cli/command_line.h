// SPDX-License-Identifier: AGPL-3.0-or-later
// Arguments to a command.
#pragma once

#include <expected>
#include <string>

#include "tools/cli/commands.h"

namespace spantape::cli {

// There is no command to run: help or version was asked for (kFine), or the arguments are wrong (kWrongUsage).
struct NoCommand {
    int exit_status = kFine;
    std::string text;
};

// argv[0] is the name of the program.
std::expected<Command, NoCommand> parse_command_line(int argc, const char* const* argv);

}  // namespace spantape::cli
