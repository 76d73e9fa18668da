// SPDX-License-Identifier: AGPL-3.0-or-later
// The WebAPI over real sockets.
#include <gtest/gtest.h>

#include <thread>

#include "tests/api/protocol/test_appliance.h"
#include "tests/api/protocol/test_client.h"

namespace spantape::api::test {
namespace {

std::string get(const std::string& query, const std::string& fields = "") {
    return "GET /webAPI.aspx?" + query + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
}

// What FILE answers.
std::string file_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    for (std::size_t at = 0; at < count; ++at) bytes[at] = static_cast<char>('a' + at % 23);
    return bytes;
}

TEST(WebServer, AnswersAResultWithStatus200) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=test&requestid=5&user1=Special+Call"));
    const auto response = client.response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.fields.at("content-type"), "text/xml; charset=utf-8");
    EXPECT_EQ(response.body,
              "<RESULT><REQUESTTYPE>TEST</REQUESTTYPE><REQUESTID>5</REQUESTID><RESULTTYPE>API_OK</RESULTTYPE>"
              "<RESULTCODE>20</RESULTCODE><RESULTMSG>API_OK</RESULTMSG><USER1>Special Call</USER1></RESULT>\r\n");
    EXPECT_TRUE(appliance.functions().last_was_web);
}

TEST(WebServer, PageAndParameterNamesInAnyCaseByGetOrPost) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send("GET /WEBAPI.PHP?TYPE=Test&RequestId=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(element(client.response().body, "RESULTCODE"), "20");
    client.send(
        "POST /webapi.aspx?type=test HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 23\r\n\r\nrequestid=2&user1=a%26b");
    const auto response = client.response();
    EXPECT_EQ(element(response.body, "REQUESTID"), "2");
    EXPECT_EQ(element(response.body, "USER1"), "a&amp;b");
}

TEST(WebServer, ServesPagesBesideTheApi) {
    ServerOptions options;
    options.page = [](std::string_view path) -> std::optional<TextPage> {
        if (path != "/metrics") return std::nullopt;
        return TextPage{"text/plain; version=0.0.4", "up 1\n"};
    };
    TestAppliance appliance(options);
    TestClient client(appliance.port("webapi"));
    client.send("GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto page = client.response();
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(page.fields.at("content-type"), "text/plain; version=0.0.4");
    EXPECT_EQ(page.body, "up 1\n");
    client.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(client.response().status, 404);
    client.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.response().status, 404);
    client.send(get("type=test&requestid=1"));  // the connection goes on
    EXPECT_EQ(client.response().status, 200);
}

TEST(WebServer, ErrorsOfTheApiAreResults) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=test&requestid=-4") + get("requestid=1") + get("type=nosuch&requestid=1"));
    for (const char* code : {"14", "15", "10"}) {
        const auto response = client.response();
        EXPECT_EQ(response.status, 200);
        EXPECT_EQ(element(response.body, "RESULTCODE"), code);
    }
}

TEST(WebServer, FaultsOfHttpHaveStatusOfHttp) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n" + get("type=%zz") +
                "PUT /webapi.php HTTP/1.1\r\nHost: x\r\n\r\n" + get("type=test&requestid=1"));
    EXPECT_EQ(client.response().status, 404);
    EXPECT_EQ(client.response().status, 400);
    const auto not_allowed = client.response();
    EXPECT_EQ(not_allowed.status, 405);
    EXPECT_EQ(not_allowed.fields.at("allow"), "GET, HEAD, POST");
    EXPECT_EQ(client.response().status, 200) << "a whole request leaves the connection usable";
}

