// SPDX-License-Identifier: AGPL-3.0-or-later
// The decisions: SIP, stream and API inputs in, what goes to workers, writer and subscribers out.

#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

TEST_F(CallControlTest, ACallIsRecordedFromAnswerToByeAndEveryStepIsAnEvent) {
    establish(1, "6145551212", "1111");
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTARTED"}));
    pass(10);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    EXPECT_EQ(outputs.types().back(), "CALLSTOP");
    EXPECT_FALSE(control->idle());
    pass(1);
    EXPECT_EQ(outputs.types().back(), "RECORDINGSTOPPED");
    answer_workers();
    ASSERT_TRUE(outputs.documents.back().final);
    EXPECT_EQ(last_document().state, RecordingState::stored);
    EXPECT_EQ(last_document().device_id, "1111");
    EXPECT_EQ(last_document().ani, "6145551212");
    EXPECT_EQ(last_document().ended_by, "bye");
    EXPECT_EQ(last_document().duration_ns(), 10 * kNsPerSecond);
    EXPECT_TRUE(outputs.complete.empty());  // not before it is durable
    answer_writer();
    EXPECT_EQ(outputs.types().back(), "RECORDINGUPDATE");
    EXPECT_EQ(outputs.complete, (std::vector<std::uint64_t>{1}));
    EXPECT_TRUE(control->idle());
    EXPECT_EQ(control->channels().in_use(), 0u);
}

TEST_F(CallControlTest, SrtpKeysGoToTheWorkersBeforeTheirEndpointAndNowhereElse) {
    const std::string secret = "0123456789abcdef0123456789abcd";
    SrtpKey key;
    std::copy(secret.begin(), secret.end(), key.key_and_salt.begin());
    SrtpKey other = key;
    other.suite = SrtpSuite::aes_cm_128_hmac_sha1_32;
    start(1, "a", "1111");
    sip(SipCallMedia{1,
                     {{.party = CallParty::caller,
                       .endpoint = kCaller,
                       .payloads = {{0, "PCMU", 8000, 1, ""}},
                       .srtp = true,
                       .srtp_profile = SrtpProfile::required,
                       .srtp_keys = {key, other}}}});
    ASSERT_EQ(outputs.decisions.size(), 3u);
    for (const std::size_t n : {0u, 1u}) {
        EXPECT_EQ(outputs.decisions[n].kind, Decision::Kind::srtp_key);
        EXPECT_EQ(outputs.decisions[n].endpoint, kCaller);
        EXPECT_EQ(outputs.decisions[n].party, CallParty::caller);
        EXPECT_EQ(outputs.decisions[n].key, n == 0 ? key : other);
    }
    EXPECT_EQ(outputs.decisions[2].kind, Decision::Kind::watch);
    EXPECT_EQ(outputs.decisions[2].srtp, SrtpProfile::required);
    media(1, CallParty::callee, kCallee);
    sip(SipCallAnswered{1});
    bound(1, 500, CallParty::caller);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    answer_workers();
    ASSERT_FALSE(outputs.documents.empty());
    for (const auto& document : outputs.documents)
        EXPECT_EQ(to_json(document.recording).find(secret), std::string::npos);
    for (const auto& event : outputs.events)
        for (const auto& element : event.data) EXPECT_EQ(element.text.find(secret), std::string::npos) << element.name;
}

TEST_F(CallControlTest, ARecordingSaysHowItsStreamsWereEncrypted) {
    establish(1, "a", "1111");
    WorkerEvent event{.kind = WorkerEvent::Kind::stream_bound,
                      .encryption = StreamEncryption::srtp_no_key,
                      .session = 1,
                      .stream = 500,
                      .time_ns = now,
                      .flow = {kCaller, kCallee, 7}};
    control->on_worker(event);
    EXPECT_EQ(last_document().streams.at(0).encryption, StreamEncryption::srtp_no_key);
    event.kind = WorkerEvent::Kind::stream_left;
    event.encryption = StreamEncryption::srtp;  // a re-INVITE brought the key
    event.counters = {.stored = 5, .undecryptable = 95};
    control->on_worker(event);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    answer_workers();
    EXPECT_EQ(last_document().streams.at(0).encryption, StreamEncryption::srtp);
    EXPECT_NE(to_public_json(last_document()).find("\"undecryptable\":95"), std::string::npos);
    EXPECT_NE(to_public_json(last_document()).find("\"encryption\":\"srtp\""), std::string::npos);
}

