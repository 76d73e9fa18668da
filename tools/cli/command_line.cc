// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <regex>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

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

void add_format(CLI::App& app, std::string& format, const std::vector<std::string>& kinds, const std::string& text) {
    app.add_option("--format", format, text)
        ->check(CLI::IsMember(kinds).description(""))
        ->type_name("KIND")
        ->capture_default_str();
}

void add_record(CLI::App& app, RecordCommand& command) {
    app.add_option("FILE", command.files, "Captures (pcap, pcapng, also gzip-compressed); several are merged by time")
        ->required()
        ->type_name("");
    app.add_option("--store", command.store, "Keep what was recorded in this store; else it is removed at the end")
        ->type_name("DIR");
    app.add_option("--out", command.out, "Where the audio files go; nothing there is replaced")
        ->type_name("DIR")
        ->capture_default_str();
    add_format(app, command.format, {"wav", kNoAudio},
               "Kind of audio file: wav; none: the store is all that is wanted");
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

void add_export(CLI::App& app, ExportCommand& command) {
    app.add_option("ID", command.idents, "Idents of recordings")
        ->required()
        ->check([](const std::string& text) {
            const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            return digits && text.size() < 20 ? std::string() : fmt::format("'{}' is no ident", text);
        })
        ->type_name("");
    app.add_option("--out", command.out, "Where the audio files go; nothing there is replaced")
        ->type_name("DIR")
        ->capture_default_str();
    add_format(app, command.format, {"wav"}, "Kind of audio file: wav");
    auto* webapi = app.add_option("--webapi", command.webapi, "The appliance's WebAPI")
                       ->check(server_address())
                       ->type_name("HOST:PORT")
                       ->capture_default_str();
    app.add_option("--store", command.store, "Read from this store instead; its daemon may run")
        ->type_name("DIR")
        ->excludes(webapi);
}

void add_send(CLI::App& app, SendCommand& command) {
    app.add_option("FILE", command.file, "XML requests, one after the other; - is standard input")
        ->required()
        ->type_name("");
    add_server(app, command.server);
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
};

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
    add_send(*app.add_subcommand("send", "Send raw XML requests and print the answers"), commands.send);
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
    if (name == "export") return std::move(commands.export_audio);
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