TEST(WebServer, WhatIsNoHttpIsAnsweredAndClosed) {
    TestAppliance appliance;
    const std::pair<std::string, int> cases[] = {
        {"<REQUEST><TYPE>TEST</TYPE></REQUEST>\r\n\r\n", 400},
        {"GET /webapi.php HTTP/1.1\r\nX: " + std::string(20'000, 'x'), 431},
        {"POST /webapi.php HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413},
        {"POST /webapi.php HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400},
        {"POST /webapi.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n" +
             std::string(0x11000, 'x'),
         413}};
    for (const auto& [bytes, status] : cases) {
        TestClient client(appliance.port("webapi"));
        client.send(bytes);
        const auto response = client.response();
        EXPECT_EQ(response.status, status) << bytes.substr(0, 50);
        EXPECT_EQ(response.fields.at("connection"), "close");
        EXPECT_TRUE(client.ended());
    }
}

TEST(WebServer, HeaderAndBodyUpToTheirLimitsAreServed) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=test&requestid=1", "X: " + std::string(16'000, 'x') + "\r\n"));
    EXPECT_EQ(client.response().status, 200);
    const std::string body = "user1=" + std::string(65'536 - 6, 'y');
    client.send("POST /webapi.php?type=test&requestid=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n" + body);
    EXPECT_EQ(element(client.response().body, "USER1").size(), 65'530u);
}

TEST(WebServer, ClientThatAsksFirstIsToldToContinue) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send("POST /webapi.php HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 21\r\n\r\n");
    EXPECT_EQ(client.line(), "HTTP/1.1 100 Continue\r\n");
    client.line();
    client.send("type=test&requestid=31");
    EXPECT_EQ(element(client.response().body, "REQUESTID"), "3");
}

TEST(WebServer, PipelinedRequestsAreAnsweredInOrder) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=hold&requestid=1") + get("type=test&requestid=2"));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().held.size() == 1; }));
    EXPECT_FALSE(client.readable(50));
    appliance.release(0, "late");
    EXPECT_EQ(element(client.response().body, "RESULTMSG"), "late");
    EXPECT_EQ(element(client.response().body, "REQUESTID"), "2");
}

TEST(WebServer, OldAndClosingClientsAreClosedAfterTheirAnswer) {
    TestAppliance appliance;
    for (const std::string head : {" HTTP/1.0\r\n\r\n", " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"}) {
        TestClient client(appliance.port("webapi"));
        client.send("GET /webapi.php?type=test&requestid=1" + head);
        EXPECT_EQ(element(client.response().body, "RESULTCODE"), "20");
        EXPECT_TRUE(client.ended());
    }
    TestClient half(appliance.port("webapi"));
    half.send(get("type=hold&requestid=1"));
    half.send_end();
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().held.size() == 1; }));
    appliance.release(0, "late");
    EXPECT_EQ(element(half.response().body, "RESULTMSG"), "late");
    EXPECT_TRUE(half.ended());
}

TEST(WebServer, HeadHasTheHeaderOnly) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(
        "HEAD /webapi.php?type=test&requestid=1 HTTP/1.1\r\nHost: x\r\n\r\n"
        "HEAD /webapi.php?type=file&requestid=1&bytes=1000000&name=a.wav HTTP/1.1\r\nHost: x\r\n\r\n"
        "HEAD /other HTTP/1.1\r\nHost: x\r\n\r\n" +
        get("type=test&requestid=9"));
    EXPECT_GT(std::stoi(client.response(true).fields.at("content-length")), 50);
    EXPECT_EQ(client.response(true).fields.at("content-length"), "1000000");
    EXPECT_EQ(client.response(true).status, 404);
    EXPECT_EQ(element(client.response().body, "REQUESTID"), "9");
    EXPECT_EQ(appliance.functions().pieces_read, 0);
}

TEST(WebServer, FileIsStreamedWholeWithItsLengthAndName) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=file&requestid=1&bytes=3000001&piece=65536&name=555-10-00-00.wav") +
                get("type=test&requestid=2"));
    const auto response = client.response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.fields.at("content-type"), "audio/wav");
    EXPECT_EQ(response.fields.at("content-disposition"), "attachment; filename=\"555-10-00-00.wav\"");
    EXPECT_EQ(response.fields.at("content-length"), "3000001");
    EXPECT_TRUE(response.body == file_bytes(3'000'001));
    EXPECT_EQ(element(client.response().body, "REQUESTID"), "2");
}

TEST(WebServer, RangesOfAFileAreServed) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=file&requestid=1&bytes=100000&piece=4096", "Range: bytes=50000-50099\r\n") +
                get("type=file&requestid=1&bytes=100000&piece=4096", "Range: bytes=100000-\r\n") +
                get("type=file&requestid=1&bytes=1000", "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n"));
    const auto part = client.response();
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.fields.at("content-range"), "bytes 50000-50099/100000");
    EXPECT_EQ(part.body, file_bytes(50'100).substr(50'000));
    const auto beyond = client.response();
    EXPECT_EQ(beyond.status, 416);
    EXPECT_EQ(beyond.fields.at("content-range"), "bytes */100000");
    EXPECT_EQ(client.response().body.size(), 1000u);
}