TEST_F(CallControlTest, TheWorkersAreToldBothEndpointsBeforeTheAnswer) {
    start(1, "a", "1111");
    media(1, CallParty::caller, kCaller);
    media(1, CallParty::callee, kCallee);
    ASSERT_EQ(outputs.decisions.size(), 2u);
    EXPECT_EQ(outputs.decisions[0].endpoint, kCaller);
    EXPECT_EQ(outputs.decisions[1].party, CallParty::callee);
}

TEST_F(CallControlTest, EarlyMediaStartsTheRecordingAndItsFirstFrameIsItsStart) {
    start(1, "a", "1111");
    media(1, CallParty::caller, kCaller);
    const TimeNs first = now;
    pass(8.7);
    bound(1, 100, CallParty::callee, first);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTARTED"}));
    sip(SipCallAnswered{1});
    EXPECT_EQ(last_document().start_ns, first);
    EXPECT_EQ(outputs.numbers["ident"], 1u);
}

TEST_F(CallControlTest, EarlyMediaOfAnUnansweredCallIsKeptOnlyIfWanted) {
    restart({.record_unanswered = false});
    start(1, "a", "1111");
    media(1, CallParty::caller, kCaller);
    bound(1, 100, CallParty::callee);
    EXPECT_EQ(outputs.numbers["ident"], 0u);
    sip(SipCallEnded{1, SipCallEnd::failed, 486});
    answer_workers();
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "CALLSTOP"}));
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, AnUnansweredCallWithoutMediaLeavesNoRecording) {
    start(1, "a", "1111");
    media(1, CallParty::caller, kCaller);
    sip(SipCallEnded{1, SipCallEnd::cancelled, 0});
    answer_workers();
    EXPECT_TRUE(outputs.documents.empty());
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, TheDevicesOwnVoiceIsOnItsSide) {
    establish(1, "a", "1111");
    bound(1, 100, CallParty::caller);
    bound(1, 101, CallParty::callee);
    ASSERT_EQ(last_document().streams.size(), 2u);
    EXPECT_EQ(last_document().streams[0].side, Side::far);
    EXPECT_EQ(last_document().streams[1].side, Side::device);
    EXPECT_EQ(last_document().streams[0].payloads.at(0).encoding, "PCMU");
}

TEST_F(CallControlTest, WithPatternsACallBetweenTwoDevicesIsOneCallOnEachAndItsMediaIsShared) {
    restart({.device_match = {"[0-9]{4}"}, .channels = 4});
    establish(1, "1001", "1002");
    bound(1, 100, CallParty::caller);
    EXPECT_EQ(outputs.numbers["session"], 1u);
    EXPECT_EQ(outputs.numbers["ident"], 2u);
    pass(0.1);
    const auto& documents = outputs.documents;
    EXPECT_EQ(documents[documents.size() - 2].recording.streams[0].side, Side::device);  // 1001 speaks
    EXPECT_EQ(documents[documents.size() - 1].recording.streams[0].side, Side::far);
    EXPECT_EQ(documents[documents.size() - 2].recording.direction, "O");
    bye(1);
    EXPECT_EQ(outputs.complete.size(), 2u);
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, WithPatternsACallBetweenOthersIsNone) {
    restart({.device_match = {"[0-9]{4}"}});
    establish(1, "0612345678", "0612345679");
    EXPECT_TRUE(outputs.events.empty());
}

