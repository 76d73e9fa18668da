// SPDX-License-Identifier: AGPL-3.0-or-later
// The commands that speak to an appliance, against a server that says what the test wants.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tools/cli/fake_server.h"
#include "tools/cli/commands.h"
#include "tools/cli/web_client.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string result(const std::string& type, const std::string& body, const std::string& code = "20",
                   const std::string& label = "API_OK") {
    return "<RESULT><REQUESTTYPE>" + type + "</REQUESTTYPE><REQUESTID>1</REQUESTID><RESULTTYPE>" + label +
           "</RESULTTYPE><RESULTCODE>" + code + "</RESULTCODE><RESULTMSG>" + label + "</RESULTMSG>" + body +
           "</RESULT>\r\n";
}

// A command's output and exit status.
struct Ran {
    int status = -1;
    std::string out, err;
};
template <class Command>
Ran ran(const Command& command) {
    std::ostringstream out, err;
    const int status = run(command, Console{out, err});
    return {status, out.str(), err.str()};
}

// Answers the first request with these bytes and closes; gives the request to `asked`.
auto answering(std::string bytes, std::string* asked = nullptr) {
    return [bytes = std::move(bytes), asked](FakeServer::Peer& peer) {
        const std::string request = peer.read_until("</REQUEST>\r\n");
        if (asked != nullptr) *asked = request;
        peer.write_in_pieces(bytes);
    };
}

const std::string kDevices =
    "<DEVICES><COUNT>2</COUNT><DEVICE><DEVICEID>0100</DEVICEID><DEVICEALIAS></DEVICEALIAS><SYS_USER>anna</"
    "SYS_USER><CRM_USER></CRM_USER>"
    "<ANI>a&amp;b</ANI><DNIS>7</DNIS><CALLDIRECTION>I</CALLDIRECTION><STARTTIME>3/1/2026 4:05:09 "
    "PM</STARTTIME><STOPTIME></STOPTIME>"
    "<RECORDING><ISRECORDING>Y</ISRECORDING><FILENAME>/s/x.wav</FILENAME></RECORDING></DEVICE>"
    "<DEVICE><DEVICEID>1002</DEVICEID></DEVICE></DEVICES>";

TEST(Devices, AreListedFromAnAnswerThatComesInPieces) {
    std::string asked;
    Ran devices;
    {
        FakeServer server(answering(result("DEVICELIST", kDevices), &asked));
        devices = ran(DevicesCommand{server.address()});
    }
    EXPECT_EQ(devices.status, kFine) << devices.err;
    EXPECT_THAT(asked, HasSubstr("<TYPE>DEVICELIST</TYPE>"));
    EXPECT_EQ(devices.out,
              "DEVICE  ALIAS  USER  RECORDING  ANI  DNIS  DIR  START                STOP  FILE\n"
              "0100           anna  Y          a&b  7     I    3/1/2026 4:05:09 PM        /s/x.wav\n"
              "1002\n");
}

TEST(Devices, JsonKeepsIdsAsTheyAreWritten) {
    FakeServer server(answering(result("DEVICELIST", kDevices)));
    const Ran devices = ran(DevicesCommand{server.address(), true});
    EXPECT_EQ(devices.status, kFine) << devices.err;
    EXPECT_THAT(devices.out, HasSubstr(R"([{"deviceid":"0100",)"));
    EXPECT_THAT(devices.out, HasSubstr(R"("recording":{"isrecording":"Y","filename":"/s/x.wav"})"));
    EXPECT_THAT(devices.out, HasSubstr(R"({"deviceid":"1002"}])"));
}

TEST(Channels, IdleOnesAreOnlyCountedUnlessAskedFor) {
    const std::string channels =
        "<COUNT>2</COUNT><CHANNELS><CHANNEL><ID>1</ID><STATE>Idle</STATE><LASTSTATECHANGE></LASTSTATECHANGE></CHANNEL>"
        "<CHANNEL><ID>2</ID><STATE>Recording</STATE><LASTSTATECHANGE>x</LASTSTATECHANGE></CHANNEL></CHANNELS>";
    {
        FakeServer server(answering(result("CHANNELS", channels)));
        EXPECT_EQ(ran(ChannelsCommand{server.address()}).out,
                  "CHANNEL  STATE      SINCE  DEVICE  ALIAS\n      2  Recording  x\n2 channels, 1 idle\n");
    }
    FakeServer server(answering(result("CHANNELS", channels)));
    EXPECT_THAT(ran(ChannelsCommand{server.address(), true}).out, HasSubstr("      1  Idle\n"));
}