TEST(WebServer, FileIsReadNoFasterThanTheClientTakesItAndNoLongerThanItStays) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"), 4096);
    client.send(get("type=file&requestid=1&bytes=500000000&piece=65536"));
    int read = -1;
    while (read != appliance.functions().pieces_read) {
        read = appliance.functions().pieces_read;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    EXPECT_LT(read, 200) << "500 MB must not pile up";
    client.reset();
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
    read = appliance.functions().pieces_read;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(appliance.functions().pieces_read, read);
}

TEST(WebServer, FileThatCannotBeReadToItsEndBreaksTheConnection) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=file&requestid=1&bytes=100000&piece=10000&failafter=50000&name=a.wav"));
    EXPECT_EQ(client.response().body.size(), 50'000u);
    EXPECT_TRUE(client.ended());
    ASSERT_EQ(appliance.log_lines().size(), 1u);
    EXPECT_NE(appliance.log_lines()[0].find("the disk is gone"), std::string::npos);
}

TEST(WebServer, EventsAreAStreamOfChunksUntilTheClientGoes) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=events&requestid=6&eventclass=ALL&eventvalue=555"));
    const auto response = client.response();
    EXPECT_EQ(response.fields.at("transfer-encoding"), "chunked");
    EXPECT_EQ(response.fields.at("content-type"), "text/xml; charset=utf-8");
    EXPECT_EQ(element(client.chunk(), "RESULTCODE"), "20");
    appliance.publish(make_event("CALL", "CALLSTART", "556", 1));
    for (int i = 2; i < 100; ++i) appliance.publish(make_event("CALL", "CALLSTART", "555", i));
    for (int i = 2; i < 100; ++i) {
        const std::string event = client.chunk();
        ASSERT_EQ(element(event, "NUMBER"), std::to_string(i));
        ASSERT_EQ(element(event, "EVENTXREF"), "6");
    }
    EXPECT_EQ(appliance.counters().subscribers, 1u);
    client.close();
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().subscribers == 0; }));
}

TEST(WebServer, EventStreamEndsProperlyWhenTheServersStop) {
    TestAppliance appliance;
    TestClient client(appliance.port("webapi"));
    client.send(get("type=events&requestid=6&eventclass=ALL"));
    client.response();
    client.chunk();
    std::thread reader([&] {
        EXPECT_EQ(client.line(), "0\r\n");
        EXPECT_EQ(client.line(), "\r\n");
        EXPECT_TRUE(client.ended());
        client.close();
    });
    EXPECT_TRUE(appliance.stop());
    reader.join();
}

TEST(WebServer, SlowEventReaderIsCut) {
    ServerOptions options;
    options.event_backlog = 100;
    TestAppliance appliance(options);
    TestClient client(appliance.port("webapi"), 4096);
    client.send(get("type=events&requestid=6&eventclass=ALL"));
    client.response();
    Event event = make_event("CALL", "CALLSTART", "1", 1);
    event.data.push_back({"PADDING", std::string(10'000, 'p'), {}});
    for (int i = 0; i < 5000 && appliance.counters().subscribers_cut == 0; ++i) appliance.publish(event);
    EXPECT_EQ(appliance.counters().subscribers_cut, 1u);
    EXPECT_EQ(appliance.counters().clients, 0u);
}

TEST(WebServer, RequestNotCompleteInTimeIsAnsweredAndClosed) {
    ServerOptions options;
    options.message_timeout_s = 1;
    TestAppliance appliance(options);
    TestClient idle(appliance.port("webapi"));
    TestClient slow(appliance.port("webapi"));
    slow.send(get("type=test&requestid=1") + "GET /webapi.php");
    EXPECT_EQ(slow.response().status, 200);
    EXPECT_EQ(slow.response().status, 400);
    EXPECT_TRUE(slow.ended());
    idle.send(get("type=test&requestid=1"));
    EXPECT_EQ(idle.response().status, 200);
}

TEST(WebServer, ClientTooManyGetsStatus503) {
    ServerOptions options;
    options.max_clients = 1;
    TestAppliance appliance(options);
    TestClient first(appliance.port("xml"));
    ASSERT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 1; }));
    TestClient second(appliance.port("webapi"));
    EXPECT_EQ(second.response().status, 503);
    EXPECT_TRUE(second.ended());
}

}  // namespace
}  // namespace spantape::api::test