TEST_F(CallControlTest, ACallWhoseByeNeverComesEndsWithItsMedia) {
    establish(1, "a", "1111");
    bound(1, 100, CallParty::caller);
    const TimeNs last = now;
    pass(60);
    control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .session = 1, .time_ns = last});
    EXPECT_EQ(outputs.forgotten, (std::vector<std::uint64_t>{1}));
    answer_workers();
    EXPECT_EQ(last_document().ended_by, "media_timeout");
    EXPECT_LE(last_document().duration_ns(), kNsPerSecond);
}

TEST_F(CallControlTest, ACallWithoutMediaEndsWhenItsTimeIsOverHoweverLateThatIsSeen) {
    establish(1, "a", "1111");
    pass(180 * 86400.0);
    answer_workers();
    EXPECT_EQ(last_document().ended_by, "media_timeout");
    EXPECT_LE(last_document().duration_ns(), 61 * kNsPerSecond);
}

TEST_F(CallControlTest, ACallOnHoldOutlastsTheMediaTimeout) {
    establish(1, "a", "1111");
    bound(1, 100, CallParty::caller);
    pass(1);
    media(1, CallParty::callee, kCallee, true);
    const TimeNs last = now;
    pass(120);
    control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .session = 1, .time_ns = last});
    EXPECT_EQ(control->active_calls(), 1u);
}

TEST_F(CallControlTest, ARecordingEndsWhenTheSlowestWorkerHasReadWhatCameBeforeTheBye) {
    restart({.channels = 4, .workers = 2});
    establish(1, "a", "1111");
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    const auto ended = [this] {
        return std::ranges::any_of(outputs.decisions,
                                   [](const auto& each) { return each.kind == Decision::Kind::end_session; });
    };
    tick(1);
    pass(60);
    EXPECT_FALSE(ended());
    tick(1);
    EXPECT_TRUE(ended());
}

TEST_F(CallControlTest, AnInviteFromYearsAheadMakesNoRecordingOfYears) {
    const TimeNs then = now;
    now += 2'000'000'000 * kNsPerSecond;
    start(1, "a", "1111");
    now = then;
    media(1, CallParty::caller, kCaller);
    media(1, CallParty::callee, kCallee);
    sip(SipCallAnswered{1});
    bound(1, 1, CallParty::caller);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(3e9);
    answer_workers();
    const Recording& recording = last_document();
    EXPECT_EQ(recording.start_ns, then);
    EXPECT_LT(recording.duration_ns(), kNsPerSecond);
}

TEST_F(CallControlTest, AWorkerAtItsSourcesEndHoldsNothingUp) {
    restart({.channels = 4, .workers = 2});
    control->on_worker({.kind = WorkerEvent::Kind::source_ended, .worker = 1});
    establish(1, "a", "1111");
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(60);
    EXPECT_EQ(std::ranges::count(outputs.decisions, Decision::Kind::end_session, &Decision::kind), 1);
}

TEST_F(CallControlTest, WithSeveralWorkersAllMustHaveFallenSilent) {
    restart({.channels = 4, .workers = 2});
    establish(1, "a", "1111");
    for (const std::uint16_t worker : {0, 1})
        control->on_worker({.kind = WorkerEvent::Kind::stream_bound,
                            .worker = worker,
                            .session = 1,
                            .stream = 100u + worker,
                            .time_ns = now});
    pass(100);
    control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .worker = 0, .session = 1, .time_ns = now});
    EXPECT_EQ(control->active_calls(), 1u);
    control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .worker = 1, .session = 1, .time_ns = now});
    EXPECT_EQ(control->active_calls(), 0u);
    // Both answer before the recording is complete.
    control->on_worker({.kind = WorkerEvent::Kind::session_ended, .worker = 0, .session = 1});
    EXPECT_FALSE(outputs.documents.back().final);
    control->on_worker({.kind = WorkerEvent::Kind::session_ended, .worker = 1, .session = 1});
    EXPECT_TRUE(outputs.documents.back().final);
}

