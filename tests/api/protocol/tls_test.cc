// SPDX-License-Identifier: AGPL-3.0-or-later
// TLS on all ports that have it, and the certificate made at first start.
#include "api/protocol/tls_certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/api/protocol/test_appliance.h"
#include "tests/api/protocol/test_client.h"

namespace spantape::api::test {
namespace {

class Tls : public testing::Test {
protected:
    Tls() {
        std::string pattern = testing::TempDir() + "spantape-tls-XXXXXX";
        folder_ = mkdtemp(pattern.data());
        options_.certificate = folder_ + "/certificate.pem";
        options_.key = folder_ + "/key.pem";
        options_.xml_tls = "127.0.0.1:0";
    }
    ~Tls() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
    ServerOptions options_;
};

const std::string kTest = "<TEST><REQUESTID>1</REQUESTID></TEST>";
const std::string kGet = "GET /webapi.php?type=test&requestid=1 HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(Tls, WebApiIsServedOnItsTlsPortAndOnThePlainOne) {
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    TestAppliance appliance(options_);
    for (const char* listener : {"tls", "webapi"}) {
        TestClient client(appliance.port(listener));
        ASSERT_TRUE(client.start_tls()) << listener;
        client.send(kGet + kGet);
        EXPECT_EQ(client.response().status, 200);
        EXPECT_EQ(element(client.response().body, "RESULTCODE"), "20");
        client.send(
            "GET /webapi.php?type=file&requestid=1&bytes=2000000&piece=70000 HTTP/1.1\r\nConnection: close\r\n\r\n");
        EXPECT_EQ(client.response().body.size(), 2'000'000u);
        EXPECT_TRUE(client.ended());
    }
    TestClient plain(appliance.port("webapi"));
    plain.send(kGet);
    EXPECT_EQ(plain.response().status, 200);
}

TEST_F(Tls, XmlApiAndEventsAreServedOverTls) {
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    TestAppliance appliance(options_);
    TestClient client(appliance.port("xml_tls"));
    ASSERT_TRUE(client.start_tls());
    client.send("<EVENTS><REQUESTID>1</REQUESTID><EVENTCLASS>ALL</EVENTCLASS></EVENTS>" + kTest);
    EXPECT_EQ(element(client.line(), "REQUESTTYPE"), "EVENTS");
    EXPECT_EQ(element(client.line(), "REQUESTTYPE"), "TEST");
    appliance.publish(make_event("CALL", "CALLSTART", "1", 1));
    EXPECT_EQ(element(client.line(), "NUMBER"), "1");
    TestClient half(appliance.port("xml_tls"));
    ASSERT_TRUE(half.start_tls());
    half.send("<BIG><REQUESTID>1</REQUESTID><BYTES>3000000</BYTES></BIG>");
    half.send_end();
    EXPECT_EQ(element(half.line(), "BULK").size(), 3'000'000u);
    EXPECT_TRUE(half.ended());
}

TEST_F(Tls, VersionsBefore12AreRefused) {
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    TestAppliance appliance(options_);
    EXPECT_FALSE(TestClient(appliance.port("tls")).start_tls(TLS1_1_VERSION));
    EXPECT_FALSE(TestClient(appliance.port("webapi")).start_tls(TLS1_VERSION));
    EXPECT_TRUE(TestClient(appliance.port("tls")).start_tls(TLS1_2_VERSION));
    EXPECT_TRUE(TestClient(appliance.port("tls")).start_tls(TLS1_3_VERSION));
}

TEST_F(Tls, ClientThatNeverFinishesItsHandshakeIsDropped) {
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    options_.message_timeout_s = 1;
    TestAppliance appliance(options_);
    TestClient silent(appliance.port("tls"));
    TestClient garbled(appliance.port("tls"));
    garbled.send(kGet);
    TestClient half_hello(appliance.port("webapi"));
    half_hello.send("\x16\x03\x01");
    EXPECT_TRUE(garbled.readable(500)) << "at once";
    silent.ended();
    half_hello.ended();
    EXPECT_TRUE(appliance.eventually([&] { return appliance.functions().servers->counters().clients == 0; }));
}

TEST_F(Tls, CertificateIsMadeOnceForTheNamesOfThisHost) {
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    struct stat status{};
    ASSERT_EQ(stat(options_.key.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    std::FILE* file = std::fopen(options_.certificate.c_str(), "r");
    X509* certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    ASSERT_NE(certificate, nullptr);
    EXPECT_EQ(X509_check_host(certificate, "localhost", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate, "::1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate, "192.0.2.1", 0), 0);
    int days = 0;
    ASN1_TIME_diff(&days, nullptr, nullptr, X509_get0_notAfter(certificate));
    EXPECT_NEAR(days, 3650, 2);
    X509_free(certificate);
    const auto made = std::filesystem::last_write_time(options_.certificate);
    ASSERT_TRUE(ensure_certificate(options_.certificate, options_.key));
    EXPECT_EQ(std::filesystem::last_write_time(options_.certificate), made);
}

TEST_F(Tls, MissingHalvesAndWrongFilesAreNamed) {
    std::ofstream(options_.certificate) << "not a certificate";
    const auto half = ensure_certificate(options_.certificate, options_.key);
    ASSERT_FALSE(half);
    EXPECT_NE(half.error().message.find(options_.key), std::string::npos);
    const auto nowhere = ensure_certificate(folder_ + "/none/c.pem", folder_ + "/none/k.pem");
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().message.find("/none/k.pem"), std::string::npos);

    boost::asio::io_context control;
    boost::asio::thread_pool pool(1);
    FakeFunctions functions;
    const auto started = Servers::start(control, pool, options_, functions);
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find(options_.certificate), std::string::npos);
    pool.join();
}

TEST(Start, NamesWhatIsWrong) {
    boost::asio::io_context control;
    boost::asio::thread_pool pool(1);
    FakeFunctions functions;
    const auto error_of = [&](const std::function<void(ServerOptions&)>& change) {
        ServerOptions options;
        options.xml = options.events = options.webapi = "127.0.0.1:0";
        options.webapi_tls = "";
        change(options);
        const auto started = Servers::start(control, pool, options, functions);
        return started ? std::string("(started)") : started.error().message;
    };
    EXPECT_EQ(error_of([](ServerOptions&) {}), "(started)");
    EXPECT_NE(error_of([](ServerOptions& o) { o.webapi = "127.0.0.1"; }).find("webapi = 127.0.0.1: "),
              std::string::npos);
    EXPECT_NE(error_of([](ServerOptions& o) { o.webapi = "127.0.0.1:70000"; }).find("no port"), std::string::npos);
    EXPECT_NE(error_of([](ServerOptions& o) { o.webapi_tls = "127.0.0.1:0"; }).find("certificate"), std::string::npos);
    EXPECT_NE(error_of([](ServerOptions& o) { o.allow = {"everyone"}; }).find("everyone"), std::string::npos);
    pool.join();
}

TEST(Start, WhatCannotListenTriesAgain) {
    boost::asio::io_context control;
    boost::asio::thread_pool pool(1);
    FakeFunctions functions;
    auto other = std::make_unique<TestAppliance>();
    ServerOptions options;
    options.xml = "127.0.0.1:" + std::to_string(other->port("xml"));
    options.events = "127.0.0.1:0";
    options.webapi = options.webapi_tls = "";
    const auto started = Servers::start(control, pool, options, functions);
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_EQ((*started)->addresses().find("xml="), std::string::npos);
    EXPECT_NE((*started)->addresses().find("events="), std::string::npos);
    const auto failures = (*started)->failures();
    ASSERT_EQ(failures.size(), 2u);
    EXPECT_EQ(failures[0], (std::pair<std::string, std::string>("xml", options.xml + ": Address already in use")));
    EXPECT_EQ(failures[1].second, "");
    other.reset();
    control.run_for(std::chrono::milliseconds(2500));
    EXPECT_EQ((*started)->failures()[0].second, "");
    EXPECT_EQ((*started)->addresses().find("xml=" + options.xml), 0u);
    pool.join();
}

TEST(Start, AddressesNameTheListenersThatAreOn) {
    ServerOptions options;
    options.events = "";
    TestAppliance appliance(options);
    EXPECT_EQ(appliance.addresses(), "xml=127.0.0.1:" + std::to_string(appliance.port("xml")) +
                                         " webapi=127.0.0.1:" + std::to_string(appliance.port("webapi")));
}

}  // namespace
}  // namespace spantape::api::test
