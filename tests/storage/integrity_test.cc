// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/integrity.h"

#include <gtest/gtest.h>

#include "storage/signing_key.h"

namespace spantape {
namespace {

Recording with_streams() {
    Recording recording;
    recording.ident = 7;
    for (const std::uint64_t id : {0x0102, 0x0305}) {
        RecordedStream& stream = recording.streams.emplace_back();
        stream.stream_id = id;
        stream.chunks = static_cast<std::uint32_t>(id & 0xff);
        stream.seal = std::string(64, 'a');
    }
    return recording;
}

TEST(Integrity, TheHashIsTakenOverTheBytesThatItsHeaderSays) {
    using namespace std::string_literals;
    const std::string bytes = "\x02\x01\0\0\0\0\0\0\x02\0\0\0\x40\0\0\0"s + std::string(64, 'a') +
                              "\x05\x03\0\0\0\0\0\0\x05\0\0\0\x40\0\0\0"s + std::string(64, 'a');
    EXPECT_EQ(audio_hash_of(with_streams()), sha256_hex(bytes));
    EXPECT_EQ(audio_hash_of(Recording{}), sha256_hex(""));
}

TEST(Integrity, TheHashFollowsTheMediaAndNothingElse) {
    const Recording recording = with_streams();
    const std::string hash = audio_hash_of(recording);
    Recording other = recording;
    other.ani = "changed";
    std::swap(other.streams[0], other.streams[1]);
    EXPECT_EQ(audio_hash_of(other), hash);
    other.streams[0].seal[3] = 'b';
    EXPECT_NE(audio_hash_of(other), hash);
    other = recording;
    ++other.streams[1].chunks;
    EXPECT_NE(audio_hash_of(other), hash);
    other = recording;
    other.streams.pop_back();
    EXPECT_NE(audio_hash_of(other), hash);
}

TEST(Integrity, TheLineHoldsAllThatTheHashWasTakenOver) {
    const auto entry = integrity_entry(with_streams());
    EXPECT_EQ(entry.at("recording").to_number<std::uint64_t>(), 7u);
    EXPECT_EQ(entry.at("audio_hash").as_string(), audio_hash_of(with_streams()));
    EXPECT_EQ(entry.at("streams").as_array().size(), 2u);
}

TEST(RecordedStream, ChunksAndSealAreReadBack) {
    const auto back = recording_from_json(to_json(with_streams()));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->streams[1].chunks, 5u);
    EXPECT_EQ(back->streams[1].seal, std::string(64, 'a'));
}

}  // namespace
}  // namespace spantape
