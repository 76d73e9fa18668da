// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <regex>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "storage/export/media_format.h"
#include "tools/cli/tcp_connection.h"
#include "tools/cli/times.h"

namespace spantape::cli {
namespace {

const CLI::Validator& server_address() {
    static const CLI::Validator check(
        [](std::string& text) {
            return parse_server(text) ? std::string() : fmt::format("'{}' is no HOST:PORT", text);
        },
        "");
    return check;
}

const CLI::Validator& regular_expression() {
    static const CLI::Validator check(
        [](std::string& text) {
            try {
                const std::regex expression(text);
                return std::string();
            } catch (const std::regex_error& error) {
                return fmt::format("'{}' is no regular expression: {}", text, error.what());
            }
        },
        "");
    return check;
}

// "3=gold" to the column and the value.
std::optional<std::pair<std::string, std::string>> user_field(std::string_view text) {
    const std::size_t equals = std::min(text.find('='), text.size());
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + equals, number);
    if (error != std::errc{} || end != text.data() + equals || equals == text.size() || number < 1 || number > 15)
        return std::nullopt;
    return std::pair(fmt::format("user{}", number), std::string(text.substr(equals + 1)));
}

// Calls `take` with each value of an option; an error it gives is wrong usage.
template <class Take>
CLI::Option* add_values(CLI::App& app, const std::string& name, const std::string& type, const std::string& text,
                        Take take) {
    return app
        .add_option_function<std::string>(
            name,
            [name, take](const std::string& value) {
                if (const std::string error = take(value); !error.empty()) throw CLI::ValidationError(name, error);
            },
            text)
        ->type_name(type)
        ->trigger_on_parse();
}

void add_json(CLI::App& app, bool& json) { app.add_flag("--json", json, "Print JSON instead of a table"); }

void add_server(CLI::App& app, std::string& server) {
    app.add_option("--server", server, "The appliance's XML API")
        ->check(server_address())
        ->type_name("HOST:PORT")
        ->capture_default_str();
}

// `none`: what that means, where it may be.
void add_format(CLI::App& app, std::string& format, const char* none = nullptr) {
    std::vector<std::string> kinds;
    for (const MediaKind& kind : media_kinds()) kinds.emplace_back(kind.name);
    std::string text = fmt::format("Kind of audio file: {}", fmt::join(kinds, ", "));
    if (none != nullptr) {
        kinds.emplace_back(kNoAudio);
        text += fmt::format("; {}: {}", kNoAudio, none);
    }
    app.add_option("--format", format, text)
        ->check(CLI::IsMember(kinds).description(""))
        ->type_name("KIND")
        ->capture_default_str();
}

void add_master_key(CLI::App& app, std::string& path) {
    app.add_option("--master-key", path, "The store's master key, where it is not master.key in the store")
        ->type_name("FILE");
}

void add_record(CLI::App& app, RecordCommand& command) {
    app.add_option("FILE", command.files, "Captures (pcap, pcapng, also gzip-compressed); several are merged by time")
        ->required()
        ->type_name("");
    app.add_option("--store", command.store, "Keep what was recorded in this store; else it is removed at the end")
        ->type_name("DIR");
    add_master_key(app, command.master_key);
    app.add_flag("--clear", command.clear, "Do not encrypt the audio in the store");
    app.add_option("--out", command.out, "Where the audio files go; nothing there is replaced")
        ->type_name("DIR")
        ->capture_default_str();
    add_format(app, command.format, "the store is all that is wanted");
    app.add_option("--channels", command.channels, "How many calls may be recorded at once")
        ->check(CLI::Range(std::uint32_t{1}, std::uint32_t{1'000'000}).description(""))
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--match", command.match, "SIP users that are phones of ours; may be given several times")
        ->check(regular_expression())
        ->type_name("REGEX")
        ->allow_extra_args(false);
    add_json(app, command.json);
}

void add_calls(CLI::App& app, CallsCommand& command) {
    const TimeNs now_ns = wall_clock_ns();
    auto& query = command.query;
    app.add_option("--store", command.store, "Store to look in; its daemon may run")
        ->type_name("DIR")
        ->capture_default_str();
    const auto add_equal = [&](const char* option, const char* column, const char* text) {
        add_values(app, option, "TEXT", text, [&query, column](const std::string& value) {
            query.equal.emplace_back(column, value);
            return std::string();
        });
    };
    add_equal("--device", "device_id", "Only calls of this device");
    add_equal("--ani", "ani", "Only calls from this number");
    add_equal("--dnis", "dnis", "Only calls to this number");
    add_values(app, "--user", "N=VALUE", "Only calls whose USERN has this value; may be given several times",
               [&query](const std::string& value) {
                   auto field = user_field(value);
                   if (!field) return fmt::format("'{}' is no N=VALUE with N from 1 to 15", value);
                   query.equal.push_back(std::move(*field));
                   return std::string();
               });
    const auto add_time = [&](const char* option, RangeEnd end, TimeNs& time_ns, const char* text) {
        add_values(app, option, "TIME", text, [end, &time_ns, now_ns](const std::string& value) {
            const auto parsed = parse_time(value, end, now_ns);
            if (parsed) time_ns = *parsed;
            return parsed ? std::string() : parsed.error().message;
        });
    };
    add_time("--from", RangeEnd::from, query.from_ns, "Only calls that began then or later");
    add_time("--to", RangeEnd::to, query.to_ns, "Only calls that began then or earlier");
    app.add_option("--limit", query.limit, "At most so many, the newest first")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000}).description(""))
        ->type_name("N")
        ->capture_default_str();
    add_json(app, command.json);
    app.footer(
        "TIME: 2026-03-01, \"2026-03-01 14:30\", 2026-03-01T14:30:05, 14:30 (today), UNIX seconds,\n"
        "or how long ago: 90s, 15m, 2h, 7d. Local time.");
}

