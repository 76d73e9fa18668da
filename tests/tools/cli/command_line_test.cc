// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/command_line.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace spantape::cli {
namespace {

std::expected<Command, NoCommand> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "spantape");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

template <class Wanted>
Wanted parsed(std::vector<const char*> arguments) {
    auto command = parse(std::move(arguments));
    if (!command) {
        ADD_FAILURE() << command.error().text;
        return {};
    }
    return std::get<Wanted>(*command);
}

void expect_wrong_usage(std::vector<const char*> arguments, const std::string& named) {
    const auto command = parse(arguments);
    ASSERT_FALSE(command) << named;
    EXPECT_EQ(command.error().exit_status, kWrongUsage);
    EXPECT_NE(command.error().text.find(named), std::string::npos) << command.error().text;
    EXPECT_EQ(std::ranges::count(command.error().text, '\n'), 1) << command.error().text;
}

TEST(CommandLine, VersionAndHelpAreNoErrors) {
    const auto version = parse({"--version"});
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error().exit_status, kFine);
    EXPECT_EQ(version.error().text, "spantape " SPANTAPE_VERSION "\n");
    const auto help = parse({"--help"});
    ASSERT_FALSE(help);
    EXPECT_EQ(help.error().exit_status, kFine);
    for (const char* name :
         {"record", "calls", "devices", "channels", "status", "verify", "rebuild", "watch", "export", "cav", "send"}) {
        EXPECT_NE(help.error().text.find(std::string("\n  ") + name), std::string::npos) << name;
        const auto own = parse({name, "--help"});
        ASSERT_FALSE(own) << name;
        EXPECT_EQ(own.error().exit_status, kFine) << name;
        EXPECT_NE(own.error().text.find("--"), std::string::npos) << name;
    }
}

TEST(CommandLine, UnknownCommandsAndOptionsAreWrongUsageAndNamed) {
    expect_wrong_usage({}, "subcommand");
    for (const char* name : {"cat", "recrod"}) expect_wrong_usage({name, "x"}, name);
    expect_wrong_usage({"calls", "--nonsense"}, "--nonsense");
    expect_wrong_usage({"record"}, "FILE");
    expect_wrong_usage({"record", "a.pcap", "--format", "doc"}, "doc");
    expect_wrong_usage({"record", "a.pcap", "--channels", "0"}, "channels");
    expect_wrong_usage({"record", "a.pcap", "--match", "(10"}, "(10");
    expect_wrong_usage({"export"}, "ID");
    expect_wrong_usage({"export", "-3"}, "-3");
    expect_wrong_usage({"export", "12a"}, "12a");
    expect_wrong_usage({"export", "1", "--store", "d", "--webapi", "h:1"}, "--store");
    expect_wrong_usage({"devices", "extra"}, "extra");
    expect_wrong_usage({"terminology", "agent"}, "'agent' is no NAME=VALUE");
    expect_wrong_usage({"terminology", "=x"}, "'=x' is no NAME=VALUE");
}

TEST(CommandLine, WrongValuesAreNamed) {
    for (const char* server : {"localhost", "localhost:", ":5620", "h:0", "h:65536", "h:5x", "::1:5620"})
        expect_wrong_usage({"status", "--server", server}, server);
    for (const char* user : {"gold", "0=x", "16=x", "a=x", "=x"}) expect_wrong_usage({"calls", "--user", user}, user);
    expect_wrong_usage({"calls", "--from", "tomorrow"}, "tomorrow");
    expect_wrong_usage({"calls", "--limit", "0"}, "limit");
    expect_wrong_usage({"watch", "--class", "SCREEN"}, "SCREEN");
}

TEST(CommandLine, RecordTakesFilesBeforeAndAfterOptions) {
    const auto command = parsed<RecordCommand>({"record", "a.pcap", "--match", "10..", "b.pcap", "--match", "2.*",
                                                "--out", "o", "--store", "s", "--channels", "5", "--json"});
    EXPECT_EQ(command.files, (std::vector<std::string>{"a.pcap", "b.pcap"}));
    EXPECT_EQ(command.match, (std::vector<std::string>{"10..", "2.*"}));
    EXPECT_EQ(command.out, "o");
    EXPECT_EQ(command.store, "s");
    EXPECT_EQ(command.channels, 5U);
    EXPECT_TRUE(command.json);
    EXPECT_EQ(parsed<RecordCommand>({"record", "a.pcap"}).out, ".");
    EXPECT_EQ(parsed<RecordCommand>({"record", "a.pcap", "--format", "none"}).format, kNoAudio);
    EXPECT_EQ(parsed<RecordCommand>({"record", "a.pcap", "--format", "mp3"}).format, "mp3");
    EXPECT_EQ(parsed<ExportCommand>({"export", "1", "--format", "ogg"}).format, "ogg");
    expect_wrong_usage({"export", "1", "--format", "none"}, "none");
}