TEST_F(CallControlTest, WithoutAFreeChannelTheCallIsKnownButNotRecorded) {
    restart({.channels = 1});
    establish(1, "a", "1111");
    establish(2, "b", "2222");
    EXPECT_EQ(outputs.numbers["ident"], 1u);
    EXPECT_EQ(outputs.lines.size(), 1u);
    bye(1);
    EXPECT_EQ(control->record_start({.device_id = "2222"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(outputs.numbers["ident"], 2u);
    bye(2);
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, TheApiTagsTheCallThatSipShows) {
    establish(1, "a", "1111");
    FieldUpdate update;
    update.user[1] = "Customer 564582";
    EXPECT_EQ(control->call_start({.device_id = "1111", .instance = "37"}, update, now), CallOutcome::ok);
    EXPECT_EQ(control->active_calls(), 1u);
    EXPECT_EQ(last_document().user[1], "Customer 564582");
    EXPECT_EQ(last_document().call_instance, "37");
    EXPECT_EQ(control->call_update({.device_id = "1111", .instance = "37"}, update, now), CallOutcome::ok);
    EXPECT_EQ(control->call_update({.device_id = "1111", .instance = "38"}, update, now), CallOutcome::not_in_call);
    EXPECT_EQ(control->call_update({.device_alias = "nobody"}, update, now), CallOutcome::device_invalid);
}

TEST_F(CallControlTest, ACallAnnouncedByTheApiBecomesTheOneThatSipShows) {
    FieldUpdate update;
    update.user[0] = "Gold";
    control->call_start({.device_id = "1111"}, update, now);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART"}));
    establish(1, "a", "1111");
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTARTED"}));
    EXPECT_EQ(last_document().user[0], "Gold");
    EXPECT_EQ(last_document().ani, "a");
    bye(1);
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, AnApiCallFindsItsMediaByTheAddressThatTheDeviceRegistered) {
    sip(SipRegistered{"1111", kCallee.ip, "1111", 3600});
    EXPECT_EQ(control->call_start({.device_id = "1111"}, {}, now), CallOutcome::ok);
    ASSERT_EQ(outputs.decisions.size(), 1u);
    EXPECT_EQ(outputs.decisions[0].endpoint, (Endpoint{kCallee.ip, 0}));
    bound(1, 100, CallParty::callee);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now + kNsPerSecond), CallOutcome::ok);
    answer_workers();
    answer_writer();
    EXPECT_EQ(outputs.complete.size(), 1u);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now), CallOutcome::nothing_active);
}

