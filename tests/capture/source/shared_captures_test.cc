// SPDX-License-Identifier: AGPL-3.0-or-later
// Captures that others made, when they are at hand: all their packets are read, as many as capinfos counts.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>

#include "capture/source/source.h"

namespace spantape {
namespace {

namespace fs = std::filesystem;

// -1 when capinfos is missing or does not take the file.
long packets_by_capinfos(const fs::path& path) {
    const std::string command = "capinfos -TMrc '" + path.string() + "' 2>/dev/null | tail -1 | cut -f2";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    long packets = -1;
    return pipe && std::fscanf(pipe.get(), "%ld", &packets) == 1 ? packets : -1;
}

TEST(SharedCaptures, GiveAllTheirPackets) {
    const char* place = std::getenv("SPANTAPE_CAPTURES");
    if (place == nullptr || !fs::is_directory(place)) GTEST_SKIP() << "no captures at SPANTAPE_CAPTURES";
    int files = 0;
    int compared = 0;
    for (const auto& entry : fs::directory_iterator(place)) {
        const std::string kind = entry.path().extension();
        if (kind != ".pcap" && kind != ".pcapng" && kind != ".cap" && kind != ".gz") continue;
        ++files;
        const auto sources = open_sources({"file:" + entry.path().string()}, {.pace = Pace::max});
        ASSERT_TRUE(sources) << sources.error().message;
        Source& source = *sources->front();
        std::array<Packet, kBurstPackets> burst;
        long packets = 0;
        while (!source.at_end()) packets += static_cast<long>(source.poll(burst));
        EXPECT_EQ(source.error(), "");
        const long expected = packets_by_capinfos(entry.path());
        if (expected < 0) continue;
        ++compared;
        EXPECT_EQ(packets, expected) << entry.path();
    }
    ASSERT_GT(files, 0) << place << " holds no captures";
    std::printf("%d captures read, %d compared with capinfos\n", files, compared);
    if (compared == 0) GTEST_SKIP() << "capinfos is not installed: read, but not compared";
}

}  // namespace
}  // namespace spantape
