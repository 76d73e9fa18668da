// SPDX-License-Identifier: AGPL-3.0-or-later
// The XML API over real sockets: answers, their order, broken input, events.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/api/protocol/test_appliance.h"
#include "tests/api/protocol/test_client.h"

namespace spantape::api::test {
namespace {

std::string request(const std::string& type, int id, const std::string& parameters = "") {
    return "<REQUEST><TYPE>" + type + "</TYPE><REQUESTID>" + std::to_string(id) + "</REQUESTID>" + parameters +
           "</REQUEST>\r\n";
}

std::string subscription(int id, const std::string& event_class, const std::string& device = "") {
    return request("EVENTS", id, "<EVENTCLASS>" + event_class + "</EVENTCLASS><EVENTVALUE>" + device + "</EVENTVALUE>");
}

TEST(XmlServer, AnswersARequestAsTheManualShowsIt) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(
        "<?xml version=\"1.0\"?>\r\n<REQUEST>\r\n  <TYPE>test</TYPE>\r\n  <REQUESTID>1</REQUESTID>\r\n</REQUEST>\r\n");
    EXPECT_EQ(client.line(),
              "<RESULT><REQUESTTYPE>TEST</REQUESTTYPE><REQUESTID>1</REQUESTID><RESULTTYPE>API_OK</RESULTTYPE>"
              "<RESULTCODE>20</RESULTCODE><RESULTMSG>API_OK</RESULTMSG></RESULT>\r\n");
    EXPECT_FALSE(client.readable(50)) << "one request, one answer, and the connection stays";
}

TEST(XmlServer, LineEndsBetweenRequestsDoNotMatter) {
    TestAppliance appliance;
    TestClient client(appliance.port("events"));
    client.send(
        "\r\n\n<TEST><REQUESTID>1</REQUESTID></TEST>\r<TEST><REQUESTID>2</REQUESTID></TEST>\n"
        "<TEST><REQUESTID>3</REQUESTID></TEST><TEST><REQUESTID>4</REQUESTID></TEST>");
    for (const char* id : {"1", "2", "3", "4"}) EXPECT_EQ(element(client.line(), "REQUESTID"), id);
}

TEST(XmlServer, EveryCharacterOfAValueSurvives) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("TEST", 1, "<USER1>Sales & \xc3\xa9 &lt;b&gt; &#13;&#10; \"'</USER1>"));
    EXPECT_EQ(element(client.line(), "USER1"), "Sales &amp; \xc3\xa9 &lt;b&gt; &#13;&#10; \"'");
}

TEST(XmlServer, TenThousandPipelinedRequestsSplitAnywhereAreAnsweredInOrder) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    constexpr int kCount = 10'000;
    std::thread writer([&] {
        std::mt19937 random(seed);
        std::string bytes;
        for (int i = 0; i < kCount; ++i) bytes += request("TEST", i, "<N>" + std::to_string(i) + "</N>");
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t count = 1 + random() % (random() % 4 == 0 ? 5 : 5000);
            client.send(std::string_view(bytes).substr(at, count));
            at += count;
        }
    });
    for (int i = 0; i < kCount; ++i) {
        const std::string answer = client.line();
        ASSERT_EQ(element(answer, "REQUESTID"), std::to_string(i));
        ASSERT_EQ(element(answer, "N"), std::to_string(i));
    }
    writer.join();
    EXPECT_EQ(appliance.counters().requests, static_cast<std::uint64_t>(kCount));
}

TEST(XmlServer, AnswersKeepTheOrderOfTheRequestsWhenTheFunctionsDoNot) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("HOLD", 1) + request("TEST", 2) + request("HOLD", 3) + "<broken>>\x01\r\n" +
                request("TEST", 5));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().handled == 4; }));
    appliance.release(1, "third");
    EXPECT_FALSE(client.readable(50));
    appliance.release(0, "first");
    EXPECT_EQ(element(client.line(), "RESULTMSG"), "first");
    EXPECT_EQ(element(client.line(), "REQUESTID"), "2");
    EXPECT_EQ(element(client.line(), "RESULTMSG"), "third");
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "16");
    EXPECT_EQ(element(client.line(), "REQUESTID"), "5");
}

