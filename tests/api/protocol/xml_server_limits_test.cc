// SPDX-License-Identifier: AGPL-3.0-or-later
// The XML API under pressure: limits, slow and hostile clients, many of them.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
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

bool answers(TestClient& client, int id) {
    client.send(request("TEST", id));
    return element(client.line(), "REQUESTID") == std::to_string(id);
}

TEST(XmlServerLimits, MessageOverTheSizeIsAnsweredAndTheConnectionClosed) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    const std::string large = request("TEST", 1, "<A>" + std::string(60'000, 'x') + "</A>");
    client.send(large + "<REQUEST>" + std::string(1'000'000, 'y'));
    EXPECT_EQ(element(client.line(), "REQUESTID"), "1");
    EXPECT_EQ(element(client.line(), "RESULTCODE"), "16");
    EXPECT_TRUE(client.ended());
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
}

TEST(XmlServerLimits, MessageNotCompleteInTimeIsAnsweredAndTheConnectionClosed) {
    ServerOptions options;
    options.message_timeout_s = 1;
    TestAppliance appliance(options);
    TestClient idle(appliance.port("xml"));
    TestClient slow(appliance.port("xml"));
    EXPECT_TRUE(answers(idle, 1));
    slow.send(request("TEST", 1) + "<REQUEST>");
    EXPECT_EQ(element(slow.line(), "REQUESTID"), "1");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 6; ++i) {  // bytes that trickle in do not prolong it
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        slow.send(" ");
    }
    EXPECT_EQ(element(slow.line(), "RESULTCODE"), "16");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1500));
    EXPECT_TRUE(slow.ended());
    EXPECT_TRUE(answers(idle, 2)) << "an idle client has no message under way";
}

TEST(XmlServerLimits, TimeRunsForEachMessageAnew) {
    ServerOptions options;
    options.message_timeout_s = 1;
    TestAppliance appliance(options);
    TestClient client(appliance.port("xml"));
    for (int i = 0; i < 5; ++i) {
        client.send("<REQUEST><TYPE>TEST</TYPE>");
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        client.send("<REQUESTID>1</REQUESTID></REQUEST>");
        ASSERT_EQ(element(client.line(), "RESULTCODE"), "20");
    }
}

TEST(XmlServerLimits, ClientTooManyIsToldSoAndClosed) {
    ServerOptions options;
    options.max_clients = 2;
    TestAppliance appliance(options);
    TestClient first(appliance.port("xml"));
    {
        TestClient second(appliance.port("events"));
        ASSERT_TRUE(answers(first, 1));
        ASSERT_TRUE(answers(second, 1));
        TestClient third(appliance.port("xml"));
        third.send(request("TEST", 1));
        const std::string answer = third.line();
        EXPECT_EQ(element(answer, "RESULTCODE"), "48");
        EXPECT_EQ(element(answer, "RESULTTYPE"), "API_TOO_MANY_CLIENTS");
        EXPECT_TRUE(third.ended());
        EXPECT_EQ(appliance.counters().refused, 1u);
        EXPECT_TRUE(answers(first, 2));
    }
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 1; }));
    TestClient fourth(appliance.port("xml"));
    EXPECT_TRUE(answers(fourth, 1));
}

// A subscriber that closed without a reset looks like one that ended its side only; it must not keep others out.
TEST(XmlServerLimits, SubscribersThatAreGoneMakeRoom) {
    ServerOptions options;
    options.max_clients = 1;
    TestAppliance appliance(options);
    for (int i = 0; i < 3; ++i) {
        TestClient client(appliance.port("xml"));
        client.send(request("EVENTS", i, "<EVENTCLASS>ALL</EVENTCLASS>"));
        ASSERT_EQ(element(client.line(), "RESULTCODE"), "20");
        client.close();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_EQ(appliance.counters().clients, 1u);
}

TEST(XmlServerLimits, ClientFromElsewhereIsClosedAtOnce) {
    ServerOptions options;
    options.allow = {"192.0.2.0/24"};
    TestAppliance appliance(options);
    TestClient client(appliance.port("xml"));
    EXPECT_TRUE(client.ended());
    TestClient web(appliance.port("webapi"));
    EXPECT_TRUE(web.ended());
    EXPECT_EQ(appliance.counters().refused, 2u);
    EXPECT_EQ(appliance.counters().clients, 0u);
}

TEST(XmlServerLimits, SlowSubscriberIsCutCountedAndLoggedWhileOthersGoOn) {
    ServerOptions options;
    options.event_backlog = 500;
    TestAppliance appliance(options);
    TestClient slow(appliance.port("events"), 4096);
    TestClient good(appliance.port("events"));
    for (TestClient* client : {&slow, &good}) {
        client->send(request("EVENTS", 1, "<EVENTCLASS>ALL</EVENTCLASS>"));
        ASSERT_EQ(element(client->line(), "RESULTCODE"), "20");
    }
    int number = 0;
    const std::string padding(4000, 'p');
    while (appliance.counters().subscribers_cut == 0 && number < 20'000) {
        Event event = make_event("CALL", "CALLSTART", "1", number);
        event.data.push_back({"PADDING", padding, {}});
        appliance.publish(event);
        ASSERT_EQ(element(good.line(), "NUMBER"), std::to_string(number++));
    }
    EXPECT_GT(number, 500) << "the backlog is there to be used";
    EXPECT_EQ(appliance.counters().subscribers_cut, 1u);
    EXPECT_EQ(appliance.counters().subscribers, 1u);
    const auto lines = appliance.log_lines();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find("cut off"), std::string::npos);
    EXPECT_NE(lines[0].find("127.0.0.1:"), std::string::npos);
    int got = 0;
    while (slow.line().ends_with("\r\n")) ++got;
    EXPECT_LT(got, number) << "it was cut";
    EXPECT_TRUE(slow.ended());
}

