// SPDX-License-Identifier: AGPL-3.0-or-later
// PRIORITY: who gives way when all channels are in use; and that no channel is ever lost or given twice.
#include <random>

#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

class PriorityTest : public CallControlTest {
protected:
    PriorityTest() : CallControlTest({.channels = 2}) {}
    // A call on a device of that name that has media, asked for with a priority.
    CallOutcome record(std::uint64_t number, std::int32_t priority) {
        const std::string device = device_of(number);
        start(number, "a", device);
        const auto port = static_cast<std::uint16_t>(20'000 + number);
        media(number, CallParty::caller, at("10.0.0.1", port));
        media(number, CallParty::callee, at("10.0.0.2", port));
        FieldUpdate fields;
        fields.priority = priority;
        control->call_start({.device_id = device}, fields, now);
        sip(SipCallAnswered{number});
        const Call* call = control->find_device({.device_id = device})->latest_call();
        if (const ActiveRecording* recording = call->recording_now()) {
            const std::uint64_t session = recording->session->id;
            control->on_worker(
                {.kind = WorkerEvent::Kind::stream_bound,
                 .sender = CallParty::caller,
                 .session = session,
                 .stream = 1000 + number,
                 .time_ns = now,
                 .flow = {at("10.0.0.1", port), at("10.0.0.2", port), static_cast<std::uint32_t>(number)}});
            return CallOutcome::ok;
        }
        return CallOutcome::no_free_channels;
    }
    static std::string device_of(std::uint64_t number) { return "d" + std::to_string(number); }
    [[nodiscard]] bool recorded(std::uint64_t number) const {
        const Device* device = control->find_device({.device_id = device_of(number)});
        const Call* call = device == nullptr ? nullptr : device->latest_call();
        return call != nullptr && call->recording_now() != nullptr;
    }
    [[nodiscard]] std::size_t busy(ChannelState state) const {
        return static_cast<std::size_t>(
            std::ranges::count(control->channels().all(), state, &Channels::Channel::state));
    }
};

TEST_F(PriorityTest, TheYoungestOfTheLowestGivesWayToAHigherOneAndToNoOther) {
    EXPECT_EQ(record(1, 3), CallOutcome::ok);
    pass(1);
    EXPECT_EQ(record(2, 3), CallOutcome::ok);
    EXPECT_EQ(record(3, 3), CallOutcome::no_free_channels) << "of the same priority";
    EXPECT_EQ(record(4, 2), CallOutcome::no_free_channels);
    outputs.events.clear();
    EXPECT_EQ(record(5, 4), CallOutcome::ok);
    EXPECT_TRUE(recorded(1));
    EXPECT_FALSE(recorded(2));
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTOPPED", "RECORDINGSTARTED"}));
    EXPECT_EQ(busy(ChannelState::recording), 2u);
    answer_workers();
    answer_writer();
    EXPECT_EQ(busy(ChannelState::recording), 2u) << "the channel is the other's when the first is stored";
    EXPECT_EQ(outputs.complete, std::vector<std::uint64_t>{2});
    EXPECT_EQ(record(6, 5), CallOutcome::ok);
    EXPECT_FALSE(recorded(1));
}

TEST_F(PriorityTest, APriorityThatChangesCounts) {
    record(1, 3);
    record(2, 3);
    FieldUpdate fields;
    fields.priority = 1;
    control->call_update({.device_id = device_of(1)}, fields, now);
    record(3, 2);
    EXPECT_FALSE(recorded(1));
    EXPECT_TRUE(recorded(2));
    fields.priority = 9;
    control->call_update({.device_id = device_of(3)}, fields, now);
    EXPECT_EQ(record(4, 3), CallOutcome::no_free_channels);
    EXPECT_EQ(record(5, 4), CallOutcome::ok);
    EXPECT_FALSE(recorded(2));
}

TEST_F(PriorityTest, ARecordingWithoutMediaGivesWayFirst) {
    record(1, 0);
    establish(2, "a", device_of(2));
    pass(1);
    EXPECT_EQ(busy(ChannelState::preparing_to_record), 1u);
    EXPECT_EQ(record(3, 9), CallOutcome::ok);
    EXPECT_TRUE(recorded(1));
    EXPECT_FALSE(recorded(2));
}

TEST_F(PriorityTest, WhatGaveWayNamesItInItsDocument) {
    record(1, 0);
    record(2, 0);
    record(3, 1);
    answer_workers();
    const auto last = std::ranges::find_if(outputs.documents, [](const auto& put) { return put.final; });
    ASSERT_NE(last, outputs.documents.end());
    EXPECT_EQ(last->recording.ended_by, "pre_empted");
    EXPECT_EQ(last->recording.state, RecordingState::stored);
}

// Against a plain list: as many recordings as channels, of the highest priorities, the older ones of the same.
TEST_F(PriorityTest, RandomCallsAreRecordedAsAPlainModelSays) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        outputs = {};
        restart({.channels = 4});
        std::mt19937_64 random(seed);
        const auto below = [&](std::uint64_t n) {
            return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random);
        };
        std::map<std::uint64_t, std::int32_t> model;  // call -> priority; calls rise with time
        std::uint64_t next = 1;
        for (int step = 0; step < 150; ++step) {
            pass(1);
            if (below(3) != 0 || model.empty()) {
                const std::uint64_t number = next++;
                const auto priority = static_cast<std::int32_t>(below(4));
                record(number, priority);
                if (model.size() == 4) {
                    auto lowest = model.begin();
                    for (auto each = model.begin(); each != model.end(); ++each)
                        if (each->second <= lowest->second) lowest = each;  // the youngest of them
                    if (lowest->second >= priority) continue;
                    model.erase(lowest);
                }
                model[number] = priority;
            } else {
                const auto ends = std::next(model.begin(), static_cast<std::ptrdiff_t>(below(model.size())));
                bye(ends->first);
                model.erase(ends);
            }
            for (std::uint64_t number = 1; number < next; ++number)
                ASSERT_EQ(recorded(number), model.contains(number))
                    << "seed " << seed << " step " << step << " call " << number;
            ASSERT_EQ(busy(ChannelState::recording), model.size());
            if (below(2) == 0) answer_workers(), answer_writer();
            ASSERT_LE(control->channels().in_use(), 4u);
        }
        for (std::uint64_t number = 1; number < next; ++number) bye(number);
        pass(5);
        answer_workers();
        answer_writer();
        ASSERT_EQ(control->channels().in_use(), 0u) << "seed " << seed;
        ASSERT_TRUE(control->idle()) << "seed " << seed;
    }
}

}  // namespace
}  // namespace spantape
