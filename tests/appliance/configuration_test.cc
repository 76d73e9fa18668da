// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/configuration.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "appliance/configuration_keys.h"

namespace spantape {
namespace {

std::string text_of_file(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

class ConfigurationTest : public testing::Test {
protected:
    ConfigurationTest() {
        std::string name = (std::filesystem::temp_directory_path() / "spantape-config-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
        directory_ = name;
        path_ = directory_ + "/spantape.toml";
    }
    ~ConfigurationTest() override { std::filesystem::remove_all(directory_); }

    Result<Configuration> load(const std::string& text, const std::vector<std::string>& overrides = {}) {
        std::ofstream(path_, std::ios::binary) << text;
        return load_configuration(path_, overrides);
    }
    // The error of a file, with its path as FILE; "" when it was good.
    std::string error_of(const std::string& text) {
        const auto loaded = load(text);
        if (loaded) return "";
        const std::string& message = loaded.error().message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        return message.starts_with(path_) ? "FILE" + message.substr(path_.size()) : message;
    }
    static std::string error_of_set(const std::string& override_text) {
        const auto loaded = load_configuration("", {override_text});
        return loaded ? "" : loaded.error().message;
    }

    std::string directory_, path_;
};

TEST_F(ConfigurationTest, NoFileAndNoOverridesGiveTheDefaults) {
    const auto loaded = load_configuration("", {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(*loaded, Configuration{});
    EXPECT_EQ(loaded->streams_per_worker(), 8096U);
}

TEST_F(ConfigurationTest, EveryKeyIsRead) {
    const auto loaded = load(R"(
[core]
id = 7
[capture]
sources = ["pcap:eth2", "file:/a b.pcap", "dpdk:0000:01:00.0"]
workers = 2
cpus = [3, 4]
pace = "max"
exit_at_end = true
max_streams = 100
ring_kib = 32
dpdk_huge = "always"
dpdk_memory_mib = 512
dpdk_eal = ["--iova-mode=va"]
[sip]
ports = [5060, 5080]
media_timeout = 1.5
[devices]
match = ['2\d{3}', "x"]
[recording]
channels = 5
unanswered = false
unsignalled = false
keep_days = 90
hold_back = 2
blackout_limit = 30
silence_level = -40.5
mask_dtmf = true
archive_action = 12
[storage]
path = "/data"
flush = 0.5
segment_mib = 64
encrypt = false
master_key = "/keys/master"
reserve = 10
[api]
xml = "[::1]:0"
events = ""
max_clients = 9
allow = ["192.0.2.0/24", "2001:db8::/32"]
event_backlog = 50
result_type = "error"
timezone = "UTC"
[webapi]
listen = "localhost:80"
tls = "0.0.0.0:443"
cert = "c.pem"
key = "k.pem"
[export]
vox = "mulaw"
[log]
level = "debug"
format = "json"
[[archive]]
number = 12
name = "Jahr"
path = "/mnt/a b/"
mode = "move"
format = "wav"
keep_days = 400
wait = 1.5
[[archive]]
number = 9223372036854775807
path = "/"
)");
    ASSERT_TRUE(loaded) << loaded.error().message;
    Configuration expected;
    expected.core = {7};
    expected.capture = {{"pcap:eth2", "file:/a b.pcap", "dpdk:0000:01:00.0"},
                        2,
                        {3, 4},
                        Pace::max,
                        true,
                        100,
                        32,
                        DpdkHuge::always,
                        512,
                        {"--iova-mode=va"}};
    expected.sip = {{5060, 5080}, 1.5};
    expected.devices = {{"2\\d{3}", "x"}};
    expected.recording = {5, false, false, 90, 2, 30, -40.5, true, 12};
    expected.archive = {{12, "Jahr", "/mnt/a b", ArchiveMode::move, ArchiveFormat::wav, 400, 3 * kNsPerSecond / 2},
                        {INT64_MAX, "", "/"}};
    expected.storage = {"/data", 0.5, false, "/keys/master", 10, 64};
    expected.api = {"[::1]:0", "", 9, {"192.0.2.0/24", "2001:db8::/32"}, 50, ResultTypeText::error, "UTC"};
    expected.webapi = {"localhost:80", "0.0.0.0:443", "c.pem", "k.pem"};
    expected.exports = {VoxCoding::mulaw};
    expected.log = {LogLevel::debug, LogFormat::json};
    EXPECT_EQ(*loaded, expected);
    EXPECT_EQ(loaded->streams_per_worker(), 100U);
}

TEST_F(ConfigurationTest, EveryKeyCanBeSetOnTheCommandLine) {
    const std::vector<std::string> overrides = {"core.id=2",
                                                "capture.sources=[\"file:x\"]",
                                                "capture.workers=2",
                                                "capture.cpus=[1]",
                                                "capture.pace=max",
                                                "capture.exit_at_end=true",
                                                "capture.max_streams=1",
                                                "capture.ring_kib=8",
                                                "capture.dpdk_huge=never",
                                                "capture.dpdk_memory_mib=64",
                                                "capture.dpdk_eal=[\"--iova-mode=va\"]",
                                                "sip.ports=[]",
                                                "sip.media_timeout=5",
                                                "devices.match=[\"1.*\"]",
                                                "recording.channels=1",
                                                "recording.unanswered=false",
                                                "recording.unsignalled=false",
                                                "recording.keep_days=90",
                                                "recording.hold_back=1",
                                                "recording.blackout_limit=1",
                                                "recording.silence_level=-60",
                                                "recording.mask_dtmf=true",
                                                "recording.archive_action=-1",
                                                "storage.path=store",
                                                "storage.flush=2",
                                                "storage.segment_mib=64",
                                                "storage.encrypt=false",
                                                "storage.master_key=k",
                                                "storage.reserve=1",
                                                "api.xml=127.0.0.1:0",
                                                "api.events=",
                                                "api.max_clients=1",
                                                "api.allow=[]",
                                                "api.event_backlog=1",
                                                "api.result_type=error",
                                                "api.timezone=UTC",
                                                "webapi.listen=",
                                                "webapi.tls=\"\"",
                                                "webapi.cert=c",
                                                "webapi.key=k",
                                                "api.xml_tls=127.0.0.1:0",
                                                "api.client_ca=c",
                                                "api.unnamed=[\"status\"]",
                                                "api.rate=10",
                                                "api.agent_blackout=false",
                                                "webapi.users=true",
                                                "mail.server=smtps://[::1]:465",
                                                "mail.user=u",
                                                "mail.password_file=p",
                                                "mail.from=recorder@example.com",
                                                "mail.require_tls=true",
                                                "mail.ca_file=c",
                                                "mail.retry=1",
                                                "api.dialect=5.x-users",
                                                "directory.terminology=[\"agent=Clerk\"]",
                                                "directory.locations=[\"2=North\"]",
                                                "directory.sites=[]",
                                                "export.vox=mulaw",
                                                "log.level=error",
                                                "log.format=json"};
    std::set<std::string> keys;
    for (const std::string& text : overrides) {
        keys.insert(text.substr(0, text.find('=')));
        std::vector<std::string> given = {text};
        if (text.starts_with("webapi.cert")) given.emplace_back("webapi.key=k");
        if (text.starts_with("webapi.key")) given.emplace_back("webapi.cert=c");
        const auto loaded = load_configuration("", given);
        ASSERT_TRUE(loaded) << loaded.error().message;
        EXPECT_NE(*loaded, Configuration{}) << text;
    }
    for (const ConfigurationKey& key : configuration_keys())
        EXPECT_TRUE(keys.contains(fmt::format("{}.{}", key.section, key.name))) << key.section << "." << key.name;
}

TEST_F(ConfigurationTest, OverridesWinInTheirOrder) {
    const auto loaded = load("[core]\nid = 5\n[recording]\nchannels = 3\n", {"core.id=6", "core.id=7"});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->core.id, 7U);
    EXPECT_EQ(loaded->recording.channels, 3U);
}

TEST_F(ConfigurationTest, OverrideThatIsNoTomlIsTakenAsText) {
    const auto path_of = [](const std::string& value) {
        const auto loaded = load_configuration("", {"storage.path=" + value});
        return loaded ? loaded->storage.path : loaded.error().message;
    };
    EXPECT_EQ(path_of("/var/a=b.c"), "/var/a=b.c");
    EXPECT_EQ(path_of("\"/quoted path\""), "/quoted path");
    EXPECT_EQ(path_of("2024"), "2024");
    EXPECT_EQ(path_of("true"), "true");
    EXPECT_EQ(path_of("x\"\n[core]\nid = 9"), "x\"\n[core]\nid = 9");
}

TEST_F(ConfigurationTest, WrongValueIsNamedWithFileLineAndKey) {
    EXPECT_EQ(error_of("\n[capture]\nworkers = 0\n"), "FILE:3: capture.workers: must be between 1 and 64, is 0");
    EXPECT_EQ(error_of("[capture]\nworkers = 65\n"), "FILE:2: capture.workers: must be between 1 and 64, is 65");
    EXPECT_EQ(error_of("[capture]\nworkers = \"2\"\n"),
              "FILE:2: capture.workers: must be an integer from 1 to 64, is '2'");
    EXPECT_EQ(error_of("[capture]\nworkers = 1.0\n"),
              "FILE:2: capture.workers: must be an integer from 1 to 64, is 1.0");
    EXPECT_EQ(error_of("[capture]\nring_kib = 24\n"), "FILE:2: capture.ring_kib: must be a power of two, is 24");
    EXPECT_EQ(error_of("[capture]\npace = \"sometimes\"\n"),
              "FILE:2: capture.pace: must be one of realtime, max, is 'sometimes'");
    EXPECT_EQ(error_of("[capture]\nexit_at_end = 1\n"), "FILE:2: capture.exit_at_end: must be true or false, is 1");
    EXPECT_EQ(error_of("[capture]\nsources = \"pcap:eth0\"\n"),
              "FILE:2: capture.sources: must be a list of strings, is 'pcap:eth0'");
    EXPECT_EQ(error_of("[capture]\nsources = [\n \"pcap:a\",\n 5]\n"),
              "FILE:2: capture.sources: must be a string, is 5");
    EXPECT_EQ(error_of("[capture]\nsources = [\"eth0\"]\n"),
              "FILE:2: capture.sources: must be pcap:INTERFACE, file:PATH or dpdk:DEVICE, is 'eth0'");
    EXPECT_EQ(error_of("[sip]\nports = [5060, 65536]\n"), "FILE:2: sip.ports: must be between 1 and 65535, is 65536");
    EXPECT_EQ(error_of("[storage]\nflush = nan\n"), "FILE:2: storage.flush: must be between 0.05 and 60, is nan");
    EXPECT_EQ(error_of("[storage]\nflush = []\n"), "FILE:2: storage.flush: must be a number from 0.05 to 60, is []");
    EXPECT_EQ(error_of("[storage]\npath = \"\"\n"), "FILE:2: storage.path: must not be empty");
    EXPECT_EQ(error_of("[storage.path]\nx = 1\n"), "FILE:1: storage.path: must be a string, is a section");
    EXPECT_EQ(error_of("[api]\nxml = 5620\n"), "FILE:2: api.xml: must be a string, is 5620");
    EXPECT_TRUE(error_of("[api]\nallow = [\"10.0.0.0/33\"]\n").starts_with("FILE:2: api.allow: must be a network"));
    EXPECT_TRUE(error_of("[devices]\nmatch = [\"(\"]\n").starts_with("FILE:2: devices.match: '(' is no regular"));
    EXPECT_TRUE(error_of("[api]\ntimezone = \"Mars/Base\"\n").starts_with("FILE:2: api.timezone: there is no time"));
    EXPECT_TRUE(error_of("[api]\ntimezone = \"../passwd\"\n").starts_with("FILE:2: api.timezone: there is no time"));
}

TEST_F(ConfigurationTest, MalformedListenersAreRefused) {
    for (const char* text : {"5620", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "300.0.0.1:1",
                             ":5620", "[::1]", "::1:5620", "[::1:5620", "[127.0.0.1]:80", "a b:1", "1.2.3.4:-1"})
        EXPECT_TRUE(error_of(fmt::format("[webapi]\nlisten = \"{}\"\n", text))
                        .starts_with("FILE:2: webapi.listen: must be address:port"))
            << text;
}

TEST_F(ConfigurationTest, UnknownSectionsAndKeysAreNamed) {
    EXPECT_EQ(error_of("[nonsense]\nx = 1\n"), "FILE:1: nonsense: there is no such section");
    EXPECT_EQ(error_of("workers = 2\n"), "FILE:1: workers: there is no such section");
    EXPECT_EQ(error_of("[storage]\nflush = 1.0\nfulsh = 2.0\n"), "FILE:3: storage.fulsh: there is no such key");
    EXPECT_EQ(error_of("[Core]\nid = 2\n"), "FILE:1: Core: there is no such section");
    EXPECT_EQ(error_of("core = 3\n"), "FILE:1: core: must be a section, is 3");
    EXPECT_EQ(error_of("[[core]]\nid = 3\n").substr(0, 31), "FILE:1: core: must be a section");
}

TEST_F(ConfigurationTest, BrokenTomlIsNamedWithItsLine) {
    EXPECT_TRUE(error_of("[core]\nid = \n").starts_with("FILE:2: "));
    EXPECT_TRUE(error_of("[core\nid = 1\n").starts_with("FILE:1: "));
    EXPECT_TRUE(error_of("[core]\nid = 1\nid = 2\n").starts_with("FILE:3: "));
    EXPECT_TRUE(error_of("[core]\n# \xff\xfe\n").starts_with("FILE:2: "));
    EXPECT_NE(error_of("x = " + std::string(100'000, '[')), "");
}

TEST_F(ConfigurationTest, UnreadableFilesAreNamed) {
    const auto missing = load_configuration(directory_ + "/none.toml", {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message, directory_ + "/none.toml: cannot be read: No such file or directory");
    const auto directory = load_configuration(directory_, {});
    ASSERT_FALSE(directory);
    EXPECT_TRUE(directory.error().message.starts_with(directory_ + ": cannot be read")) << directory.error().message;
    EXPECT_EQ(error_of(std::string((1 << 20) + 1, '\n')), "FILE: is larger than 1048576 bytes");
}

TEST_F(ConfigurationTest, WrongOverridesAreQuoted) {
    EXPECT_EQ(error_of_set("capture.workers=0"), "--set capture.workers=0: must be between 1 and 64, is 0");
    EXPECT_EQ(error_of_set("recording.channels=lots"),
              "--set recording.channels=lots: must be an integer from 1 to 100000, is 'lots'");
    EXPECT_EQ(error_of_set("no.such=1"), "--set no.such=1: there is no key no.such");
    for (const char* text : {"", "capture", "capture.workers", "=1", "workers=1.5", "workers=1"})
        EXPECT_EQ(error_of_set(text), fmt::format("--set {}: must be section.key=value", text));
    EXPECT_TRUE(error_of_set("core.id=1\n[api]\nxml=\"\"").starts_with("--set core.id=1 [api] xml=\"\": must be an"));
}

TEST_F(ConfigurationTest, KeysThatBelongTogetherAreCheckedTogether) {
    EXPECT_EQ(error_of("[webapi]\ncert = \"c.pem\"\n"), "FILE:2: webapi.cert: needs webapi.key as well");
    EXPECT_EQ(error_of("[webapi]\nkey = \"k.pem\"\n"), "FILE:2: webapi.key: needs webapi.cert as well");
    EXPECT_EQ(error_of("[capture]\nworkers = 2\ncpus = [1]\n"),
              "FILE:3: capture.cpus: must name one CPU for each of the 2 capture.workers, names 1");
}

TEST_F(ConfigurationTest, TermsAndPlacesAreNamedValues) {
    EXPECT_EQ(error_of("[directory]\nterminology = [\"agent\"]\n"),
              "FILE:2: directory.terminology: 'agent' must be name=value");
    for (const std::string wrong : {"Main", "=Main", "0=Main", "1x=Main", "-1=Main", "9999999999=Main"})
        EXPECT_EQ(error_of("[directory]\nsites = [\"" + wrong + "\"]\n"),
                  "FILE:2: directory.sites: '" + wrong + "' must be number=name, with a number above 0");
}

TEST_F(ConfigurationTest, WrongArchiveActionsAreNamedWithTheirLine) {
    const std::string good = "[[archive]]\nnumber = 1\npath = \"/a\"\n";
    EXPECT_EQ(error_of(good), "");
    EXPECT_EQ(error_of(good + "format = \"mp3\"\n"), "FILE:4: archive.format: must be one of wav, is 'mp3'");
    EXPECT_EQ(error_of(good + "mode = \"link\"\n"), "FILE:4: archive.mode: must be one of copy, move, is 'link'");
    EXPECT_EQ(error_of(good + "wait = -1\n"), "FILE:4: archive.wait: must be between 0 and 316224000, is -1");
    EXPECT_EQ(error_of(good + "keep = 1\n"), "FILE:4: archive.keep: there is no such key");
    EXPECT_EQ(error_of(good + good), "FILE:4: archive: there are two of number 1");
    EXPECT_EQ(error_of("[[archive]]\nnumber = 1\n"), "FILE:1: archive: needs a path");
    EXPECT_EQ(error_of("\n[[archive]]\npath = \"/a\"\n"), "FILE:2: archive: needs a number");
    EXPECT_EQ(error_of("[[archive]]\nnumber = 0\n").substr(0, 42), "FILE:2: archive.number: must be between 1 ");
    EXPECT_TRUE(error_of("[[archive]]\npath = \"a\"\n").starts_with("FILE:2: archive.path: must be the path"));
    for (const char* text : {"[archive]\nnumber = 1\n", "archive = 3\n", "archive = [3]\n"})
        EXPECT_EQ(error_of(text), "FILE:1: archive: must be [[archive]], once for each action");
    EXPECT_EQ(error_of_set("archive.number=1"), "--set archive.number=1: archive actions are set in the file");
}

TEST_F(ConfigurationTest, RulesOfTheScheduleAreReadInTheirOrder) {
    const std::string good = "[[schedule]]\nname = \"a\"\npercent = 12.5\n[[schedule]]\nname = \"b\"\npriority = 3\n";
    EXPECT_EQ(load(good)->schedule,
              (std::vector<RuleText>{{{"name", "a"}, {"percent", "12.5"}}, {{"name", "b"}, {"priority", "3"}}}));
    EXPECT_EQ(error_of(good + "colour = 1\n"), "FILE:7: schedule.colour: there is no such key");
    EXPECT_EQ(error_of(good + "days = true\n"), "FILE:7: schedule.days: must be a text or a number, is true");
    EXPECT_EQ(error_of(good + "[[schedule]]\nname = \"a\"\n"), "FILE:7: schedule: rule 'a': there are two");
    EXPECT_EQ(error_of("[[schedule]]\npriority = 1\n"), "FILE:1: schedule: rule 1: has no name");
    EXPECT_EQ(error_of("schedule = 3\n"), "FILE:1: schedule: must be [[schedule]], once for each rule");
    EXPECT_EQ(error_of_set("schedule.name=1"), "--set schedule.name=1: the schedule is set in the file");
}

TEST_F(ConfigurationTest, TheExampleFileDocumentsEveryKeyWithItsDefault) {
    const std::string example = text_of_file(SPANTAPE_EXAMPLE);
    EXPECT_EQ(example, documented_configuration())
        << "appliance/spantape.toml is not what the table of keys says; the text above is what it must be";
    const auto as_it_is = load_configuration(SPANTAPE_EXAMPLE, {});
    ASSERT_TRUE(as_it_is) << as_it_is.error().message;
    EXPECT_EQ(*as_it_is, Configuration{});

    // With the keys uncommented: the defaults that it names are the defaults, and none is left out.
    std::istringstream lines(example);
    std::string text;
    std::size_t keys = 0;
    for (std::string line; std::getline(lines, line);) {
        const bool is_key = line.size() > 1 && line[0] == '#' && line[1] != ' ';
        keys += is_key ? 1 : 0;
        text += (is_key ? line.substr(1) : line) + "\n";
    }
    EXPECT_EQ(keys, configuration_keys().size());
    const auto uncommented = load(text);
    ASSERT_TRUE(uncommented) << uncommented.error().message;
    EXPECT_EQ(*uncommented, Configuration{});
}

}  // namespace
}  // namespace spantape