TEST(XmlServer, HalfClosedClientGetsEveryAnswer) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("HOLD", 1) + request("BIG", 2, "<BYTES>5000000</BYTES>") + request("TEST", 3));
    client.send_end();
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().handled == 2; }));
    EXPECT_FALSE(client.ended(50));
    appliance.release(0, "late");
    EXPECT_EQ(element(client.line(), "RESULTMSG"), "late");
    EXPECT_EQ(element(client.line(), "BULK").size(), 5'000'000u);
    EXPECT_EQ(element(client.line(), "REQUESTID"), "3");
    EXPECT_TRUE(client.ended());
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
}

TEST(XmlServer, MessageCutShortByTheClientsEndIsBroken) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("TEST", 1) + "<REQUEST><TYPE>TEST");
    client.send_end();
    EXPECT_EQ(element(client.line(), "REQUESTID"), "1");
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "16");
    EXPECT_TRUE(client.ended());
}

TEST(XmlServer, BrokenInputIsAnsweredOnceAndTheConnectionGoesOn) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send("<REQUEST>\r\n<TYPE>TEST</TYPX>");
    const std::string answer = client.line();
    EXPECT_EQ(element(answer, "RESULTCODE"), "16");
    EXPECT_EQ(element(answer, "RESULTTYPE"), "API_INVALID_MESSAGE_FORMAT");
    EXPECT_EQ(element(answer, "REQUESTTYPE"), "");
    client.send("\r\n<REQUESTID>1</REQUESTID>\r\n</REQUEST>\r\n" + request("TEST", 2));
    EXPECT_EQ(element(client.line(), "REQUESTID"), "2");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + request("TEST", 3));
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "16");
    EXPECT_EQ(element(client.line(), "REQUESTID"), "3");
    EXPECT_EQ(appliance.counters().broken_requests, 2u);
}

TEST(XmlServer, RefusesWhatNoFunctionMaySee) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(
        "<REQUEST><TYPE>TEST</TYPE><REQUESTID> x&lt; </REQUESTID></REQUEST>"
        "<REQUEST><REQUESTID>4</REQUESTID></REQUEST>"
        "<NOSUCHTYPE><REQUESTID>5</REQUESTID></NOSUCHTYPE>");
    const std::string bad_id = client.line();
    EXPECT_EQ(element(bad_id, "RESULTTYPE"), "API_REQUESTID_INVALID");
    EXPECT_EQ(element(bad_id, "REQUESTID"), "x&lt;");
    EXPECT_EQ(element(bad_id, "REQUESTTYPE"), "TEST");
    const std::string no_type = client.line();
    EXPECT_EQ(element(no_type, "RESULTCODE"), "15");
    EXPECT_EQ(element(no_type, "REQUESTID"), "4");
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "10") << "the functions' own answer";
    EXPECT_EQ(appliance.functions().handled, 1);
}

TEST(XmlServer, ResultTypeIsErrorWhenConfigured) {
    ServerOptions options;
    options.result_type_error = true;
    TestAppliance appliance(options);
    TestClient client(appliance.port("xml"));
    client.send(request("NOSUCHTYPE", 1) + request("TEST", 2));
    EXPECT_EQ(element(client.line(), "RESULTTYPE"), "ERROR");
    EXPECT_EQ(element(client.line(), "RESULTTYPE"), "API_OK");
}

TEST(XmlServer, SubscribersGetTheEventsTheyAskedForInOrder) {
    TestAppliance appliance;
    TestClient all(appliance.port("events"));
    TestClient calls(appliance.port("xml"));
    TestClient device(appliance.port("events"));
    all.send(subscription(0, "ALL"));
    calls.send(subscription(7, "CALL"));
    device.send(subscription(8, "ALL", "555"));
    EXPECT_EQ(element(all.line(), "EVENTXREF"), "0");
    EXPECT_EQ(element(calls.line(), "RESULTCODE"), "20");
    EXPECT_EQ(element(device.line(), "RESULTCODE"), "20");
    EXPECT_EQ(appliance.counters().subscribers, 3u);
    appliance.publish(make_event("CALL", "CALLSTART", "555", 1));
    appliance.publish(make_event("RECORD", "RECORDINGSTARTED", "555", 2));
    appliance.publish(make_event("CALL", "CALLSTOP", "556", 3));
    for (const char* number : {"1", "2", "3"}) EXPECT_EQ(element(all.line(), "NUMBER"), number);
    const std::string event = calls.line();
    EXPECT_EQ(event,
              "<CALLCOPYEVENT><EVENTCLASS>CALL</EVENTCLASS><EVENTTYPE>CALLSTART</EVENTTYPE><MODULE>Api</MODULE>"
              "<EVENTXREF>7</EVENTXREF><EVENTDATA><DEVICEID>555</DEVICEID><NUMBER>1</NUMBER></EVENTDATA>"
              "</CALLCOPYEVENT>\r\n");
    EXPECT_EQ(element(calls.line(), "NUMBER"), "3");
    EXPECT_EQ(element(device.line(), "NUMBER"), "1");
    EXPECT_EQ(element(device.line(), "NUMBER"), "2");
    EXPECT_FALSE(device.readable(30));
}

