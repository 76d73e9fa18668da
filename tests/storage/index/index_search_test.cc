// SPDX-License-Identifier: AGPL-3.0-or-later
// Search against a model that looks at every recording, and readers beside a writer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <thread>

#include "storage/index/index.h"
#include "tests/storage/index/random_recording.h"
#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

using index_test::Random;
using index_test::TemporaryDirectory;

constexpr std::uint64_t kRecordings = 100'000;
constexpr TimeNs kEpoch = 1'700'000'000 * kNsPerSecond;

// Few values for some fields and many for others, so that filters of every selectivity meet.
Recording some_recording(Random& random, std::uint64_t ident) {
    Recording recording;
    recording.ident = ident;
    recording.start_ns = kEpoch + static_cast<TimeNs>(random() % 50'000) * (kNsPerSecond / 4);
    recording.stop_ns = recording.start_ns + static_cast<TimeNs>(random() % 60) * kNsPerSecond;
    recording.state = random() % 1000 == 0 ? RecordingState::recording : RecordingState::stored;
    recording.device_id = std::to_string(2000 + random() % 500);
    recording.direction = std::string(1, "IO?"[random() % 3]);
    recording.group = "group" + std::to_string(random() % 5);
    recording.ani = random() % 2 == 0 ? std::to_string(random() % 20'000) : "";
    recording.user[3] = "u" + std::to_string(random() % 50);
    recording.priority = static_cast<std::int32_t>(random() % 10);
    recording.agent_id = static_cast<std::int64_t>(random() % 20);
    return recording;
}

RecordingQuery some_query(Random& random, const std::vector<Recording>& recordings) {
    constexpr const char* kColumns[] = {"device_id", "calldirection", "sgroup",   "ani",           "user4",
                                        "priority",  "agent_id",      "duration", "recording_time"};
    const Recording& like = recordings[random() % recordings.size()];
    RecordingQuery query;
    for (std::size_t filters = random() % 4; filters > 0; --filters) {
        const char* name = kColumns[random() % std::size(kColumns)];
        const Recording& from = random() % 8 == 0 ? recordings[random() % recordings.size()] : like;
        query.equal.emplace_back(name, column(from, name).value);
    }
    for (std::size_t values = random() % 4 == 0 ? 1 + random() % 40 : 0; values > 0; --values) {
        const char* name = random() % 2 == 0 ? "device_id" : "user4";
        query.any.emplace_back(name, column(recordings[random() % recordings.size()], name).value);
    }
    if (random() % 2 == 0) {
        query.from_ns = like.start_ns - static_cast<TimeNs>(random() % 5000) * kNsPerSecond;
        query.to_ns = like.start_ns + static_cast<TimeNs>(random() % 5000) * kNsPerSecond;
    }
    constexpr std::size_t kLimits[] = {1, 10, 1000};
    query.limit = kLimits[random() % std::size(kLimits)];
    return query;
}

std::vector<std::uint64_t> model_search(const std::vector<const Recording*>& newest_first,
                                        const RecordingQuery& query) {
    std::vector<std::uint64_t> found;
    for (const Recording* recording : newest_first) {
        if (found.size() == query.limit) break;
        if (recording->start_ns < query.from_ns || recording->start_ns > query.to_ns) continue;
        const auto has = [&](const auto& filter) { return column(*recording, filter.first).value == filter.second; };
        if (std::ranges::all_of(query.equal, has) && (query.any.empty() || std::ranges::any_of(query.any, has)))
            found.push_back(recording->ident);
    }
    return found;
}

std::string text_of(const RecordingQuery& query) {
    std::string text = fmt::format("from {} to {} limit {}", query.from_ns, query.to_ns, query.limit);
    for (const auto& [name, value] : query.equal) text += fmt::format(" {}='{}'", name, value);
    for (const auto& [name, value] : query.any) text += fmt::format(" or {}='{}'", name, value);
    return text;
}

void put_all(Index& index, const std::vector<Recording>& recordings) {
    constexpr std::size_t kBatch = 500;
    for (std::size_t at = 0; at < recordings.size(); at += kBatch) {
        const std::size_t end = std::min(at + kBatch, recordings.size());
        const auto done = index.put({.chunks = {},
                                     .recordings = {recordings.begin() + static_cast<std::ptrdiff_t>(at),
                                                    recordings.begin() + static_cast<std::ptrdiff_t>(end)},
                                     .watermark = {}});
        ASSERT_TRUE(done) << done.error().message;
    }
}

TEST(IndexSearch, FindsWhatLookingAtEveryRecordingFinds) {
    const auto seed = std::random_device{}();
    std::cout << "seed " << seed << '\n';
    Random random(seed);
    std::vector<Recording> recordings;
    for (std::uint64_t ident = 1; ident <= kRecordings; ++ident) recordings.push_back(some_recording(random, ident));
    const TemporaryDirectory directory;
    auto index = Index::open(directory.sub("index"));
    ASSERT_TRUE(index) << index.error().message;
    ASSERT_NO_FATAL_FAILURE(put_all(**index, recordings));

    // A tenth is replaced, time and fields and all.
    std::vector<Recording> replaced;
    for (std::uint64_t i = 0; i < kRecordings / 10; ++i) {
        const std::uint64_t ident = 1 + random() % kRecordings;
        replaced.push_back(some_recording(random, ident));
        recordings[ident - 1] = replaced.back();
    }
    ASSERT_NO_FATAL_FAILURE(put_all(**index, replaced));

    std::vector<const Recording*> newest_first;
    for (const Recording& recording : recordings) newest_first.push_back(&recording);
    std::ranges::sort(newest_first, [](const Recording* a, const Recording* b) {
        return std::pair(a->start_ns, a->ident) > std::pair(b->start_ns, b->ident);
    });
    for (int i = 0; i < 120; ++i) {
        const RecordingQuery query = some_query(random, recordings);
        const auto found = (*index)->search(query);
        ASSERT_TRUE(found) << found.error().message;
        std::vector<std::uint64_t> idents;
        for (const Recording& recording : *found) idents.push_back(recording.ident);
        ASSERT_EQ(idents, model_search(newest_first, query)) << "seed " << seed << ", " << text_of(query);
    }
    const auto unfinished = (*index)->unfinished();
    ASSERT_TRUE(unfinished) << unfinished.error().message;
    EXPECT_EQ(static_cast<std::ptrdiff_t>(unfinished->size()),
              std::ranges::count(recordings, RecordingState::recording, &Recording::state));
}

// Each version of a recording has one number in its device, its group and its stream's chunk: a reader that saw half
// of a batch would see two different numbers, or two places for one ident.
TEST(IndexConcurrency, ReadersNeverSeeHalfABatch) {
    constexpr std::uint64_t kIdents = 20;
    constexpr int kVersions = 400;
    const TemporaryDirectory directory;
    auto opened = Index::open(directory.sub("index"));
    ASSERT_TRUE(opened) << opened.error().message;
    Index& index = **opened;
    std::atomic<bool> done{false};  // written by the writer
    std::atomic<std::uint64_t> seen{0}, wrong{0};

    const auto read = [&] {
        while (!done.load()) {
            const auto found = index.search({.equal = {{"user1", "all"}}});
            std::vector<std::uint64_t> idents;
            if (!found) {
                wrong.fetch_add(1);
                continue;
            }
            for (const Recording& recording : *found) {
                idents.push_back(recording.ident);
                if (recording.device_id != recording.group || recording.device_id != found->front().device_id)
                    wrong.fetch_add(1);
            }
            std::ranges::sort(idents);
            if (std::ranges::adjacent_find(idents) != idents.end()) wrong.fetch_add(1);
            if (!idents.empty() && idents.size() != kIdents) wrong.fetch_add(1);
            if (!index.unfinished() || !index.chunks(1)) wrong.fetch_add(1);
            seen.fetch_add(idents.size());
        }
    };
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) readers.emplace_back(read);
    std::thread numbers([&] {
        std::uint64_t last = 0;
        while (!done.load()) {
            const auto number = index.take_numbers("ident", 1);
            if (!number || *number <= last) wrong.fetch_add(1);
            last = number.value_or(last);
        }
    });
    for (int version = 1; version <= kVersions; ++version) {
        Index::Batch batch;
        for (std::uint64_t ident = 1; ident <= kIdents; ++ident) {
            Recording recording;
            recording.ident = ident;
            recording.device_id = recording.group = std::to_string(version);
            recording.user[0] = "all";
            recording.start_ns = kEpoch + (version % 7) * static_cast<TimeNs>(ident);
            batch.recordings.push_back(std::move(recording));
        }
        batch.chunks.push_back({.stream_id = 1, .chunk_number = static_cast<std::uint32_t>(version)});
        const auto put = index.put(batch);
        EXPECT_TRUE(put) << put.error().message;
    }
    while (seen.load() == 0) std::this_thread::yield();
    done.store(true);
    for (std::thread& reader : readers) reader.join();
    numbers.join();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_EQ(index.chunks(1)->size(), static_cast<std::size_t>(kVersions));
}

}  // namespace
}  // namespace spantape