TEST(Status, ShowsCountersAndSourcesToAPersonAndInJson) {
    const std::string status =
        "<VERSION>0.1</VERSION><UPTIMESECONDS>3700</UPTIMESECONDS><WORKERS>1</WORKERS><PACKETS>1234567</PACKETS>"
        "<DROP_DUPLICATE>5</DROP_DUPLICATE><DROP_BAD_RTP>0</DROP_BAD_RTP><NEWVALUE>77</NEWVALUE>"
        "<WORKER><NUMBER>0</NUMBER><BUSYPERCENT>37</BUSYPERCENT><DROP_DUPLICATE>5</DROP_DUPLICATE></WORKER>"
        "<SOURCE><NAME>pcap:eth1</NAME><BYTES>5</BYTES></SOURCE><SOURCE><NAME>007</NAME></SOURCE>";
    {
        FakeServer server(answering(result("APPLIANCESTATUS", status)));
        const std::string shown = ran(StatusCommand{server.address()}).out;
        EXPECT_THAT(shown, HasSubstr("Spantape 0.1, up 1 h 1 min, workers: 1"));
        EXPECT_THAT(shown, HasSubstr("1,234,567  from all sources"));
        EXPECT_THAT(shown, HasSubstr("5  RTP seen before"));
        EXPECT_THAT(shown, HasSubstr("37 %"));
        EXPECT_THAT(shown, HasSubstr("duplicate 5"));
        EXPECT_THAT(shown, HasSubstr("pcap:eth1"));
        EXPECT_THAT(shown, Not(HasSubstr("bad_rtp")));
        EXPECT_THAT(shown, HasSubstr("NEWVALUE    77"));
    }
    FakeServer server(answering(result("APPLIANCESTATUS",
                                       "<PACKETS>12</PACKETS><SOURCE><NAME>pcap:eth1</NAME><BYTES>5</BYTES></"
                                       "SOURCE><SOURCE><NAME>007</NAME></SOURCE>")));
    EXPECT_EQ(ran(StatusCommand{server.address(), true}).out,
              R"({"packets":12,"source":[{"name":"pcap:eth1","bytes":5},{"name":"007"}]})"
              "\n");
}

TEST(Asking, FailsWithTheCodeOfTheAnswer) {
    FakeServer server(answering(result("DEVICELIST", "", "48", "API_TOO_MANY_CLIENTS")));
    const Ran devices = ran(DevicesCommand{server.address()});
    EXPECT_EQ(devices.status, kFailed);
    EXPECT_EQ(devices.out, "");
    EXPECT_THAT(devices.err, HasSubstr("API_TOO_MANY_CLIENTS (48)"));
}

TEST(Asking, FailsWhenTheServerGoesBeforeOrWithinItsAnswer) {
    {
        FakeServer server(answering(""));
        const Ran status = ran(StatusCommand{server.address()});
        EXPECT_EQ(status.status, kFailed);
        EXPECT_THAT(status.err, HasSubstr("without an answer"));
    }
    FakeServer server(answering(result("APPLIANCESTATUS", "").substr(0, 60)));
    const Ran status = ran(StatusCommand{server.address()});
    EXPECT_EQ(status.status, kFailed);
    EXPECT_THAT(status.err, HasSubstr("in the middle"));
}