void add_watch(CLI::App& app, WatchCommand& command) {
    add_server(app, command.server);
    app.add_option("--class", command.event_class, "Which events: ALL, CALL or RECORD")
        ->transform(CLI::IsMember({"ALL", "CALL", "RECORD"}, CLI::ignore_case).description(""))
        ->type_name("CLASS")
        ->capture_default_str();
    app.add_option("--device", command.device, "Only events of this device")->type_name("TEXT");
    app.add_flag("--json", command.json, "Print one JSON object for each event");
}

void add_idents(CLI::App& app, std::vector<std::uint64_t>& idents) {
    app.add_option("ID", idents, "Idents of recordings")
        ->required()
        ->check([](const std::string& text) {
            const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            return digits && text.size() < 20 ? std::string() : fmt::format("'{}' is no ident", text);
        })
        ->type_name("");
}

void add_export(CLI::App& app, ExportCommand& command) {
    add_idents(app, command.idents);
    app.add_option("--out", command.out, "Where the audio files go; nothing there is replaced")
        ->type_name("DIR")
        ->capture_default_str();
    add_format(app, command.format);
    auto* webapi = app.add_option("--webapi", command.webapi, "The appliance's WebAPI")
                       ->check(server_address())
                       ->type_name("HOST:PORT")
                       ->capture_default_str();
    auto* store = app.add_option("--store", command.store, "Read from this store instead; its daemon may run")
                      ->type_name("DIR")
                      ->excludes(webapi);
    add_master_key(app, command.master_key);
    app.add_option("--picture", command.picture, "Instead of audio, a waveform of the one recording as PNG")
        ->type_name("FILE");
    app.add_option("--password-file", command.password_file, "Seal CAV files with the first line of it")
        ->type_name("FILE")
        ->needs(store);
}

