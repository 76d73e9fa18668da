// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/event_document.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace spantape {
namespace {

Recording fields() {
    Recording recording;
    recording.ident = 13101;
    recording.device_id = "1111";
    recording.global_call_id = "00010000000092";
    recording.user[14] = "last";
    recording.keep_days = 30;
    recording.direction = "I";
    recording.filename = "/r/20110131/1111/1111-14-39-50.wav";
    recording.channel = 1;
    recording.agent_id = 16;
    return recording;
}

std::string names(const api::Event& event) {
    std::string out;
    for (const auto& element : event.data) out += (out.empty() ? "" : " ") + element.name;
    return out;
}

std::string value(const api::Event& event, const std::string& name) {
    for (const auto& element : event.data)
        if (element.name == name) return element.text;
    return "(absent)";
}

// manual: Event Interface, RECORDINGSTOPPED and RECORDINGUPDATE.
TEST(EventDocument, HasTheFieldsOfTheManualInItsOrder) {
    const Recording recording = fields();
    EXPECT_EQ(names(event_document("RECORDINGUPDATE", {.fields = &recording})),
              "GLOBALCALLID DEVICEID KEEPDAYS FILENAME RECORDID COREIDENT");
    EXPECT_EQ(names(event_document("RECORDINGSTOPPED", {.fields = &recording})),
              "GLOBALCALLID DEVICEID DEVICEALIAS GATE ANI DNIS AGENTID USER1 USER2 USER3 USER4 USER5 KEEPDAYS RECORDID "
              "COREIDENT");
}

TEST(EventDocument, AllSevenEventsHaveTheirClassAndModule) {
    const Recording recording = fields();
    for (const char* type : {"CALLSTART", "CALLSTOP"})
        EXPECT_EQ(event_document(type, {.fields = &recording}).event_class, "CALL");
    for (const char* type :
         {"RECORDINGSTARTED", "RECORDINGSTOPPED", "RECORDINGUPDATE", "RECORDINGPAUSED", "RECORDINGRESUMED"})
        EXPECT_EQ(event_document(type, {.fields = &recording}).event_class, "RECORD");
    EXPECT_EQ(event_document("RECORDINGPAUSED", {.fields = &recording}).module, "Api");
    EXPECT_EQ(event_document("RECORDINGSTOPPED", {.fields = &recording}).module, "");
}

TEST(EventDocument, CarriesTheValues) {
    setenv("TZ", "UTC", 1);
    tzset();
    const Recording recording = fields();
    const auto start = event_document("CALLSTART", {.fields = &recording, .start_ns = 1296484789 * kNsPerSecond});
    EXPECT_EQ(value(start, "STARTTIME"), "1/31/2011 2:39:49 PM");
    EXPECT_EQ(value(start, "USER15"), "last");
    EXPECT_EQ(value(start, "AGENTID"), "16");
    EXPECT_EQ(value(start, "KEEPDAYS"), "30");
    EXPECT_EQ(value(start, "ARCHIVEACTION"), "-1");
    EXPECT_EQ(value(event_document("RECORDINGSTARTED", {.fields = &recording}), "ERRORREASON"), "NONE");
}

TEST(ManualTime, WritesMidnightAndNoonAsTheManualDoes) {
    setenv("TZ", "UTC", 1);
    tzset();
    EXPECT_EQ(manual_time(1296432000 * kNsPerSecond), "1/31/2011 12:00:00 AM");
    EXPECT_EQ(manual_time(1296475200 * kNsPerSecond), "1/31/2011 12:00:00 PM");
    EXPECT_EQ(manual_time(0), "");
}

}  // namespace
}  // namespace spantape