TEST(CommandLine, CallsFiltersBecomeTheQuery) {
    const auto command =
        parsed<CallsCommand>({"calls", "--device", "1001", "--ani", "5551", "--dnis", "7", "--user", "3=a=b", "--user",
                              "15=", "--from", "1700000000", "--to", "1700000100", "--limit", "7"});
    EXPECT_EQ(command.store, "/var/lib/spantape");
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    Pairs equal = command.query.equal;
    std::ranges::sort(equal);
    EXPECT_EQ(equal, (Pairs{{"ani", "5551"}, {"device_id", "1001"}, {"dnis", "7"}, {"user15", ""}, {"user3", "a=b"}}));
    EXPECT_EQ(command.query.from_ns, 1'700'000'000 * kNsPerSecond);
    EXPECT_EQ(command.query.to_ns, 1'700'000'100 * kNsPerSecond);
    EXPECT_EQ(command.query.limit, 7U);
}

TEST(CommandLine, VerifyAndRebuildWantAStore) {
    EXPECT_EQ(parsed<VerifyCommand>({"verify", "/s"}).store, "/s");
    EXPECT_TRUE(parsed<VerifyCommand>({"verify", "/s", "--json"}).json);
    EXPECT_EQ(parsed<RebuildCommand>({"rebuild", "/s"}).store, "/s");
    expect_wrong_usage({"verify"}, "STORE");
    expect_wrong_usage({"rebuild"}, "STORE");
}

TEST(CommandLine, ServersDefaultToLoopback) {
    EXPECT_EQ(parsed<DevicesCommand>({"devices"}).server, "127.0.0.1:5620");
    EXPECT_EQ(parsed<ChannelsCommand>({"channels", "--all"}).server, "127.0.0.1:5620");
    EXPECT_EQ(parsed<StatusCommand>({"status", "--server", "[::1]:7"}).server, "[::1]:7");
    EXPECT_EQ(parsed<SendCommand>({"send", "-"}).file, "-");
    EXPECT_EQ(parsed<WatchCommand>({"watch", "--class", "call"}).event_class, "CALL");
    const auto exported = parsed<ExportCommand>({"export", "46", "47"});
    EXPECT_EQ(exported.webapi, "127.0.0.1:2012");
    EXPECT_EQ(exported.idents, (std::vector<std::uint64_t>{46, 47}));
}

TEST(CommandLine, PurgeLockAndUnlockTakeIdentsAndAReason) {
    const auto purge = parsed<KeepCommand>({"purge", "4", "5"});
    EXPECT_EQ(purge.act, KeepCommand::Act::purge);
    EXPECT_EQ(purge.idents, (std::vector<std::uint64_t>{4, 5}));
    EXPECT_EQ(purge.server, kDefaultServer);
    const auto lock = parsed<KeepCommand>({"lock", "4", "--reason", "case 7", "--store", "/s"});
    EXPECT_EQ(lock.act, KeepCommand::Act::lock);
    EXPECT_EQ(lock.reason, "case 7");
    EXPECT_EQ(lock.store, "/s");
    EXPECT_EQ(parsed<KeepCommand>({"unlock", "4", "--reason", "x"}).act, KeepCommand::Act::unlock);
    expect_wrong_usage({"lock", "4"}, "--reason");
    expect_wrong_usage({"purge"}, "ID");
    expect_wrong_usage({"purge", "x"}, "'x' is no ident");
    expect_wrong_usage({"purge", "4", "--store", "/s", "--server", "h:1"}, "--store");
}

TEST(CommandLine, AuditFiltersOrChecks) {
    const auto shown = parsed<AuditCommand>({"audit", "--from", "1767225600", "--who", "webapi", "--what", "EXPORT"});
    EXPECT_EQ(shown.from_ns, 1'767'225'600 * kNsPerSecond);
    EXPECT_EQ(shown.who, "webapi");
    EXPECT_EQ(shown.what, "EXPORT");
    EXPECT_FALSE(shown.check);
    EXPECT_TRUE(parsed<AuditCommand>({"audit", "--check", "--key", "k.pub"}).check);
    expect_wrong_usage({"audit", "--key", "k.pub"}, "--check");
}

}  // namespace
}  // namespace spantape::cli