TEST(XmlServerLimits, ClientThatDoesNotReadIsNotReadFrom) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"), 4096);
    constexpr int kCount = 20'000;
    std::thread writer([&] {
        for (int i = 0; i < kCount; ++i) client.send(request("BIG", i, "<BYTES>2000</BYTES>"));
    });
    int handled = -1;
    while (handled != appliance.functions().handled) {  // until it stands still
        handled = appliance.functions().handled;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    EXPECT_LT(handled, 10'000) << "40 MB of answers must not pile up";
    TestClient other(appliance.port("xml"));
    EXPECT_TRUE(answers(other, 1));
    for (int i = 0; i < kCount; ++i) ASSERT_EQ(element(client.line(), "REQUESTID"), std::to_string(i));
    writer.join();
}

TEST(XmlServerLimits, RequestsAheadOfSlowFunctionsAreBounded) {
    TestAppliance appliance;
    TestClient client(appliance.port("xml"));
    std::string bytes;
    for (int i = 0; i < 2000; ++i) bytes += request("HOLD", i);
    client.send(bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_LE(appliance.functions().handled, 256);
    for (std::size_t i = 0; i < 2000; ++i) {
        ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().held.size() > i; })) << i;
        appliance.release(i, "");
    }
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(element(client.line(), "REQUESTID"), std::to_string(i));
}

TEST(XmlServerLimits, ResetInTheMiddleOfAnythingHurtsNobody) {
    TestAppliance appliance;
    TestClient good(appliance.port("xml"));
    for (int i = 0; i < 100; ++i) {
        TestClient client(appliance.port("xml"), 4096);
        client.send(request("EVENTS", 1, "<EVENTCLASS>ALL</EVENTCLASS>") + request("BIG", 1, "<BYTES>1000000</BYTES>") +
                    request("HOLD", 2) + request("BIG", 3, "<BYTES>1000000</BYTES>") + "<REQ");
        if (i % 2 == 0) client.readable(1000);
        client.reset();
        ASSERT_TRUE(answers(good, i));
    }
    appliance.on_control([&] {
        for (auto& done : appliance.functions().held) done({});
    });
    appliance.publish(make_event("CALL", "CALLSTART", "1", 1));
    EXPECT_TRUE(answers(good, 1));
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 1; }));
}

TEST(XmlServerLimits, AThousandClientsAtOnce) {
    TestAppliance appliance;
    const int port = appliance.port("xml");
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 1000; ++i) clients.push_back(std::make_unique<TestClient>(port));
    for (int round = 0; round < 3; ++round) {
        for (auto& client : clients) client->send(request("TEST", round));
        for (auto& client : clients) ASSERT_EQ(element(client->line(), "REQUESTID"), std::to_string(round));
    }
    EXPECT_EQ(appliance.counters().clients, 1000u);
    TestClient surplus(port);
    EXPECT_EQ(element(surplus.line(), "RESULTCODE"), "48");
    clients.clear();
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
}

TEST(XmlServerLimits, GarbageOnEveryPortLeavesGoodClientsServed) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    TestAppliance appliance;
    TestClient good(appliance.port("xml"));
    std::mt19937 random(seed);
    const std::string words[] = {"<REQUEST>",
                                 "</REQUEST>",
                                 "<TYPE>TEST</TYPE>",
                                 "\r\n",
                                 "<!DOCTYPE a [",
                                 "&#0;",
                                 "\xff",
                                 "GET / HTTP/1.1\r\n",
                                 "<?xml ?>",
                                 "<![CDATA[",
                                 "]]>",
                                 "<a b='",
                                 "<!--",
                                 "\0",
                                 "%%%"};
    for (int i = 0; i < 200; ++i) {
        const char* const listeners[] = {"xml", "events", "webapi"};
        TestClient bad(appliance.port(listeners[random() % 3]));
        std::string bytes;
        while (bytes.size() < 3000) {
            if (random() % 3 == 0) bytes += static_cast<char>(random());
            bytes += words[random() % std::size(words)];
        }
        bad.send(bytes);
        if (i % 3 == 0) bad.reset();
        if (i % 3 == 1) bad.send_end();
        ASSERT_TRUE(answers(good, i));
    }
}

// The client's sockets are made first, so that only the server runs out of descriptors.
TEST(XmlServerLimits, RunningOutOfDescriptorsIsSurvivedWithoutSpinning) {
    TestAppliance appliance;
    std::vector<int> sockets;
    for (int i = 0; i < 20; ++i) sockets.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(sockets.back()) + 4;
    setrlimit(RLIMIT_NOFILE, &tight);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(appliance.port("xml")));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::vector<TestClient> clients;
    for (const int fd : sockets) {
        ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        clients.push_back(TestClient::from_socket(fd));
    }
    const std::clock_t cpu = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_LT(std::clock() - cpu, CLOCKS_PER_SEC / 5);
    EXPECT_TRUE(answers(clients.front(), 1)) << "those who are in are served";
    setrlimit(RLIMIT_NOFILE, &before);
    for (TestClient& client : clients) EXPECT_TRUE(answers(client, 2));
    const auto lines = appliance.log_lines();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find("cannot accept"), std::string::npos);
}

}  // namespace
}  // namespace spantape::api::test
