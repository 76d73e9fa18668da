// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/recording.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/storage/index/random_recording.h"

namespace spantape {
namespace {

using index_test::any_recording;
using index_test::same;

Recording example() {
    Recording recording;
    recording.ident = 42;
    recording.global_call_id = "00010000000007";
    recording.state = RecordingState::stored;
    recording.ended_by = "bye";
    recording.start_ns = 1'700'000'000'123'456'789;
    recording.stop_ns = recording.start_ns + 12'500'000'000;
    recording.device_id = "2001";
    recording.ani = "\"5551234\"";
    recording.group = "Sales & Marketing";
    recording.call_id = "CID-1";
    recording.call_instance = "3";
    recording.direction = "I";
    recording.user[0] = "Ärger";
    recording.user[14] = "last";
    recording.channel = 7;
    recording.dropped_kernel = 5;
    RecordedStream stream;
    stream.stream_id = 9;
    stream.flow.source = {*IpAddress::parse("192.0.2.1"), 4000};
    stream.flow.destination = {*IpAddress::parse("2001:db8::2"), 5000};
    stream.flow.ssrc = 0xabc;
    stream.payloads = {{101, "telephone-event", 8000, 1, "0-16"}, {13, "CN", 8000, 1, ""}, {8, "PCMA", 8000, 1, ""}};
    stream.start_ns = 1'700'000'001'000'000'000;
    stream.duration_ns = 2'020'000'000;
    stream.quality = {.jitter_known = true,
                      .jitter_us = 1250,
                      .max_jitter_us = 4100,
                      .loss_bursts = 2,
                      .lost_capture = 1,
                      .far_reports = 3,
                      .far_lost = -1,
                      .far_fraction = 128,
                      .far_jitter_units = 40,
                      .round_trip_us = 23'500};
    stream.counters = {101, 2, 3, 4, 5, 16160, 6};
    stream.encryption = StreamEncryption::srtp;
    recording.streams = {stream, stream};
    recording.streams[1].side = Side::far;
    recording.streams[1].relay_copy = true;
    recording.streams[1].payloads.clear();
    return recording;
}

std::string error_of(std::string_view json) {
    const auto recording = recording_from_json(json);
    return recording ? "no error" : recording.error().message;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST(RecordingJson, EveryRecordingReadsBackAsItWas) {
    const auto seed = std::random_device{}();
    index_test::Random random(seed);
    for (int i = 0; i < 2000; ++i) {
        const Recording recording = any_recording(random);
        const std::string text = to_json(recording);
        const auto back = recording_from_json(text);
        ASSERT_TRUE(back) << back.error().message << " seed " << seed << " in " << text;
        ASSERT_TRUE(same(recording, *back)) << "seed " << seed << " in " << text;
        ASSERT_EQ(text.find('\n'), std::string::npos);
    }
}

TEST(RecordingJson, HighestIntegersAreExact) {
    Recording recording = example();
    recording.ident = UINT64_MAX;
    recording.session_id = (std::uint64_t{1} << 53) + 1;
    recording.start_ns = INT64_MIN;
    const auto back = recording_from_json(to_json(recording));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->ident, UINT64_MAX);
    EXPECT_EQ(back->session_id, (std::uint64_t{1} << 53) + 1);
    EXPECT_EQ(back->start_ns, INT64_MIN);
}

TEST(RecordingJson, BytesThatAreNoUtf8BecomeReplacementCharacters) {
    Recording recording = example();
    recording.ani =
        "a\xff"
        "b\xc0\xaf\xed\xa0\x80\xf5";
    recording.user[2] = "\xe6\xbc";
    const auto back = recording_from_json(to_json(recording));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->ani, "a�b������");
    EXPECT_EQ(back->user[2], "��");
}

TEST(RecordingJson, UnknownMembersAreIgnoredAndAbsentOnesKeepTheirDefault) {
    const auto recording = recording_from_json(R"({"ident":7,"new":{"deep":[1,2]},"streams":[{"stream_id":1,"x":0}]})");
    ASSERT_TRUE(recording) << recording.error().message;
    EXPECT_EQ(recording->ident, 7U);
    EXPECT_EQ(recording->keep_days, -1);
    EXPECT_EQ(recording->direction, "?");
    ASSERT_EQ(recording->streams.size(), 1U);
}

TEST(RecordingJson, TheWrongMemberIsNamed) {
    EXPECT_EQ(error_of("{}"), "recording document: member 'ident' is missing");
    EXPECT_EQ(error_of(R"({"ident":-1})"),
              "recording document: member 'ident' must be an integer from 0 to 18446744073709551615");
    EXPECT_TRUE(contains(error_of(R"({"ident":1.5})"), "'ident'"));
    EXPECT_TRUE(contains(error_of(R"({"ident":18446744073709551616})"), "'ident'"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"ani":5})"), "'ani' must be a string"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"state":"gone"})"), "'state'"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"priority":2147483648})"), "'priority' must be an integer from -2147"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"agent_initiated":1})"), "'agent_initiated' must be true or false"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"user":["a",null]})"), "'user[1]' must be a string"));
    EXPECT_TRUE(
        contains(error_of(R"({"ident":1,"user":["","","","","","","","","","","","","","","",""]})"), "'user[15]'"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":{}})"), "'streams' must be an array"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":[{"stream_id":1},7]})"), "'streams[1]' must be an object"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":[{}]})"), "'streams[0].stream_id' is missing"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":[{"stream_id":1,"flow":{"source":"1.2.3.4:70000"}}]})"),
                         "'streams[0].flow.source' must be an address and port"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":[{"stream_id":1,"payloads":[{"payload_type":256}]}]})"),
                         "'streams[0].payloads[0].payload_type' must be an integer from 0 to 255"));
    EXPECT_TRUE(contains(error_of(R"({"ident":1,"streams":[{"stream_id":1,"counters":{"stored":-1}}]})"),
                         "'streams[0].counters.stored'"));
}