TEST(Asking, FailsWhenTheAnswerIsNoXml) {
    FakeServer server(answering("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const Ran status = ran(StatusCommand{server.address()});
    EXPECT_EQ(status.status, kFailed);
    EXPECT_THAT(status.err, HasSubstr("no XML"));
}

TEST(Asking, FailsWithTheServersNameWhenNobodyListens) {
    std::string address;
    {
        FakeServer server([](FakeServer::Peer&) {});
        address = server.address();
        EXPECT_TRUE(TcpConnection::open(address, std::chrono::seconds(5)));
    }
    const Ran status = ran(StatusCommand{address});
    EXPECT_EQ(status.status, kFailed);
    EXPECT_THAT(status.err, HasSubstr(address));
}

TEST(Asking, GivesUpOnASilentServer) {
    FakeServer server([](FakeServer::Peer& peer) { peer.read_all(); });
    auto client = XmlClient::connect(server.address());
    ASSERT_TRUE(client);
    const auto document = (*client)->read(std::chrono::seconds(1));
    ASSERT_FALSE(document);
    EXPECT_THAT(document.error().message, HasSubstr("did not answer in 1 s"));
}

std::string event(const std::string& type, const std::string& device, const std::string& user) {
    return "<CALLCOPYEVENT><EVENTCLASS>CALL</EVENTCLASS><EVENTTYPE>" + type +
           "</EVENTTYPE><MODULE>Api</MODULE><EVENTXREF>1</EVENTXREF>" + "<EVENTDATA><DEVICEID>" + device +
           "</DEVICEID><GATE></GATE><USER1>" + user + "</USER1></EVENTDATA></CALLCOPYEVENT>\r\n";
}

TEST(Watch, PrintsALineForEachEventAndFailsWhenTheServerCloses) {
    std::string asked;
    Ran watched;
    {
        FakeServer server(answering(
            result("EVENTS", "") + event("CALLSTART", "1001", "two words") + event("CALLSTOP", "1001", ""), &asked));
        watched = ran(WatchCommand{server.address(), "CALL", "10&01"});
    }
    EXPECT_THAT(asked, HasSubstr("<EVENTCLASS>CALL</EVENTCLASS><EVENTVALUE>10&amp;01</EVENTVALUE>"));
    EXPECT_EQ(watched.status, kFailed);
    EXPECT_THAT(watched.out, testing::MatchesRegex("....-..-.. ..:..:.. CALLSTART 1001 USER1=\"two words\"\n"
                                                   "....-..-.. ..:..:.. CALLSTOP 1001\n"));
    EXPECT_THAT(watched.err, HasSubstr("closed the connection"));
}

TEST(Watch, EndsWellOnCtrlC) {
    FakeServer server([](FakeServer::Peer& peer) {
        peer.read_until("</REQUEST>\r\n");
        peer.write(result("EVENTS", "") + event("CALLSTART", "1001", ""));
        kill(getpid(), SIGINT);
        peer.read_all();  // until the client goes
    });
    const Ran watched = ran(WatchCommand{server.address(), "ALL", "", true});
    EXPECT_EQ(watched.status, kFine) << watched.err;
}

TEST(Watch, JsonIsOneObjectForEachEvent) {
    FakeServer server(answering(result("EVENTS", "") + event("CALLSTART", "1001", "é")));
    const Ran watched = ran(WatchCommand{server.address(), "ALL", "", true});
    EXPECT_THAT(watched.out,
                testing::MatchesRegex(R"(\{"received":[0-9]+\.[0-9]+,"class":"CALL","type":"CALLSTART",.*\}.)"));
    EXPECT_THAT(watched.out, HasSubstr(R"("data":{"DEVICEID":"1001","GATE":"","USER1":"é"}})"));
}

TEST(Watch, ARefusedSubscriptionFails) {
    FakeServer server(answering(result("EVENTS", "", "30", "API_EVENT_TYPE_INVALID")));
    const Ran watched = ran(WatchCommand{server.address()});
    EXPECT_EQ(watched.status, kFailed);
    EXPECT_THAT(watched.err, HasSubstr("API_EVENT_TYPE_INVALID (30)"));
}

class Files : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "spantape-client-XXXXXX";
        path = mkdtemp(pattern.data());
    }
    void TearDown() override { fs::remove_all(path); }
    [[nodiscard]] long files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator{}); }
    static std::string content(const std::string& file) {
        std::ifstream input(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(input), {}};
    }
    std::string path;
};

using Send = Files;

TEST_F(Send, SendsTheFileAsItIsHalfClosesAndPrintsEveryAnswer) {
    const std::string requests = "<REQUEST><TYPE>TEST</TYPE><REQUESTID>1</REQUESTID></REQUEST>\n<TEST/>";
    std::ofstream(path + "/requests.xml") << requests;
    std::string got;
    Ran sent;
    {
        FakeServer server([&got](FakeServer::Peer& peer) {
            got = peer.read_all();
            peer.write(result("TEST", "") + result("TEST", "<X>\n</X>"));
        });
        sent = ran(SendCommand{path + "/requests.xml", server.address()});
    }
    EXPECT_EQ(got, requests);
    EXPECT_EQ(sent.status, kFine) << sent.err;
    const std::string first = result("TEST", "");
    EXPECT_EQ(sent.out,
              first.substr(0, first.size() - 2) + "\n" + first.substr(0, first.size() - 11) + "<X>\n</X></RESULT>\n");
}

TEST_F(Send, LargeInputIsSentWhileAnswersAreRead) {
    constexpr int kRequests = 20'000;
    const std::string request = "<REQUEST><TYPE>TEST</TYPE><REQUESTID>1</REQUESTID></REQUEST>\r\n";
    std::ofstream file(path + "/requests.xml");
    for (int i = 0; i < kRequests; ++i) file << request;
    file.close();
    FakeServer server([&](FakeServer::Peer& peer) {
        while (!peer.read_until("</REQUEST>\r\n").empty()) peer.write(result("TEST", std::string(1000, ' ')));
    });
    const Ran sent = ran(SendCommand{path + "/requests.xml", server.address()});
    EXPECT_EQ(sent.status, kFine) << sent.err;
    EXPECT_EQ(std::ranges::count(sent.out, '\n'), kRequests);
}