void add_audit(CLI::App& app, AuditCommand& command) {
    const TimeNs now_ns = wall_clock_ns();
    app.add_option("--store", command.store, "Store whose log it is; its daemon may run")
        ->type_name("DIR")
        ->capture_default_str();
    const auto add_time = [&](const char* option, RangeEnd end, TimeNs& time_ns, const char* text) {
        add_values(app, option, "TIME", text, [end, &time_ns, now_ns](const std::string& value) {
            const auto parsed = parse_time(value, end, now_ns);
            if (parsed) time_ns = *parsed;
            return parsed ? std::string() : parsed.error().message;
        });
    };
    add_time("--from", RangeEnd::from, command.from_ns, "Only what happened then or later");
    add_time("--to", RangeEnd::to, command.to_ns, "Only what happened then or earlier");
    app.add_option("--who", command.who, "Only of this address, listener (xml, webapi, ...) or user")
        ->type_name("TEXT");
    app.add_option("--what", command.what, "Only this: EXPORT, CALLLIST, purge, daemon_start, ...")->type_name("TEXT");
    auto* check = app.add_flag("--check", command.check,
                               "Prove audit and integrity log: exit 0 when both are whole, else 1 and what was done");
    app.add_option("--key", command.key, "Public key to check by; else the store's signing.pub")
        ->needs(check)
        ->type_name("FILE");
    add_json(app, command.json);
}

void add_keep(CLI::App& app, KeepCommand& command, bool reason_needed) {
    add_idents(app, command.idents);
    app.add_option("--reason", command.reason, "Why; is kept in the audit log")
        ->required(reason_needed)
        ->check([](const std::string& text) {
            return text.size() <= 200 ? std::string() : std::string("at most 200 characters");
        })
        ->type_name("TEXT");
    auto* server = app.add_option("--server", command.server, "The appliance's XML API")
                       ->check(server_address())
                       ->type_name("HOST:PORT")
                       ->capture_default_str();
    app.add_option("--store", command.store, "This store, whose daemon does not run")
        ->type_name("DIR")
        ->excludes(server);
    add_master_key(app, command.master_key);
}

void add_send(CLI::App& app, SendCommand& command) {
    app.add_option("FILE", command.file, "XML requests, one after the other; - is standard input")
        ->required()
        ->type_name("");
    add_server(app, command.server);
}

void add_verify(CLI::App& app, VerifyCommand& command) {
    app.add_option("STORE", command.store, "Store to look at; its daemon may run")->required()->type_name("");
    add_master_key(app, command.master_key);
    add_json(app, command.json);
    app.footer("Exit status: 0 the store is whole, 1 damage was found, 2 it cannot be read.");
}

void add_rebuild(CLI::App& app, RebuildCommand& command) {
    app.add_option("STORE", command.store, "Store whose index is made anew; no daemon may have it open")
        ->required()
        ->type_name("");
    add_json(app, command.json);
}

// Every command of ours, with the options that its subcommand fills in.
struct Commands {
    RecordCommand record;
    CallsCommand calls;
    DevicesCommand devices;
    ChannelsCommand channels;
    StatusCommand status;
    WatchCommand watch;
    ExportCommand export_audio;
    SendCommand send;
    CavCommand cav;
    RekeyCommand rekey;
    FunctionsCommand functions;
    VerifyCommand verify;
    RebuildCommand rebuild;
    TerminologyCommand terminology;
    ScheduleCommand schedule;
    ExplainCommand explain;
    AssuranceCommand assurance;
    ArchiveActionCommand archive_action;
    AuditCommand audit;
    KeepCommand purge{.act = KeepCommand::Act::purge}, lock{.act = KeepCommand::Act::lock},
        unlock{.act = KeepCommand::Act::unlock};
};

void add_schedule(CLI::App& schedule, ScheduleCommand& command) {
    schedule.add_option("ACTION", command.action, "list, add, modify, delete, move or reset")
        ->check(CLI::IsMember({"list", "add", "modify", "delete", "move", "reset"}))
        ->type_name("");
    schedule.add_option("NAME", command.name, "The rule")->type_name("");
    schedule
        .add_option("KEY=VALUE", command.settings,
                    "Its conditions and actions, as [[schedule]] in spantape.toml has them; KEY= takes one out")
        ->type_name("");
    schedule.add_option("--at", command.position, "Its place among the rules, from 1")->type_name("N");
    add_server(schedule, command.server);
    add_json(schedule, command.json);
}