TEST_F(CallControlTest, RecordStartOverARecordedCallMakesAPartialRecordingOfItsOwn) {
    establish(1, "a", "1111");
    bound(1, 100, CallParty::caller);
    pass(10);
    EXPECT_EQ(control->record_start({.device_id = "1111"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(control->channels().in_use(), 2u);
    pass(5);
    EXPECT_EQ(control->record_stop({.device_id = "1111"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(last_document().ident, 2u);
    EXPECT_EQ(last_document().duration_ns(), 5 * kNsPerSecond);
    EXPECT_EQ(last_document().streams.size(), 1u);  // the same media
    EXPECT_TRUE(outputs.complete.empty());          // its last second may still be on the ring
    answer_writer();
    EXPECT_EQ(outputs.complete, (std::vector<std::uint64_t>{2}));
    EXPECT_EQ(control->active_calls(), 1u);
    bye(1);
    EXPECT_EQ(outputs.complete, (std::vector<std::uint64_t>{2, 1}));
}

TEST_F(CallControlTest, RecordStopEndsTheCallsOwnRecordingAndRecordStartBeginsAnother) {
    establish(1, "a", "1111");
    EXPECT_EQ(control->record_stop({.device_id = "1111"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(control->record_stop({.device_id = "1111"}, {}, now), CallOutcome::nothing_active);
    answer_workers();
    answer_writer();
    EXPECT_EQ(outputs.complete.size(), 1u);
    outputs.decisions.clear();
    EXPECT_EQ(control->record_start({.device_id = "1111"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(outputs.decisions.size(), 2u);  // the same endpoints, for a session of its own
    EXPECT_EQ(outputs.decisions[0].session, 2u);
    bye(1);
    EXPECT_EQ(outputs.complete.size(), 2u);
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, MaxRecordTimeEndsARecordingAndNotTheCall) {
    FieldUpdate update;
    update.max_record_time_s = 5;
    establish(1, "a", "1111");
    control->call_start({.device_id = "1111"}, update, now);
    pass(4);
    EXPECT_NE(control->devices().at("1111").latest_call()->recording_now(), nullptr);
    pass(2);
    EXPECT_EQ(control->devices().at("1111").latest_call()->recording_now(), nullptr);
    answer_workers();
    EXPECT_EQ(last_document().duration_ns(), 5 * kNsPerSecond);
    EXPECT_EQ(control->active_calls(), 1u);
}

TEST_F(CallControlTest, MediaBehindTheByeIsPartOfTheRecording) {
    establish(1, "a", "1111");
    bound(1, 100, CallParty::caller);
    pass(2);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    const TimeNs bye_ns = now;
    pass(1);
    control->on_worker({.kind = WorkerEvent::Kind::stream_left,
                        .session = 1,
                        .stream = 100,
                        .time_ns = bye_ns + 80 * kNsPerMs,
                        .counters = {.stored = 104},
                        .extent_units = 104 * 160});
    answer_workers();
    EXPECT_EQ(last_document().stop_ns, bye_ns + 100 * kNsPerMs);
    EXPECT_EQ(last_document().streams[0].duration_ns, 104 * 20 * kNsPerMs);
    EXPECT_EQ(last_document().streams[0].counters.stored, 104u);
}

TEST_F(CallControlTest, TheLogicalFileNameIsUnique) {
    establish(1, "a", "../etc");
    const std::string first = last_document().filename;
    EXPECT_NE(first.find("/.._etc/.._etc-"), std::string::npos) << first;
    outputs.taken.insert(first);
    bye(1);
    now -= kNsPerSecond;  // within the same second
    establish(2, "a", "../etc");
    EXPECT_EQ(last_document().filename, first.substr(0, first.size() - 4) + "-2.wav");
}

TEST_F(CallControlTest, AnUpdateOfARecordingThatIsBeingCompletedIsNotLost) {
    establish(1, "a", "1111");
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    answer_workers();
    FieldUpdate update;
    update.user[3] = "Sales Call";
    EXPECT_TRUE(control->update_active(1, update));
    EXPECT_EQ(last_document().user[3], "Sales Call");
    EXPECT_EQ(last_document().state, RecordingState::stored);
    answer_writer();
    EXPECT_FALSE(control->update_active(1, update));  // it is in the index now
}

TEST_F(CallControlTest, EndAllCompletesEverything) {
    restart({.channels = 10});
    for (std::uint64_t call = 1; call <= 5; ++call) establish(call, "a", std::to_string(call));
    control->call_start({.device_id = "99"}, {}, now);
    sip(SipCallEnded{3, SipCallEnd::bye, 0});
    control->end_all(now, "shutdown");
    answer_workers();
    answer_writer();
    EXPECT_EQ(outputs.complete.size(), 5u);
    EXPECT_TRUE(control->idle());
}

TEST_F(CallControlTest, AClockThatDamagePutYearsAheadEndsNoRecordingThen) {
    establish(1, "a", "1111");
    const TimeNs began = now;
    control->end_all(now + TimeNs{100} * 365 * 86'400 * kNsPerSecond, std::string(kEndOfCapture));
    answer_workers();
    const Recording document = last_document();
    answer_writer();
    EXPECT_TRUE(control->idle());
    EXPECT_EQ(document.ended_by, kEndOfCapture);
    std::uint64_t frames = 1;
    for (const RecordedStream& stream : document.streams) frames += stream.counters.stored;
    EXPECT_GE(document.stop_ns, began);
    EXPECT_LE(document.stop_ns - document.start_ns, static_cast<TimeNs>(frames) * 60 * kNsPerSecond);
}

TEST_F(CallControlTest, RecordingsOfOneMediaThatTheEndOfACaptureEndsAreAsLongAsIt) {
    restart({.device_match = {"[12]+"}, .channels = 4});
    establish(1, "1111", "2222");  // one on each phone
    bound(1, 500, CallParty::caller);
    pass(6000);
    control->end_all(now, std::string(kEndOfCapture));
    const Recording first = last_document();  // its media goes on for the other
    EXPECT_EQ(first.ended_by, kEndOfCapture);
    EXPECT_EQ(first.stop_ns, now);
}

TEST_F(CallControlTest, KernelDropsDuringARecordingAreInItsLedger) {
    outputs.kernel_drops = 100;
    establish(1, "a", "1111");
    outputs.kernel_drops = 107;
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    answer_workers();
    EXPECT_EQ(last_document().dropped_kernel, 7u);
}

// Workers measure jitter by the RTP clock; of what RFC 3551 gives they need not be told.
TEST_F(CallControlTest, WorkersAreToldTheClocksOfDynamicAudioTypes) {
    start(1, "6001", "7001");
    sip(SipCallMedia{
        1,
        {{CallParty::callee,
          kCallee,
          {{0, "PCMU", 8000, 1, ""}, {96, "opus", 48000, 2, ""}, {101, "telephone-event", 8000, 1, ""}}}}});
    ASSERT_FALSE(outputs.decisions.empty());
    PayloadClocks expected;
    expected.set(96, 48000);
    EXPECT_EQ(outputs.decisions.back().kind, Decision::Kind::watch);
    EXPECT_EQ(outputs.decisions.back().clocks, expected);
}

TEST_F(CallControlTest, TheQualityOfAStreamStandsInItsRecording) {
    establish(1, "6001", "7001");
    bound(1, 5, CallParty::caller);
    pass(5);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    const StreamQuality quality{.jitter_known = true, .jitter_us = 1500, .far_reports = 2, .far_lost = 3};
    control->on_worker({.kind = WorkerEvent::Kind::stream_left,
                        .session = 1,
                        .stream = 5,
                        .time_ns = now,
                        .quality = quality,
                        .extent_units = 40'000});
    answer_workers();
    EXPECT_EQ(last_document().streams.at(0).quality, quality);
}

class LegsTest : public CallControlTest {
protected:
    LegsTest() : CallControlTest({.device_match = {"^7[0-9]+$"}, .channels = 4}) {}
    void leg(std::uint64_t call, const char* from, const char* to, const char* source, const char* destination) {
        sip(SipCallStarted{call,
                           "id-" + std::to_string(call),
                           {from, "pbx", ""},
                           {to, "pbx", ""},
                           to,
                           at(source, 5060),
                           at(destination, 5060)});
        const auto port = static_cast<std::uint16_t>(10'000 + call);
        media(call, CallParty::caller, at(source, port));
        media(call, CallParty::callee, at(destination, port));
    }
    void bound_to(std::uint64_t session, std::uint64_t stream) { bound(session, stream, CallParty::caller); }
    static constexpr const char *kTrunk = "203.0.113.1", *kPbx = "10.0.0.1", *kPhone = "10.0.0.7";
};

TEST_F(LegsTest, OfTheTwoLegsOfAB2buaTheOneToThePhoneIsRecordedOnce) {
    leg(1, "5551234", "7001", kTrunk, kPbx);
    leg(2, "5551234", "7001", kPbx, kPhone);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART"}));
    sip(SipCallAnswered{2});
    sip(SipCallAnswered{1});
    EXPECT_EQ(outputs.numbers["ident"], 1u);
    EXPECT_EQ(last_document().call_id, "id-2");
    EXPECT_EQ(last_document().session_id, 2u);
    EXPECT_EQ(
        std::ranges::count(outputs.decisions, 1u,
                           [](const Decision& d) { return d.kind == Decision::Kind::end_session ? d.session : 0u; }),
        1)
        << "nothing of the other leg is stored";
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    EXPECT_EQ(control->active_calls(), 1u) << "the phone's own leg tells";
    sip(SipCallEnded{2, SipCallEnd::bye, 0});
    pass(1), answer_workers(), answer_writer();
    EXPECT_EQ(outputs.types(),
              (Types{"CALLSTART", "RECORDINGSTARTED", "CALLSTOP", "RECORDINGSTOPPED", "RECORDINGUPDATE"}));
    EXPECT_TRUE(control->idle());
}

TEST_F(LegsTest, InWhateverOrderTheyAreSeenAndWhoeverCalls) {
    leg(1, "5551234", "7001", kPbx, kPhone);
    leg(2, "5551234", "7001", kTrunk, kPbx);
    sip(SipCallAnswered{1});
    EXPECT_EQ(last_document().call_id, "id-1");
    leg(3, "7002", "0049", kPhone, kPbx);
    leg(4, "7002", "0049", kPbx, kTrunk);
    sip(SipCallAnswered{3});
    EXPECT_EQ(last_document().call_id, "id-3");
    EXPECT_EQ(outputs.numbers["ident"], 2u);
    EXPECT_EQ(control->active_calls(), 2u);
}

TEST_F(LegsTest, CallsThatAreAlikeAndPassThroughNoHostAreTwo) {
    leg(1, "anonymous", "7001", kTrunk, kPbx);
    leg(2, "anonymous", "7001", kTrunk, kPbx);
    EXPECT_EQ(control->active_calls(), 2u);
    sip(SipCallAnswered{1});
    leg(3, "anonymous", "7001", kPbx, kPhone);  // of the second: the first is answered
    EXPECT_EQ(control->active_calls(), 2u);
    pass(11);
    leg(4, "anonymous", "7001", "10.0.0.9", kPbx);  // too late to be of any
    EXPECT_EQ(control->active_calls(), 3u);
    leg(5, "5550000", "7001", kPbx, kPhone);
    EXPECT_EQ(control->active_calls(), 4u) << "another caller";
}

// manual: MAXRECORDSILENCE. The writer hears; the shortest limit of the session's recordings is asked for.
TEST_F(CallControlTest, SilenceEndsTheRecordingsWhoseLimitItReaches) {
    establish(1, "a", "1111");
    bound(1, 500, CallParty::caller);
    EXPECT_TRUE(outputs.commands.empty()) << "nobody asked";
    FieldUpdate fields;
    fields.max_record_silence_s = 10;
    EXPECT_EQ(control->call_start({.device_id = "1111"}, fields, now), CallOutcome::ok);
    auto watch = std::get<WatchSilence>(outputs.commands.back());
    EXPECT_EQ(watch.limit_ns, 10 * kNsPerSecond);
    EXPECT_EQ(watch.since_ns, now);
    EXPECT_FALSE(watch.payloads.empty());
    fields.max_record_silence_s = 4;
    EXPECT_EQ(control->record_start({.device_id = "1111"}, fields, now), CallOutcome::ok);
    EXPECT_EQ(std::get<WatchSilence>(outputs.commands.back()).limit_ns, 4 * kNsPerSecond);
    const TimeNs since = now;
    pass(4.5);
    outputs.documents.clear();
    control->on_writer(SessionSilent{1, since});
    EXPECT_EQ(std::get<WatchSilence>(outputs.commands.back()).limit_ns, 10 * kNsPerSecond) << "the other's is to come";
    ASSERT_FALSE(outputs.documents.empty());
    EXPECT_EQ(outputs.documents.back().recording.ended_by, "max_record_silence");
    EXPECT_EQ(outputs.documents.back().recording.stop_ns, since + 4 * kNsPerSecond);
    pass(6);
    control->on_writer(SessionSilent{1, since});
    answer_workers();
    EXPECT_EQ(outputs.documents.back().recording.ended_by, "max_record_silence");
    EXPECT_EQ(outputs.documents.back().recording.stop_ns, since + 10 * kNsPerSecond);
    EXPECT_EQ(control->active_calls(), 1u);
}

}  // namespace
}  // namespace spantape
