// SPDX-License-Identifier: AGPL-3.0-or-later
// Floods of fake SIP calls, through dialogs, decisions and a worker as they are wired: a real call in the middle is
// recorded whole, channels are not held without media, and what is remembered stays bounded.
#include <fstream>
#include <set>

#include <unistd.h>

#include "api/control/call_control.h"
#include "capture/sip/dialogs.h"
#include "tests/capture/sip/sip_texts.h"
#include "tests/capture/worker_fixture.h"

namespace spantape::test {
namespace {

// The address sanitizer keeps what was freed for a while.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr std::size_t kMemoryBytes = std::size_t{1} << 30;
#define SPANTAPE_MEMORY_KNOWN
#endif
#endif
#ifndef SPANTAPE_MEMORY_KNOWN
constexpr std::size_t kMemoryBytes = std::size_t{200} << 20;
#endif

class Outputs : public ControlOutputs {
public:
    explicit Outputs(WorkerLinks& links) : links_(links) {}
    void decide(const Decision& decision) override { ASSERT_TRUE(links_.decisions.push(Decision(decision))); }
    void put(PutRecording&& command) override {
        ++documents;
        if (command.recording.state == RecordingState::stored) stored.push_back(std::move(command));
    }
    void flush(std::uint64_t) override { ++flushes; }
    void command_writer(WriterCommand&&) override {}
    void publish(const api::Event& event) override { ++events[event.type]; }
    void forget_sip_call(std::uint64_t) override {}
    std::uint64_t next_number(const std::string& series) override { return ++numbers[series]; }
    bool filename_taken(const std::string& filename) override { return ++names_asked, !names.insert(filename).second; }
    void completed(std::uint64_t) override {}
    std::uint64_t dropped_by_kernel() override { return 0; }
    void log(std::string_view kind, const std::string&) override { ++lines[std::string(kind)]; }

    std::vector<PutRecording> stored;
    std::map<std::string, std::uint64_t> numbers, events, lines;
    std::set<std::string> names;
    std::uint64_t documents = 0, flushes = 0, names_asked = 0;

private:
    WorkerLinks& links_;
};

class FloodTest : public WorkerTest {
protected:
    static constexpr std::size_t kMaxCalls = 24'000;  // as for recording.channels = 1000

    FloodTest() : WorkerTest(512), outputs_(links_) { restart({.channels = 10, .idle_devices = 1000}); }
    void restart(ControlOptions options) { control_plane_ = std::make_unique<CallControl>(options, outputs_, now_ns_); }

    // --- SIP texts through the dialogs, or events as the dialogs would tell them
    void message(const std::string& text) {
        dialogs_.on_message(now_ns_, sip_test::at("192.0.2.1"), sip_test::at("192.0.2.2"), sip_test::bytes_of(text));
    }
    static sip_test::MessageText text_of(const std::string& start_line, const std::string& call_id,
                                         const std::string& body) {
        return {.start_line = start_line, .call_id = call_id, .body = body};
    }
    void sip(auto what) { control_plane_->on_sip({now_ns_, std::move(what)}); }
    void answered_call(std::uint64_t call, const std::string& device, const Endpoint& caller, const Endpoint& callee) {
        sip(SipCallStarted{call, "id-" + std::to_string(call), {"x", "h", ""}, {device, "h", ""}, device, {}, {}});
        sip(SipCallMedia{call, {{CallParty::caller, caller, {{0, "PCMU", 8000, 1, ""}}, false}}});
        sip(SipCallMedia{call, {{CallParty::callee, callee, {{0, "PCMU", 8000, 1, ""}}, false}}});
        sip(SipCallAnswered{call});
    }
    // One turn of worker, writer and control.
    void turn() {
        worker_.step();
        while (StreamHandle* handle = opened()) open_.push_back(handle);
        std::erase_if(open_, [this](StreamHandle* handle) {
            bool ended = false;
            for (const RingRecord& record : drain(*handle)) {
                frames_written_ += record.kind == RingRecordKind::frame;
                ended |= record.kind == RingRecordKind::end;
            }
            return ended && links_.writer.returned.push(std::move(handle));
        });
        while (const auto event = links_.events.pop()) control_plane_->on_worker(*event);
        for (const PutRecording& document : std::exchange(outputs_.stored, {})) {
            finished_.push_back(document.recording);
            control_plane_->on_writer(RecordingStored{document.recording.ident, true});
        }
    }
    void tick() {
        control_plane_->on_worker({.kind = WorkerEvent::Kind::tick, .time_ns = now_ns_});
        while (control_plane_->write_due_document()) {
        }
    }
    void pass(TimeNs ns) {
        now_ns_ += ns;
        tick();
        turn();
    }
    static std::size_t resident_bytes() {
        std::size_t virtual_pages = 0, pages = 0;
        std::ifstream("/proc/self/statm") >> virtual_pages >> pages;
        return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    }