void add_archive_action(CLI::App& actions, ArchiveActionCommand& command) {
    actions.add_option("ACTION", command.action, "list, add, modify or delete")
        ->check(CLI::IsMember({"list", "add", "modify", "delete"}))
        ->type_name("");
    actions.add_option("NUMBER", command.number, "Which")->type_name("");
    actions
        .add_option("KEY=VALUE", command.settings,
                    "What it does: name, path, mode (copy, move), format (wav), keep_days, wait, as [[archive]] in "
                    "spantape.toml has them")
        ->type_name("");
    add_server(actions, command.server);
    add_json(actions, command.json);
}

void add_explain(CLI::App& explain, ExplainCommand& command) {
    explain.add_option("CALL", command.call, "RECORDID or GLOBALCALLID")->required()->type_name("");
    explain.add_flag("--device", command.device, "CALL is a DEVICEID: its newest call");
    add_server(explain, command.server);
    add_json(explain, command.json);
}

void add_commands(CLI::App& app, Commands& commands) {
    add_record(
        *app.add_subcommand("record", "Record the calls in capture files and write their audio; needs no daemon"),
        commands.record);
    add_calls(*app.add_subcommand("calls", "List the recordings of a store, the newest first"), commands.calls);
    auto* devices = app.add_subcommand("devices", "List the devices of a running appliance and their last calls");
    add_server(*devices, commands.devices.server);
    add_json(*devices, commands.devices.json);
    auto* channels = app.add_subcommand("channels", "List the recording channels of a running appliance");
    add_server(*channels, commands.channels.server);
    channels->add_flag("--all", commands.channels.all, "List the idle channels too");
    add_json(*channels, commands.channels.json);
    auto* status = app.add_subcommand("status", "Show the counters of a running appliance");
    add_server(*status, commands.status.server);
    add_json(*status, commands.status.json);
    add_watch(*app.add_subcommand("watch", "Print the events of a running appliance as they happen"), commands.watch);
    add_export(*app.add_subcommand("export", "Write the audio of recordings to files"), commands.export_audio);
    auto* functions = app.add_subcommand("functions", "The API's functions, their parameters and which are built");
    functions->add_flag("--json", commands.functions.json, "As JSON");
    functions->add_flag("--markdown", commands.functions.markdown, "As README shows it");
    auto* terminology =
        app.add_subcommand("terminology", "What a running appliance calls its fields; with NAME=VALUE changes it");
    terminology
        ->add_option("NAME=VALUE", commands.terminology.changes, "A new value; NAME= goes back to the configuration's")
        ->check([](const std::string& text) {
            const bool good = text.find('=') != std::string::npos && text[0] != '=';
            return good ? std::string() : fmt::format("'{}' is no NAME=VALUE", text);
        })
        ->type_name("");
    add_server(*terminology, commands.terminology.server);
    add_json(*terminology, commands.terminology.json);
    add_schedule(*app.add_subcommand("schedule", "The rules that say which calls are recorded: list or change them"),
                 commands.schedule);
    add_archive_action(*app.add_subcommand("archive-action", "Where recordings are archived to: list or change it"),
                       commands.archive_action);
    add_explain(*app.add_subcommand("explain", "Why a call was or was not recorded"), commands.explain);
    auto* assurance =
        app.add_subcommand("assurance", "Which calls have no full recording, and why; exit 1: there are some");
    assurance->add_option("--store", commands.assurance.store, "Of what this store holds, instead of a daemon's calls");
    add_server(*assurance, commands.assurance.server);
    add_json(*assurance, commands.assurance.json);
    auto* cav = app.add_subcommand("cav", "Take a CAV file apart into FILE.xml and FILE.wav, and prove it whole");
    cav->add_option("FILE", commands.cav.file, "As EXPORT gives it")->required()->type_name("");
    cav->add_option("--out", commands.cav.out, "Where the files go; nothing there is replaced")
        ->type_name("DIR")
        ->capture_default_str();
    cav->add_option("--password-file", commands.cav.password_file, "Its first line is what the file is sealed with")
        ->type_name("FILE");
    auto* rekey = app.add_subcommand("rekey", "Give a store, whose daemon does not run, another master key");
    rekey->add_option("STORE", commands.rekey.store, "The store")->required()->type_name("");
    add_master_key(*rekey, commands.rekey.master_key);
    add_keep(*app.add_subcommand("purge", "Destroy recordings: their audio, their fields, their keys"), commands.purge,
             false);
    add_keep(*app.add_subcommand("lock", "Keep recordings from being purged (legal hold)"), commands.lock, true);
    add_keep(*app.add_subcommand("unlock", "Let recordings be purged again"), commands.unlock, true);
    add_audit(*app.add_subcommand("audit", "Show who did what, or prove the logs whole"), commands.audit);
    add_send(*app.add_subcommand("send", "Send raw XML requests and print the answers"), commands.send);
    add_verify(*app.add_subcommand("verify", "Prove a store whole, or name what is damaged"), commands.verify);
    add_rebuild(*app.add_subcommand("rebuild", "Make a store's index anew from its segments"), commands.rebuild);
}

