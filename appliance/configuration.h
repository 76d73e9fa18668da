// SPDX-License-Identifier: AGPL-3.0-or-later
// What an operator can set: TOML sections and keys as plain values, with their defaults. Ranges and documentation of
// each key are in configuration_keys.cc; spantape.toml is the documented example.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/control/schedule.h"
#include "capture/base/result.h"
#include "capture/source/source.h"
#include "storage/archive_action.h"
#include "storage/export/vox_file.h"

namespace spantape {

enum class ResultTypeText : std::uint8_t { label, error };
enum class ApiDialect : std::uint8_t { manual, users };
enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

struct Configuration {
    struct Core {
        std::uint32_t id = 1;
        bool operator==(const Core&) const = default;
    } core;
    struct Capture {
        std::vector<std::string> sources = {"pcap:eth1"};
        std::uint16_t workers = 1;
        std::vector<int> cpus;  // empty, or one for each worker
        Pace pace = Pace::realtime;
        bool exit_at_end = false;
        std::uint32_t max_streams = 0;  // a worker; 0: four times recording.channels and 4096
        std::uint32_t ring_kib = 16;    // a power of two
        DpdkHuge dpdk_huge = DpdkHuge::automatic;
        std::uint32_t dpdk_memory_mib = 256;
        std::vector<std::string> dpdk_eal;
        bool operator==(const Capture&) const = default;
    } capture;
    struct Sip {
        std::vector<std::uint16_t> ports = {5060};
        double media_timeout_s = 60;
        bool operator==(const Sip&) const = default;
    } sip;
    struct Devices {
        std::vector<std::string> match;  // ECMAScript regular expressions, for the whole user part
        bool operator==(const Devices&) const = default;
    } devices;
    struct RecordingSection {
        std::uint32_t channels = 1000;
        bool unanswered = true;
        bool unsignalled = true;
        std::uint32_t keep_days = 0;  // 0: for ever
        double hold_back_s = 0;
        double blackout_limit_s = 600;
        double silence_level_dbov = -50;
        bool mask_dtmf = false;
        std::int64_t archive_action = 0;  // of recordings that name none; 0: none
        bool operator==(const RecordingSection&) const = default;
    } recording;
    struct Storage {
        std::string path = "/var/lib/spantape";
        double flush_s = 1.0;
        bool encrypt = true;
        std::string master_key;  // file; "" = STORE/master.key
        double reserve_percent = 5;
        std::uint32_t segment_mib = 256;
        bool operator==(const Storage&) const = default;
    } storage;
    std::vector<ArchiveAction> archive;  // one for each [[archive]], no number twice
    std::vector<RuleText> schedule;      // one for each [[schedule]], in order; Schedule::make() takes them
    struct Api {
        std::string xml = "127.0.0.1:5620";  // host:port; "" = off
        std::string events = "127.0.0.1:5621";
        std::uint32_t max_clients = 1000;
        std::vector<std::string> allow = {"127.0.0.0/8", "::1"};
        std::uint32_t event_backlog = 10'000;
        ResultTypeText result_type = ResultTypeText::label;
        std::string timezone;  // name in the tz database; "" = the system's
        std::string xml_tls;   // XML API and events over TLS
        std::string client_ca;
        std::vector<std::string> unnamed = {"status", "calls", "recordings", "events", "directory", "administration"};
        double rate = 0;
        bool agent_blackout = true;
        ApiDialect dialect = ApiDialect::manual;
        bool operator==(const Api&) const = default;
    } api;
    struct WebApi {
        std::string listen = "127.0.0.1:2012";
        std::string tls = "127.0.0.1:2013";
        std::string cert, key;  // PEM files, both or none
        bool users = false;     // only they may use it
        bool operator==(const WebApi&) const = default;
    } webapi;
    struct ExportSection {
        VoxCoding vox = VoxCoding::adpcm;
        bool operator==(const ExportSection&) const = default;
    } exports;
    struct MailSection {
        std::string server;  // smtp:// or smtps:// and host; "": none
        std::string user, password_file;
        std::string from = "spantape@localhost";
        bool require_tls = false;
        std::string ca_file;
        double retry_s = 60;
        bool operator==(const MailSection&) const = default;
    } mail;
    struct Directory {
        // "name=value"; the manual's example.
        std::vector<std::string> terminology = {"agent=Agent",
                                                "ani=CallerID ANI",
                                                "callcopygroup=CallCopy group",
                                                "devicealias=Agent Number",
                                                "deviceid=Voice Port",
                                                "dnis=Number Called DNIS",
                                                "gate=ACD Gate",
                                                "group=Group",
                                                "user1=Account Number",
                                                "user2=CSN"};
        std::vector<std::string> locations = {"1=Main"}, sites = {"1=Main"};  // "number=name"
        bool operator==(const Directory&) const = default;
    } directory;
    struct Log {
        LogLevel level = LogLevel::info;
        LogFormat format = LogFormat::text;
        bool operator==(const Log&) const = default;
    } log;

    // capture.max_streams, or what its 0 stands for.
    [[nodiscard]] std::uint32_t streams_per_worker() const {
        constexpr std::uint32_t kStreamsPerChannel = 4, kUnrecordedStreams = 4096;
        return capture.max_streams != 0 ? capture.max_streams
                                        : kStreamsPerChannel * recording.channels + kUnrecordedStreams;
    }
    bool operator==(const Configuration&) const = default;
};

// Reads the TOML file at `path` ("" = none, defaults only), then applies `overrides` ("section.key=value", as given
// to --set) in their order. A value of an override is TOML, or else the text itself. An error is one line that names
// the file and line or the override, and the key: "spantape.toml:12: capture.workers: must be …".
Result<Configuration> load_configuration(const std::string& path, const std::vector<std::string>& overrides);

// The example that documents every key, each commented out with its default. appliance/spantape.toml is this text.
[[nodiscard]] std::string documented_configuration();

}  // namespace spantape