TEST(XmlServer, EventsAndAnswersShareAConnectionWhole) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(subscription(1, "ALL"));
    client.line();
    constexpr int kRequests = 300;
    constexpr int kEventsEach = 10;
    std::thread writer([&] {
        for (int i = 0; i < kRequests; ++i)
            client.send(request("PUBLISH", i, "<COUNT>10</COUNT><DEVICEID>1</DEVICEID>"));
    });
    int answers = 0;
    int events = 0;
    while (answers < kRequests || events < kRequests * kEventsEach) {
        const std::string document = client.line();
        if (document.starts_with("<RESULT>") && document.ends_with("</RESULT>\r\n")) {
            ASSERT_EQ(element(document, "REQUESTID"), std::to_string(answers++));
        } else if (document.starts_with("<CALLCOPYEVENT>") && document.ends_with("</CALLCOPYEVENT>\r\n")) {
            ASSERT_EQ(element(document, "NUMBER"), std::to_string(events++ % kEventsEach));
        } else {
            FAIL() << "torn: " << document;
        }
    }
    writer.join();
}

TEST(XmlServer, NoEventComesBeforeTheAnswerToItsSubscriptionAndNoneIsMissing) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("HOLD", 1) + subscription(2, "ALL") + request("PUBLISH", 3, "<COUNT>2</COUNT>"));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().handled == 3; }));
    EXPECT_FALSE(client.readable(50));
    appliance.release(0, "first");
    EXPECT_EQ(element(client.line(), "RESULTMSG"), "first");
    EXPECT_EQ(element(client.line(), "REQUESTTYPE"), "EVENTS");
    EXPECT_EQ(element(client.line(), "NUMBER"), "0");
    EXPECT_EQ(element(client.line(), "NUMBER"), "1");
    EXPECT_EQ(element(client.line(), "REQUESTID"), "3");
    appliance.publish(make_event("CALL", "CALLSTOP", "1", 9));
    EXPECT_EQ(element(client.line(), "NUMBER"), "9");
}

TEST(XmlServer, HalfClosedSubscriberStillGetsEventsUntilItIsGone) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(subscription(1, "ALL"));
    client.send_end();
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "20");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    appliance.publish(make_event("CALL", "CALLSTART", "1", 1));
    EXPECT_EQ(element(client.line(), "NUMBER"), "1");
    client.reset();
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
}

TEST(XmlServer, StopFinishesWhatIsUnderWay) {
    TestAppliance appliance;
    TestClient idle(appliance.port("xml"));
    TestClient subscriber(appliance.port("events"));
    TestClient waiting(appliance.port("xml"));
    idle.send(request("TEST", 1));
    idle.line();
    subscriber.send(subscription(1, "ALL"));
    subscriber.line();
    waiting.send(request("HOLD", 1));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().held.size() == 1; }));
    const int port = appliance.port("xml");
    std::thread releaser([&] {
        EXPECT_TRUE(idle.ended());
        EXPECT_TRUE(subscriber.ended());
        EXPECT_TRUE(TestClient(port).ended(1000)) << "no new connections";
        appliance.release(0, "still answered");
        EXPECT_EQ(element(waiting.line(), "RESULTMSG"), "still answered");
        EXPECT_TRUE(waiting.ended());
        waiting.close();
    });
    EXPECT_TRUE(appliance.stop());
    releaser.join();
}

TEST(XmlServer, StopCutsWhatTakesTooLong) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    client.send(request("HOLD", 1));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().held.size() == 1; }));
    EXPECT_TRUE(appliance.stop(9000));
    EXPECT_TRUE(client.ended());
}

}  // namespace
}  // namespace spantape::api::test