bool has_command(CLI::App& app, const std::string& name) {
    const auto all = app.get_subcommands([](const CLI::App*) { return true; });
    return std::ranges::any_of(all, [&](const CLI::App* each) { return each->get_name() == name; });
}

Command chosen(const CLI::App& app, Commands&& commands) {
    const std::string name = app.get_subcommands().front()->get_name();
    if (name == "record") return std::move(commands.record);
    if (name == "calls") return std::move(commands.calls);
    if (name == "devices") return std::move(commands.devices);
    if (name == "channels") return std::move(commands.channels);
    if (name == "status") return std::move(commands.status);
    if (name == "watch") return std::move(commands.watch);
    if (name == "functions") return commands.functions;
    if (name == "terminology") return std::move(commands.terminology);
    if (name == "archive-action") return std::move(commands.archive_action);
    if (name == "schedule") return std::move(commands.schedule);
    if (name == "explain") return std::move(commands.explain);
    if (name == "assurance") return std::move(commands.assurance);
    if (name == "cav") return std::move(commands.cav);
    if (name == "rekey") return std::move(commands.rekey);
    if (name == "audit") return std::move(commands.audit);
    if (name == "purge") return std::move(commands.purge);
    if (name == "lock") return std::move(commands.lock);
    if (name == "unlock") return std::move(commands.unlock);
    if (name == "export") return std::move(commands.export_audio);
    if (name == "verify") return std::move(commands.verify);
    if (name == "rebuild") return std::move(commands.rebuild);
    return std::move(commands.send);
}

NoCommand wrong_usage(std::string_view message) {
    return {kWrongUsage, fmt::format("spantape: {} (see spantape --help)\n", message)};
}

}  // namespace

std::expected<Command, NoCommand> parse_command_line(int argc, const char* const* argv) {
    CLI::App app("Spantape records calls from a SPAN port or from captures.", "spantape");
    app.set_version_flag("--version", "spantape " SPANTAPE_VERSION);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    Commands commands;
    add_commands(app, commands);
    app.footer("spantape COMMAND --help tells more. Exit status: 0 all well, 1 something failed, 2 wrong usage.");

    // CLI11 would say only that a command is missing.
    if (argc > 1 && argv[1][0] != '-' && !has_command(app, argv[1]))
        return std::unexpected(wrong_usage(fmt::format("unknown command '{}'", argv[1])));
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {  // help, version
        std::ostringstream text;
        app.exit(asked, text, text);
        return std::unexpected(NoCommand{kFine, text.str()});
    } catch (const CLI::Error& error) {
        return std::unexpected(wrong_usage(error.what()));
    }
    return chosen(app, std::move(commands));
}

}  // namespace spantape::cli