TEST_F(Send, FailsWhenAnyAnswerIsAnError) {
    std::ofstream(path + "/requests.xml") << "<TEST/>";
    FakeServer server([](FakeServer::Peer& peer) {
        peer.read_all();
        peer.write(result("TEST", "", "14", "API_REQUESTID_INVALID") + result("TEST", ""));
    });
    const Ran sent = ran(SendCommand{path + "/requests.xml", server.address()});
    EXPECT_EQ(sent.status, kFailed);
    EXPECT_EQ(std::ranges::count(sent.out, '\n'), 2);
}

TEST_F(Send, FailsWhenThereIsNoAnswerOrNoFile) {
    std::ofstream(path + "/requests.xml") << "<TEST/>";
    FakeServer server([](FakeServer::Peer& peer) { peer.read_all(); });
    EXPECT_EQ(ran(SendCommand{path + "/requests.xml", server.address()}).status, kFailed);
    const Ran missing = ran(SendCommand{path + "/missing.xml", server.address()});
    EXPECT_EQ(missing.status, kFailed);
    EXPECT_THAT(missing.err, HasSubstr("missing.xml"));
}

using Export = Files;

auto web_answering(std::string bytes, std::string* asked = nullptr) {
    return [bytes = std::move(bytes), asked](FakeServer::Peer& peer) {
        const std::string request = peer.read_until("\r\n\r\n");
        if (asked != nullptr) *asked = request;
        peer.write(bytes);
    };
}

TEST_F(Export, WritesTheAudioUnderTheNameThatTheServerGives) {
    const std::string audio(300'000, '\x7f');
    std::string asked;
    Ran exported;
    {
        FakeServer server(
            web_answering("HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 300000\r\n"
                          "Content-Disposition: attachment; filename=\"../1001-16-05-09.wav\"\r\n\r\n" +
                              audio,
                          &asked));
        exported = ran(ExportCommand{{46}, path, "wav", server.address(), ""});
    }
    EXPECT_EQ(exported.status, kFine) << exported.err;
    EXPECT_THAT(asked, HasSubstr("type=EXPORT&REQUESTID=1&UNIQUEFIELD=ident&UNIQUEID=46&MEDIA_FORMAT=wav"));
    EXPECT_EQ(exported.out, path + "/1001-16-05-09.wav\n");
    EXPECT_EQ(content(path + "/1001-16-05-09.wav"), audio);
}

TEST_F(Export, AnErrorOfTheApiIsPrintedWithItsCode) {
    const std::string document = result("EXPORT", "", "41", "API_FILE_NOT_FOUND");
    FakeServer server(web_answering("HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: " +
                                    std::to_string(document.size()) + "\r\n\r\n" + document));
    const Ran exported = ran(ExportCommand{{46}, path, "wav", server.address(), ""});
    EXPECT_EQ(exported.status, kFailed);
    EXPECT_THAT(exported.err, HasSubstr("recording 46: API_FILE_NOT_FOUND (41)"));
    EXPECT_EQ(files(), 0);
}

TEST_F(Export, AFaultOfHttpIsPrinted) {
    FakeServer server(web_answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\ntoo many clients"));
    const Ran exported = ran(ExportCommand{{46}, path, "wav", server.address(), ""});
    EXPECT_EQ(exported.status, kFailed);
    EXPECT_THAT(exported.err, HasSubstr("HTTP 503: too many clients"));
}

TEST_F(Export, AudioThatEndsTooEarlyLeavesNoFile) {
    FakeServer server(
        web_answering("HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 300000\r\n\r\nRIFF"));
    const Ran exported = ran(ExportCommand{{46}, path, "wav", server.address(), ""});
    EXPECT_EQ(exported.status, kFailed);
    EXPECT_THAT(exported.err, HasSubstr("before the answer was complete"));
    EXPECT_EQ(files(), 0);
}

TEST(Disposition, NamesAreReadAsRfc6266WritesThem) {
    EXPECT_EQ(disposition_name("attachment; filename=\"a b.wav\""), "a b.wav");
    EXPECT_EQ(disposition_name("attachment; filename=a.wav"), "a.wav");
    EXPECT_EQ(disposition_name("attachment; filename=\"M_ller.wav\"; filename*=UTF-8''M%C3%BCller+1%3F.wav"),
              "Müller+1?.wav");
    EXPECT_EQ(disposition_name("attachment; filename=\"a\\\"b;c.wav\"; x=y"), "a\"b;c.wav");
    EXPECT_EQ(disposition_name("inline"), "");
    EXPECT_EQ(disposition_name(""), "");
    EXPECT_EQ(disposition_name("attachment; filename=\"unfinished"), "unfinished");
}

}  // namespace
}  // namespace spantape::cli
