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
    std::string store;       // "": a directory of its own, removed at the end
    bool clear = false;      // store the audio without encryption
    std::string master_key;  // of the store; "": its own
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
    std::string store;          // not "": read from there instead of asking the WebAPI
    std::string master_key;     // of the store; "": its own
    std::string picture;        // not "": instead of audio a waveform of the one recording, to this file
    std::string password_file;  // of the store, to CAV: its first line seals the files; "": they are not sealed
};
int run(const ExportCommand& command, const Console& console);

// What is in a CAV file.
struct CavCommand {
    std::string file;
    std::string out = ".";
    std::string password_file;  // "": it is not sealed
};
int run(const CavCommand& command, const Console& console);

// What a running appliance calls its fields.
struct TerminologyCommand {
    std::vector<std::string> changes;  // "name=value", made first; "name=": back to the configuration's
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const TerminologyCommand& command, const Console& console);

// The schedule of a running appliance.
struct ScheduleCommand {
    std::string action = "list";        // add, modify, delete, move, reset
    std::string name;                   // of the rule
    std::vector<std::string> settings;  // "key=value"; "key=" takes it out
    std::uint32_t position = 0;         // where it is put; 0: at the end, or where it is
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const ScheduleCommand& command, const Console& console);

// The archive actions of a running appliance.
struct ArchiveActionCommand {
    std::string action = "list";        // add, modify, delete
    std::string number;                 // which
    std::vector<std::string> settings;  // "key=value"
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const ArchiveActionCommand& command, const Console& console);

// Which calls have no full recording; kFailed when there are any.
struct AssuranceCommand {
    std::string store;  // not "": of what is in there, without its daemon
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const AssuranceCommand& command, const Console& console);

// Why a call was or was not recorded.
struct ExplainCommand {
    std::string call;  // RECORDID, GLOBALCALLID, or with `device` a DEVICEID, of which the newest call
    bool device = false;
    std::string server = kDefaultServer;
    bool json = false;
};
int run(const ExplainCommand& command, const Console& console);

struct SendCommand {
    std::string file;  // "-": standard input
    std::string server = kDefaultServer;
};
int run(const SendCommand& command, const Console& console);

// Wraps all keys of a store anew under another master key, which takes the place of the old one.
struct RekeyCommand {
    std::string store;
    std::string master_key;  // "": its own
};
int run(const RekeyCommand& command, const Console& console);

struct VerifyCommand {
    std::string store;
    std::string master_key;  // "": its own
    bool json = false;
};
inline constexpr int kCannotBeRead = 2;  // exit status of verify: it is not known whether the store is whole
int run(const VerifyCommand& command, const Console& console);

struct RebuildCommand {
    std::string store;
    bool json = false;
};
int run(const RebuildCommand& command, const Console& console);

struct AuditCommand {
    std::string store = kDefaultStore;
    TimeNs from_ns = INT64_MIN, to_ns = INT64_MAX;
    std::string who, what;  // "": all
    bool check = false;     // prove both logs instead
    std::string key;        // for that; "": the store's signing.pub
    bool json = false;
};
int run(const AuditCommand& command, const Console& console);

// `purge`, `lock` and `unlock`: through the daemon that has the store, or on the store itself.
struct KeepCommand {
    enum class Act : std::uint8_t { purge, lock, unlock } act = Act::purge;
    std::vector<std::uint64_t> idents;
    std::string reason;
    std::string server = kDefaultServer;
    std::string store;       // not "": there, without its daemon
    std::string master_key;  // of that; "": its own
};
int run(const KeepCommand& command, const Console& console);

// The API's functions, their parameters and states.
struct FunctionsCommand {
    bool json = false;
    bool markdown = false;  // README's table
};
int run(const FunctionsCommand& command, const Console& console);

using Command = std::variant<AuditCommand, FunctionsCommand, KeepCommand, RecordCommand, CallsCommand, DevicesCommand,
                             ChannelsCommand, StatusCommand, WatchCommand, ExportCommand, CavCommand, SendCommand,
                             RekeyCommand, VerifyCommand, RebuildCommand, TerminologyCommand, ScheduleCommand,
                             ExplainCommand, AssuranceCommand, ArchiveActionCommand>;

}  // namespace spantape::cli
