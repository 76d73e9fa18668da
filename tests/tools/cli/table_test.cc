// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/table.h"

#include <gtest/gtest.h>

#include "storage/recording.h"
#include "tools/cli/recordings.h"
#include "tools/cli/terminal_text.h"
#include "tools/cli/times.h"

namespace spantape::cli {
namespace {

TEST(Table, ColumnsAreAlignedAndLinesEndWithoutBlanks) {
    Table table({{"ID", Align::right}, {"NAME", Align::left}, {"X", Align::left}});
    table.add({"7", "Anna", ""});
    table.add({"1234", "Bo", "y"});
    EXPECT_EQ(table.text(0),
              "  ID  NAME  X\n"
              "   7  Anna\n"
              "1234  Bo    y\n");
}

TEST(Table, WideAndCombiningCharactersAreCountedAsTheTerminalShowsThem) {
    Table table({{"NAME", Align::left}, {"END", Align::left}});
    table.add({"Müller", "1"});
    table.add({"日本語", "2"});
    table.add({"e\xcc\x81t\xc3\xa9", "3"});
    EXPECT_EQ(table.text(0), "NAME    END\nMüller  1\n日本語  2\ne\xcc\x81té     3\n");
}

TEST(Table, TheWidestColumnGivesWayOnANarrowTerminal) {
    Table table({{"A", Align::left}, {"FILE", Align::left}, {"N", Align::right}});
    table.add({"1001", std::string(60, 'f'), "17"});
    const std::string text = table.text(30);
    EXPECT_EQ(text, "A     FILE                   N\n1001  " + std::string(19, 'f') + "…  17\n");
    EXPECT_EQ(table.text(200), table.text(0));
}

TEST(Table, NoLineIsWiderThanTheTerminal) {
    Table table({{"A", Align::left}, {"B", Align::left}, {"C", Align::left}, {"D", Align::left}});
    table.add({std::string(30, 'a'), std::string(30, 'b'), "日本語日本語日本語", std::string(9, 'd')});
    for (std::size_t width = 1; width < 120; ++width) {
        std::string text = table.text(width);
        while (!text.empty()) {
            const std::size_t end = text.find('\n');
            EXPECT_LE(display_width(text.substr(0, end)), width);
            text.erase(0, end + 1);
        }
    }
}

TEST(Table, WhatASipNameHoldsDoesNotSteerTheTerminal) {
    Table table({{"NAME", Align::left}});
    table.add({"a\x1b[2Jb\nc\x7f\xc2\x9b\xe2\x80\xae\xff\xc0\x80z"});
    EXPECT_EQ(table.text(0), "NAME\na?[2Jb?c??????z\n");
}

TEST(TerminalText, CutTextFitsAndSaysThatItWasCut) {
    EXPECT_EQ(cut_to("abc", 3), "abc");
    EXPECT_EQ(cut_to("abcd", 3), "ab…");
    EXPECT_EQ(cut_to("日本語", 4), "日…");
    EXPECT_EQ(cut_to("abc", 0), "");
}

TEST(Times, DurationsReadAsClocks) {
    EXPECT_EQ(duration_text(0), "0:00.0");
    EXPECT_EQ(duration_text(7.46), "0:07.5");
    EXPECT_EQ(duration_text(59.96), "1:00.0");
    EXPECT_EQ(duration_text(3723.04), "1:02:03.0");
}

class LocalTimes : public testing::Test {
protected:
    void SetUp() override {
        setenv("TZ", "UTC-2", 1);  // two hours east
        tzset();
    }
    void TearDown() override {
        unsetenv("TZ");
        tzset();
    }
    static TimeNs at(std::int64_t unix_s) { return unix_s * kNsPerSecond; }
    const TimeNs now = at(1'772'373'909);  // 2026-03-01 16:05:09
};

TEST_F(LocalTimes, AreReadInEveryFormThatHelpNames) {
    const auto parsed = [&](const char* text, RangeEnd end = RangeEnd::from) {
        return parse_time(text, end, now).value_or(-1);
    };
    EXPECT_EQ(time_text(now), "2026-03-01 16:05:09");
    EXPECT_EQ(parsed("2026-03-01 16:05:09"), now);
    EXPECT_EQ(parsed("2026-03-01T16:05"), now - 9 * kNsPerSecond);
    EXPECT_EQ(parsed("16:05:09"), now);
    EXPECT_EQ(parsed("1772373909"), now);
    EXPECT_EQ(parsed("90s"), now - 90 * kNsPerSecond);
    EXPECT_EQ(parsed("2h"), now - 7200 * kNsPerSecond);
    EXPECT_EQ(parsed("7d"), now - 7 * 86400 * kNsPerSecond);
    EXPECT_EQ(parsed("2026-02-28"), at(1'772'229'600));
    EXPECT_EQ(parsed("2026-02-28", RangeEnd::to), at(1'772'229'600 + 86400) - 1);
}

TEST_F(LocalTimes, ThatDoNotExistAreRefused) {
    for (const char* text :
         {"", "yesterday", "2026-02-30", "2026-13-01", "24:00", "12:60", "2026-03-01 ", "2026-03-01 1:00", "-5", "1.5",
          "2026-3-1", "h", "99999999999999999999", "9999999999999999d", "2026-03-01 10:00x"}) {
        const auto parsed = parse_time(text, RangeEnd::from, now);
        ASSERT_FALSE(parsed) << text;
        EXPECT_NE(parsed.error().message.find(text), std::string::npos);
    }
}

Recording some_recording() {
    Recording recording;
    recording.ident = 46;
    recording.state = RecordingState::stored;
    recording.start_ns = 1'772'373'909 * kNsPerSecond;
    recording.stop_ns = recording.start_ns + 12'340 * kNsPerMs;
    recording.device_id = "1001";
    recording.ani = "\"5551234\"";
    recording.dnis = "1001";
    recording.direction = "I";
    RecordedStream stream;
    stream.payloads.push_back({0, "PCMU", 8000, 1, ""});
    stream.counters.stored = 97;
    stream.counters.lost_before = 3;
    recording.streams = {stream, stream, stream};
    recording.streams[1].payloads[0] = {8, "PCMA", 8000, 1, ""};
    recording.streams[1].counters.stored = 996;
    recording.streams[1].counters.lost_before = 4;
    recording.streams[2].relay_copy = true;
    recording.streams[2].counters.lost_before = 0;
    return recording;
}

TEST_F(LocalTimes, RecordingsAreListedWithTheirStreamsAndLosses) {
    const auto table = recordings_table({{to_public_json(some_recording()), "1001-16-05-09.wav"}}, ListFiles::yes);
    ASSERT_TRUE(table) << table.error().message;
    EXPECT_EQ(table->text(0),
              "ID  START                DEVICE  ANI        DNIS  DIR  DURATION  STREAMS         LOST  MOS  FILE\n"
              "46  2026-03-01 16:05:09  1001    \"5551234\"  1001  I      0:12.3  1 PCMU, 1 PCMA     7  4.1  "
              "1001-16-05-09.wav\n");
}

TEST(Recordings, JsonIsThePublicFormWithTheFile) {
    const std::string form = to_public_json(some_recording());
    EXPECT_EQ(recordings_json({}, ListFiles::yes), "[]\n");
    EXPECT_EQ(recordings_json({{form, ""}}, ListFiles::no), "[" + form + "]\n");
    const std::string stem = form.substr(0, form.size() - 1);
    EXPECT_EQ(recordings_json({{form, "a\"b.wav"}, {form, ""}}, ListFiles::yes),
              "[" + stem + R"(,"file":"a\"b.wav"},)" + "\n " + stem + R"(,"file":null}])" + "\n");
}

}  // namespace
}  // namespace spantape::cli