TEST(RecordingJson, WhatIsNoJsonObjectIsRefused) {
    for (const std::string_view text : {"", "[]", "null", "{", "{\"ident\":1}x", "{\"ident\":1,\"ani\":\"\xff\"}"})
        EXPECT_TRUE(contains(error_of(text), "recording document of")) << text;
    EXPECT_TRUE(contains(error_of(std::string(100'000, '[')), "recording document of 100000 bytes"));
    const std::string whole = to_json(example());
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(recording_from_json(whole.substr(0, length))) << length;
}

TEST(RecordingColumn, AnswersToTheManualsNamesInAnyLetterCase) {
    const Recording recording = example();
    EXPECT_EQ(column(recording, "Ident").value, "42");
    EXPECT_EQ(column(recording, "DEVICE_ID").value, "2001");
    EXPECT_EQ(column(recording, "Calldirection").value, "I");
    EXPECT_EQ(column(recording, "user1").value, "Ärger");
    EXPECT_EQ(column(recording, "USER15").value, "last");
    EXPECT_EQ(column(recording, "globalid").value, "00010000000007");
    EXPECT_EQ(column(recording, "recording_time").value, "1700000000");
    EXPECT_EQ(column(recording, "duration").value, "13");
    EXPECT_EQ(column(recording, "channel").value, "7");
    EXPECT_EQ(column(recording, "keepdays").value, "");
    EXPECT_TRUE(column(recording, "keepdays").known);
    for (const char* name : {"user0", "user16", "video_hash", "", "ani ", "qa_score"})
        EXPECT_FALSE(column(recording, name).known) << name;
    EXPECT_FALSE(column(recording, std::string(1 << 20, 'a')).known);
}

TEST(RecordingColumn, ApiParameterNamesMeanTheSameColumns) {
    const Recording recording = example();
    EXPECT_EQ(column(recording, "GROUP").value, "Sales & Marketing");
    EXPECT_EQ(column(recording, "DEVICEID").value, "2001");
    EXPECT_EQ(column(recording, "RecordId").value, "42");
    EXPECT_EQ(column(recording, "GLOBALCALLID").value, "00010000000007");
    EXPECT_EQ(column(recording, "CALLINSTANCE").value, "3");
    EXPECT_EQ(canonical_column("Group"), "sgroup");
    EXPECT_EQ(canonical_column("sys_user"), "sys_user");
    EXPECT_EQ(canonical_column("nonsense"), "");
    for (const std::string_view name : column_names()) EXPECT_EQ(canonical_column(name), name);
}

TEST(RecordingColumn, TimesBeforeTheEpochRoundDown) {
    Recording recording;
    recording.start_ns = -1;
    EXPECT_EQ(column(recording, "recording_time").value, "-1");
}

TEST(Recording, DurationOfAbsurdTimesSaturates) {
    Recording recording;
    recording.start_ns = INT64_MIN;
    recording.stop_ns = INT64_MAX;
    EXPECT_EQ(recording.duration_ns(), INT64_MAX);
}

TEST(PublicJson, HoldsTheContractsMembers) {
    const std::string text = to_public_json(example());
    const auto object = boost::json::parse(text).as_object();
    EXPECT_EQ(object.at("ident").as_int64(), 42);
    EXPECT_EQ(object.at("device_id").as_string(), "2001");
    EXPECT_EQ(object.at("ani").as_string(), "\"5551234\"");
    EXPECT_EQ(object.at("sgroup").as_string(), "Sales & Marketing");
    EXPECT_EQ(object.at("calldirection").as_string(), "I");
    EXPECT_EQ(object.at("callid").as_string(), "CID-1");
    EXPECT_EQ(object.at("user1").as_string(), "Ärger");
    EXPECT_EQ(object.at("channel").as_int64(), 7);
    EXPECT_EQ(object.at("state").as_string(), "stored");
    EXPECT_EQ(object.at("ended_by").as_string(), "bye");
    EXPECT_TRUE(contains(text, "\"recording_time\":1700000000.123457,"));
    EXPECT_TRUE(contains(text, "\"duration\":12.5,"));
    for (const char* unknown : {"keepdays", "archive_action_id", "agent_id", "video_hash", "qa_score"})
        EXPECT_FALSE(object.contains(unknown)) << unknown;
}

TEST(PublicJson, LedgerSumsTheStreams) {
    const auto object = boost::json::parse(to_public_json(example())).as_object();
    const auto expected = boost::json::parse(R"({"stored":202,"lost_before":2,"dropped_kernel":2,"dropped_us":6,
        "duplicates":8,"blacked_out":10,"undecryptable":12})");
    EXPECT_EQ(object.at("ledger"), expected);
    EXPECT_EQ(object.at("source_drops").as_int64(), 5);
}

TEST(PublicJson, WhatIsNotKnownOfAStreamsQualityIsLeftOut) {
    Recording recording = example();
    recording.streams[0].quality = {};
    recording.streams[1].counters = {};
    recording.streams[1].quality = {.far_reports = 1, .far_lost = 5};
    const auto object = boost::json::parse(to_public_json(recording)).as_object();
    const auto& streams = object.at("streams").as_array();
    for (const char* name : {"jitter_ms", "max_jitter_ms", "far_lost", "far_jitter_ms", "round_trip_ms"})
        EXPECT_FALSE(streams[0].as_object().contains(name)) << name;
    EXPECT_EQ(streams[0].at("lost").as_int64(), 2);
    EXPECT_TRUE(streams[0].as_object().contains("mos"));
    for (const char* name : {"lost", "jitter_ms", "mos", "far_jitter_ms"})  // nothing came; the clock is unknown
        EXPECT_FALSE(streams[1].as_object().contains(name)) << name;
    EXPECT_EQ(streams[1].at("far_lost").as_int64(), 5);
}

TEST(RecordingJson, DocumentsFromBeforeThereWasAQualityStillRead) {
    const auto recording = recording_from_json(R"({"ident":1,"streams":[{"stream_id":2,"counters":{"stored":3}}]})");
    ASSERT_TRUE(recording) << recording.error().message;
    EXPECT_EQ(recording->streams.at(0).counters.stored, 3u);
    EXPECT_EQ(recording->streams.at(0).quality, StreamQuality{});
}

TEST(PublicJson, StreamsNameTheirAudioCodec) {
    const auto object = boost::json::parse(to_public_json(example())).as_object();
    const auto& streams = object.at("streams").as_array();
    ASSERT_EQ(streams.size(), 2U);
    EXPECT_EQ(streams[0], boost::json::parse(R"({"ssrc":"0x00000ABC","source":"192.0.2.1:4000",
        "destination":"[2001:db8::2]:5000","codec":"PCMA","clock_rate":8000,"encryption":"srtp","side":"device",
        "packets":101,"lost":2,"jitter_ms":1.25,"max_jitter_ms":4.1,"mos":4.31,"far_lost":-1,"far_jitter_ms":5.0,
        "round_trip_ms":23.5,"start":1700000001.0,"duration":2.02})"));
    EXPECT_EQ(streams[1].at("side").as_string(), "far");
    EXPECT_TRUE(streams[1].at("relay_copy").as_bool());
    EXPECT_EQ(streams[1].at("codec").as_string(), "unknown");
}

TEST(PublicJson, TimesArePlainDecimalsToTheMicrosecond) {
    const auto time_of = [](TimeNs start_ns) {
        Recording recording;
        recording.start_ns = start_ns;
        const std::string text = to_public_json(recording);
        const std::size_t begin = text.find("\"recording_time\":") + 17;
        return text.substr(begin, text.find(',', begin) - begin);
    };
    EXPECT_EQ(time_of(0), "0.0");
    EXPECT_EQ(time_of(1'700'000'000'000'001'000), "1700000000.000001");
    EXPECT_EQ(time_of(1'700'000'000'999'999'999), "1700000001.0");
    EXPECT_EQ(time_of(-500'000'000), "-0.5");
    EXPECT_EQ(time_of(-1), "0.0");
    EXPECT_EQ(time_of(INT64_MIN), "-9223372036.854776");
    EXPECT_EQ(time_of(INT64_MAX), "9223372036.854776");
}

TEST(PublicJson, IsJsonWhateverTheRecordingHolds) {
    const auto seed = std::random_device{}();
    index_test::Random random(seed);
    for (int i = 0; i < 500; ++i) {
        Recording recording = any_recording(random);
        recording.user[0] = "\xfe\x80\"";
        boost::json::error_code error;
        const std::string text = to_public_json(recording);
        boost::json::parse(text, error);
        ASSERT_FALSE(error) << "seed " << seed << " in " << text;
    }
}

}  // namespace
}  // namespace spantape
