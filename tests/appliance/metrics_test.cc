// SPDX-License-Identifier: AGPL-3.0-or-later
// What operators see: /metrics, APPLIANCESTATUS, and the log lines about losses, from the same statistics.
#include "appliance/metrics.h"

#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "appliance/loss_report.h"
#include "appliance/rate_limited_log.h"
#include "appliance/status_document.h"

namespace spantape {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Statistics two_workers() {
    Statistics all;
    all.workers.resize(2);
    all.workers[0] = {.packets = 100, .stored = 60, .bound = 3, .slots = 8, .busy_ns = 1'500'000'000};
    all.workers[1] = {.packets = 11, .slots = 8};
    all.workers[0].drops[static_cast<std::size_t>(DropReason::ring_full)] = 40;
    all.workers[1].drops[static_cast<std::size_t>(DropReason::ring_full)] = 2;
    all.sources = {{"pcap:eth1", 0, {.packets = 100, .dropped_kernel = 7}, ""},
                   {"pcap:eth1", 1, {.packets = 11, .dropped_kernel = 1}, ""}};
    all.source_drops = {{"pcap:eth1", {}}};
    all.source_drops[0].drops[static_cast<std::size_t>(DropReason::duplicate)] = 5;
    return all;
}

// Sample lines by name and labels.
std::map<std::string, std::string> samples_of(const std::string& text) {
    std::map<std::string, std::string> samples;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (!line.empty() && line[0] != '#')
            samples[line.substr(0, line.rfind(' '))] = line.substr(line.rfind(' ') + 1);
    return samples;
}

TEST(Metrics, CountersStandUnderTheirNamesAndLabels) {
    const auto samples = samples_of(metrics_text(two_workers()));
    EXPECT_EQ(samples.at(R"(spantape_packets_total{worker="0"})"), "100");
    EXPECT_EQ(samples.at(R"(spantape_packets_total{worker="1"})"), "11");
    EXPECT_EQ(samples.at(R"(spantape_drops_total{reason="ring_full",worker="0"})"), "40");
    EXPECT_EQ(samples.at(R"(spantape_drops_total{reason="duplicate",worker="1"})"), "0");
    EXPECT_EQ(samples.at(R"(spantape_streams{state="bound",worker="0"})"), "3");
    EXPECT_EQ(samples.at(R"(spantape_worker_busy_seconds_total{worker="0"})"), "1.5");
    EXPECT_GT(std::stod(samples.at("process_resident_memory_bytes")), 1e6);
    EXPECT_GT(std::stod(samples.at("process_open_fds")), 2);
}

TEST(Metrics, ASourceThatSeveralWorkersReadIsOne) {
    const auto samples = samples_of(metrics_text(two_workers()));
    EXPECT_EQ(samples.at(R"(spantape_source_packets_total{source="pcap:eth1"})"), "111");
    EXPECT_EQ(samples.at(R"(spantape_source_drops_total{source="pcap:eth1",where="kernel"})"), "8");
    EXPECT_EQ(samples.at(R"(spantape_source_unused_packets_total{reason="duplicate",source="pcap:eth1"})"), "5");
}

TEST(Metrics, EachReasonIsExplained) {
    const std::string text = metrics_text(two_workers());
    for (std::size_t reason = 1; reason < kDropReasons; ++reason)
        EXPECT_THAT(text, HasSubstr(std::string(description_of(static_cast<DropReason>(reason)))));
}

TEST(StatusDocument, SumsFirstThenWorkersAndSources) {
    const auto document = status_document(two_workers(), {});
    std::map<std::string, std::string> values;
    int workers = 0, sources = 0;
    for (const api::Element& each : document) {
        if (each.children.empty()) {
            EXPECT_EQ(workers + sources, 0) << each.name;
            values[each.name] = each.text;
        }
        workers += each.name == "WORKER";
        sources += each.name == "SOURCE";
    }
    EXPECT_EQ(workers, 2);
    EXPECT_EQ(sources, 2);
    EXPECT_EQ(values.at("PACKETS"), "111");
    EXPECT_EQ(values.at("DROP_RING_FULL"), "42");
    EXPECT_EQ(values.at("FRAMESSTORED"), "60");
}

TEST(LossReport, SaysWhatWasLostSinceTheLastTime) {
    LossReport report;
    Statistics all = two_workers();
    EXPECT_THAT(report.lines(all), IsEmpty());  // before us
    EXPECT_THAT(report.lines(all), IsEmpty());
    all.workers[1].drops[static_cast<std::size_t>(DropReason::no_stream_slot)] += 123456;
    all.workers[1].drops[static_cast<std::size_t>(DropReason::duplicate)] += 9;  // normal life
    all.sources[0].counters.dropped_kernel += 3;
    EXPECT_THAT(report.lines(all), ElementsAre(HasSubstr("no_stream_slot: 123456 packets in the last second"),
                                               HasSubstr("3 packets lost before us: the kernel")));
    all.workers[0].streams_opened += 17;  // more than all slots
    all.signalling.calls_evicted += 4;
    EXPECT_THAT(report.lines(all), ElementsAre(HasSubstr("17 new streams"), HasSubstr("4 calls")));
    EXPECT_THAT(report.lines(all), IsEmpty());
}

class RateLimitedLogTest : public ::testing::Test {
protected:
    std::vector<std::string> lines_;
    RateLimitedLog log_{[this](const std::string& line) { lines_.push_back(line); }};
};

TEST_F(RateLimitedLogTest, AFloodIsOneLineASecondWithHowManyThereWere) {
    TimeNs now_ns = 5;
    for (int n = 1; n <= 1000; ++n) log_.say("flood", "line " + std::to_string(n), now_ns);
    EXPECT_THAT(lines_, ElementsAre("line 1"));
    log_.tick(now_ns + kNsPerSecond - 1);
    EXPECT_EQ(lines_.size(), 1u);
    log_.tick(now_ns + kNsPerSecond);
    EXPECT_EQ(lines_.size(), 2u);
    EXPECT_EQ(lines_.back(), "line 1000 (the last of 999 such lines)");
    log_.tick(now_ns + 9 * kNsPerSecond);
    EXPECT_EQ(lines_.size(), 2u);
}

TEST_F(RateLimitedLogTest, OneLineASecondStaysAsItIs) {
    for (int n = 0; n < 5; ++n) log_.say("slow", "line", n * kNsPerSecond);
    EXPECT_EQ(lines_.size(), 5u);
}

TEST_F(RateLimitedLogTest, KindsDoNotHoldEachOtherBack) {
    log_.say("a", "first", 0);
    log_.say("b", "second", 0);
    log_.say("a", "third", 1);
    log_.say("a", "fourth", kNsPerSecond);  // and what was held back
    EXPECT_THAT(lines_, ElementsAre("first", "second", "fourth (the last of 2 such lines)"));
}

}  // namespace
}  // namespace spantape
