// SPDX-License-Identifier: AGPL-3.0-or-later
// A process that is killed in the middle of its puts, and what the next one finds. The child is this program executed
// anew (gtest's "threadsafe" death tests): a fork alone would lack RocksDB's threads.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "storage/index/index.h"
#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

using index_test::TemporaryDirectory;

constexpr const char* kDirectoryVariable = "SPANTAPE_INDEX_KILL_TEST";
constexpr std::uint64_t kKillAfter = 300;

Index::Batch batch_of(std::uint64_t ident) {
    Recording recording;
    recording.ident = ident;
    recording.device_id = std::to_string(ident);
    recording.start_ns = static_cast<TimeNs>(ident);
    ChunkEntry chunk;
    chunk.stream_id = ident;
    return {.chunks = {chunk}, .recordings = {recording}, .watermark = Watermark{1, ident}};
}

// Puts until it is killed by another of its threads, whatever it is doing then. After each put that has returned, its
// ident and a number taken from a series are written to `said`, so that the parent knows what it was promised.
void put_until_killed(const std::string& directory) {
    auto index = Index::open(directory + "/index");
    if (!index) _exit(3);
    const int said = ::open((directory + "/said").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    std::atomic<std::uint64_t> done{0};  // written by this thread
    std::thread killer([&] {
        while (done.load() < kKillAfter) std::this_thread::yield();
        kill(getpid(), SIGKILL);
    });
    for (std::uint64_t ident = 1;; ++ident) {
        const auto number = (*index)->take_numbers("ident", 1);
        if (!number || !(*index)->put(batch_of(ident))) _exit(4);
        const std::uint64_t promise[] = {ident, *number};
        if (pwrite(said, promise, sizeof promise, 0) != sizeof promise) _exit(5);
        done.store(ident);
    }
}

TEST(IndexKillDeathTest, WhatWasPutBeforeAKillIsThereWhole) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    // The executed child comes through here too; it must work in its parent's directory.
    const TemporaryDirectory own;
    setenv(kDirectoryVariable, own.sub(".").c_str(), /*overwrite=*/0);
    const std::string directory = std::getenv(kDirectoryVariable);
    EXPECT_EXIT(put_until_killed(directory), testing::KilledBySignal(SIGKILL), "");

    std::uint64_t promise[2] = {0, 0};
    std::ifstream(directory + "/said", std::ios::binary).read(reinterpret_cast<char*>(promise), sizeof promise);
    ASSERT_GE(promise[0], kKillAfter);
    auto index = Index::open(directory + "/index");
    ASSERT_TRUE(index) << index.error().message;
    const auto watermark = (*index)->watermark();
    ASSERT_TRUE(watermark);
    EXPECT_GE(watermark->offset, promise[0]);
    // The batch that the kill interrupted is there whole or not at all; the watermark tells which.
    for (std::uint64_t ident = 1; ident <= watermark->offset + 2; ++ident) {
        const std::size_t expected = ident <= watermark->offset ? 1 : 0;
        ASSERT_EQ((*index)->recording(ident)->has_value(), expected == 1) << ident;
        ASSERT_EQ((*index)->chunks(ident)->size(), expected) << ident;
        ASSERT_EQ((*index)->search({.equal = {{"device_id", std::to_string(ident)}}})->size(), expected) << ident;
    }
    EXPECT_EQ((*index)->unfinished()->size(), watermark->offset);
    EXPECT_GT(*(*index)->take_numbers("ident", 1), promise[1]);
    unsetenv(kDirectoryVariable);
}

}  // namespace
}  // namespace spantape
