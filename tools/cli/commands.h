// SPDX-License-Identifier: AGPL-3.0-or-later
// The commands of `spantape`: their options, as the command line gives them, and what runs them. Each gives the exit
// status: 0 all well, 1 something failed (said on console.err).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "storage/index/index.h"
#include "tools/cli/console.h"

namespace spantape::cli {

inline constexpr const char* kDefaultStore = "/var/lib/spantape";
inline constexpr const char* kDefaultServer = "127.0.0.1:5620";
inline constexpr const char* kDefaultWebApi = "127.0.0.1:2012";

inline constexpr const char* kNoAudio = "none";  // RecordCommand::format

struct RecordCommand {
    std::vector<std::string> files;
    std::string store;  // "": a directory of its own, removed at the end
    std::string out = ".";
    std::string format = "wav";
    std::uint32_t channels = 100'000;
    std::vector<std::string> match;
    bool json = false;
};
int run(const RecordCommand& command, const Console& console);

struct CallsCommand {
    std::string store = kDefaultStore;
    RecordingQuery query;
    bool json = false;
};
int run(const CallsCommand& command, const Console& console);

struct DevicesCommand {
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const DevicesCommand& command, const Console& console);

struct ChannelsCommand {
    std::string server = kDefaultServer;
    bool all = false;  // the idle ones too
    bool json = false;
};
int run(const ChannelsCommand& command, const Console& console);

struct StatusCommand {
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const StatusCommand& command, const Console& console);

struct WatchCommand {
    std::string server = kDefaultServer;
    std::string event_class = "ALL";
    std::string device;  // "": all
    bool json = false;
};
int run(const WatchCommand& command, const Console& console);

struct ExportCommand {
    std::vector<std::uint64_t> idents;
    std::string out = ".";
    std::string format = "wav";
    std::string webapi = kDefaultWebApi;
    std::string store;  // not "": read from there instead of asking the WebAPI
};
int run(const ExportCommand& command, const Console& console);

struct SendCommand {
    std::string file;  // "-": standard input
    std::string server = kDefaultServer;
};
int run(const SendCommand& command, const Console& console);

using Command = std::variant<RecordCommand, CallsCommand, DevicesCommand, ChannelsCommand, StatusCommand, WatchCommand,
                             ExportCommand, SendCommand>;

}  // namespace spantape::cli