    Outputs outputs_;
    std::unique_ptr<CallControl> control_plane_;
    SipDialogs dialogs_{{.max_calls = kMaxCalls}, [this](SipEvent&& event) { control_plane_->on_sip(event); }};
    std::vector<StreamHandle*> open_;
    std::vector<Recording> finished_;
    std::uint64_t frames_written_ = 0;
};

// Each INVITE with an SDP offer of its own, from and to ever other users, none answered. The real call rings while the
// first fakes come, which must not push it out, and talks while the others do.
TEST_F(FloodTest, ACallIsRecordedWholeAmong300000FakeInvites) {
    constexpr int kFakes = 300'000, kAnswerAt = 60'000, kFakesAFrame = 500;
    const std::size_t before_bytes = resident_bytes();
    message(text_of("INVITE sip:bob@example.com SIP/2.0", "real", sip_test::sdp("10.0.0.1", 4000)).text());
    message(text_of("SIP/2.0 180 Ringing", "real", "").text());
    int frames = 0;
    for (int fake = 0; fake < kFakes; ++fake) {
        now_ns_ = std::max(now_ns_ + 1, wall_clock_ns());  // the worker's clock is the wall's
        const std::string number = std::to_string(fake);
        const std::string host = "198.18." + std::to_string(fake >> 8 & 255) + "." + std::to_string(fake & 255);
        auto invite = text_of("INVITE sip:u" + number + "@example.com SIP/2.0", "fake-" + number,
                              sip_test::sdp(host, 2000 + fake % 60'000));
        invite.to = "<sip:u" + number + "@example.com>";
        message(invite.text());
        if (fake == kAnswerAt) message(text_of("SIP/2.0 200 OK", "real", sip_test::sdp("10.0.0.2", 5000)).text());
        if (fake > kAnswerAt && fake % kFakesAFrame == 0) {
            send_live(kCaller, kCallee, rtp(7, frames));
            send_live(kCallee, kCaller, rtp(8, frames++));
        }
        if (fake % 100 == 0) turn();
        if (fake % 20'000 == 0) {
            dialogs_.expire(now_ns_);
            tick();
        }
    }
    const std::size_t grown_bytes = resident_bytes() - before_bytes;
    RecordProperty("grown_mib", std::to_string(grown_bytes >> 20));
    EXPECT_LT(grown_bytes, kMemoryBytes);  // 80 MiB as a rule
    EXPECT_LE(control_plane_->active_calls(), kMaxCalls);
    EXPECT_LE(control_plane_->devices().size(), kMaxCalls + 1000);
    EXPECT_EQ(outputs_.numbers["ident"], 1u) << "a fake was recorded";

    message(text_of("BYE sip:bob@example.com SIP/2.0", "real", "").text());
    for (int n = 0; n < 20; ++n) pass(100 * kNsPerMs);
    ASSERT_EQ(finished_.size(), 1u);
    EXPECT_EQ(finished_[0].device_id, "bob");
    EXPECT_EQ(finished_[0].ended_by, "bye");
    ASSERT_EQ(finished_[0].streams.size(), 2u);
    for (const RecordedStream& stream : finished_[0].streams) {
        EXPECT_EQ(stream.counters.stored, static_cast<std::uint64_t>(frames));
        EXPECT_EQ(stream.counters.lost_before + stream.counters.dropped_us, 0u);
    }
    EXPECT_EQ(frames_written_, 2u * static_cast<std::uint64_t>(frames));
}

TEST_F(FloodTest, AnsweredFakesWithoutMediaDoNotKeepOutACallThatHasSome) {
    std::uint64_t call = 0;
    const auto fakes = [&](int count) {
        for (int n = 0; n < count; ++n) {
            ++call;
            const auto port = static_cast<std::uint16_t>(10'000 + call % 20'000 * 2);
            answered_call(call, "fake" + std::to_string(call), at("198.18.0.1", port), at("198.18.0.2", port));
            pass(50 * kNsPerMs);
        }
    };
    fakes(50);
    EXPECT_EQ(control_plane_->channels().in_use(), 10u);
    EXPECT_GT(finished_.size(), 30u);  // made way for each other
    EXPECT_EQ(finished_.front().ended_by, "no_media");
    answered_call(1000, "real", kCaller, kCallee);
    int frames = 0;
    for (; frames < 100; ++frames) {
        send_live(kCaller, kCallee, rtp(7, frames));
        fakes(1);
    }
    EXPECT_NE(control_plane_->find_device({.device_id = "real"})->active_call()->recording_now(), nullptr);
    EXPECT_EQ(control_plane_->channels().in_use(), 10u);
    EXPECT_EQ(outputs_.flushes, 0u);  // nothing of what gave way is worth one
    sip(SipCallEnded{1000, SipCallEnd::bye, 0});
    for (int n = 0; n < 20; ++n) pass(100 * kNsPerMs);
    const auto real = std::ranges::find(finished_, "real", &Recording::device_id);
    ASSERT_NE(real, finished_.end());
    EXPECT_EQ(real->streams.at(0).counters.stored, static_cast<std::uint64_t>(frames));
}

TEST_F(FloodTest, ACallWhoseRecordingGaveWayIsRecordedOnceItsMediaComes) {
    answered_call(1, "late", kCaller, kCallee);
    pass(kNsPerSecond);
    for (std::uint64_t call = 2; call <= 11; ++call)
        answered_call(call, "d" + std::to_string(call), at("198.18.0.1", static_cast<std::uint16_t>(2 * call)),
                      at("198.18.0.2", static_cast<std::uint16_t>(2 * call)));
    EXPECT_EQ(control_plane_->find_device({.device_id = "late"})->active_call()->recording_now(), nullptr);
    pass(kNsPerSecond);
    send_live(kCaller, kCallee, rtp(7, 1));
    turn();
    EXPECT_NE(control_plane_->find_device({.device_id = "late"})->active_call()->recording_now(), nullptr);
    EXPECT_EQ(outputs_.lines["gave_way"], 2u);
}

// A full house of calls with media: the next one is not recorded, and nobody loses a channel.
TEST_F(FloodTest, ACallWithMediaNeverGivesWay) {
    for (std::uint64_t call = 1; call <= 10; ++call) {
        const auto port = static_cast<std::uint16_t>(20'000 + 2 * call);
        answered_call(call, "d" + std::to_string(call), at("10.0.0.1", port), at("10.0.0.2", port));
        send_live(at("10.0.0.1", port), at("10.0.0.2", port), rtp(static_cast<std::uint32_t>(call), 1));
    }
    pass(kNsPerSecond);
    answered_call(11, "late", kCaller, kCallee);
    pass(kNsPerSecond);
    EXPECT_TRUE(finished_.empty());
    EXPECT_EQ(outputs_.lines["no_channel"], 1u);
}

TEST_F(FloodTest, DevicesOfFakeCallsAreForgottenAndOthersAreNot) {
    EXPECT_EQ(control_plane_->call_start({.device_id = "named", .device_alias = "reception"}, {}, now_ns_),
              CallOutcome::ok);
    EXPECT_EQ(control_plane_->call_stop({.device_id = "named"}, now_ns_), CallOutcome::ok);
    sip(SipRegistered{"registered", *IpAddress::parse("10.0.0.9"), "registered", 3600});
    answered_call(1, "talking", kCaller, kCallee);
    send_live(kCaller, kCallee, rtp(7, 1));
    turn();
    for (std::uint64_t call = 2; call < 10'000; ++call) {
        const std::string user = "fake" + std::to_string(call);
        sip(SipCallStarted{call, user, {"x", "h", ""}, {user, "h", ""}, user, {}, {}});
        sip(SipCallEnded{call, SipCallEnd::failed, 404});
    }
    EXPECT_LE(control_plane_->devices().size(), 1010u);
    for (const char* device : {"named", "registered", "talking", "fake9999"})
        EXPECT_NE(control_plane_->find_device({.device_id = device}), nullptr) << device;
    EXPECT_EQ(control_plane_->find_device({.device_id = "fake2"}), nullptr);
}

// Names of recordings that start in the same second on one device are found in one or two looks each.
TEST_F(FloodTest, ManyRecordingsOfOneDeviceInOneSecondAskForFewNames) {
    restart({.channels = 2000});
    for (std::uint64_t call = 1; call <= 1000; ++call) answered_call(call, "1111", kCaller, kCallee);
    EXPECT_EQ(outputs_.names.size(), 1000u);
    EXPECT_LE(outputs_.names_asked, 2000u);
}

}  // namespace
}  // namespace spantape::test
