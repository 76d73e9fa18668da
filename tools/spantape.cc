// SPDX-License-Identifier: AGPL-3.0-or-later
// `spantape`, the command line: records captures without a daemon, reads stores, and speaks to a running appliance.
#include <cstdlib>
#include <exception>
#include <iostream>

#include <sys/ioctl.h>
#include <unistd.h>

#include "capture/base/open_files.h"
#include "tools/cli/command_line.h"

namespace {

using namespace spantape::cli;

// Of the terminal that standard output is; 0 when it is none.
std::size_t terminal_columns() {
    winsize size{};
    if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

int run_command(int argc, char** argv) {
    const auto command = parse_command_line(argc, argv);
    if (!command) {
        (command.error().exit_status == kFine ? std::cout : std::cerr) << command.error().text << std::flush;
        return command.error().exit_status;
    }
    const Console console{std::cout, std::cerr, terminal_columns(), isatty(STDERR_FILENO) != 0};
    const int status = std::visit([&](const auto& each) { return run(each, console); }, *command);
    std::cout.flush();
    if (!std::cout) return console.failed("standard output cannot be written");
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    tzset();
    spantape::raise_open_files_limit();
    try {
        return run_command(argc, argv);
    } catch (const std::exception& error) {  // no memory, no threads: what no function of ours can answer
        std::cerr << "spantape: " << error.what() << '\n';
        return kFailed;
    }
}
