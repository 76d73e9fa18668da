// SPDX-License-Identifier: AGPL-3.0-or-later
// Fragments, from outside: IP packets in, datagrams and counts out.
#include "capture/packet/fragments.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/capture/packet/decoded.h"
#include "tests/capture/packet/tunnel_builder.h"

namespace spantape {
namespace {

using namespace test;

enum class Version : std::uint8_t { v4, v6 };

Bytes payload_of(std::size_t bytes, std::uint8_t salt = 0) {
    Bytes payload(bytes);
    for (std::size_t i = 0; i < bytes; ++i) payload[i] = static_cast<std::uint8_t>(i * 7 + i / 251 + salt);
    return payload;
}

// One fragment of `whole` (what IP carries), from `offset` on.
Bytes piece(Version version, const Bytes& whole, std::size_t offset, std::size_t bytes, std::uint32_t id = 1) {
    const std::size_t end = std::min(offset + bytes, whole.size());
    const Bytes part(whole.begin() + static_cast<std::ptrdiff_t>(offset),
                     whole.begin() + static_cast<std::ptrdiff_t>(end));
    const bool more = end < whole.size();
    if (version == Version::v6) {
        Bytes fragment = ipv6_fragment(17, static_cast<std::uint16_t>(offset | (more ? 1 : 0)), part);
        for (int i = 0; i < 4; ++i)
            fragment[4 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(id >> (24 - 8 * i));
        return ipv6(fragment, 44);
    }
    Bytes packet = ipv4(part, 17, static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000 : 0)));
    packet[4] = static_cast<std::uint8_t>(id >> 8);
    packet[5] = static_cast<std::uint8_t>(id);
    return packet;
}

std::vector<Bytes> pieces(Version version, const Bytes& whole, std::size_t step, std::uint32_t id = 1) {
    std::vector<Bytes> all;
    for (std::size_t offset = 0; offset < whole.size(); offset += step)
        all.push_back(piece(version, whole, offset, step, id));
    return all;
}

class FragmentsTest : public ::testing::TestWithParam<Version> {
protected:
    std::string_view give(const Bytes& packet) {
        fragments_.release();
        const auto exact = std::make_unique<std::uint8_t[]>(packet.size());
        std::copy(packet.begin(), packet.end(), exact.get());
        const auto bytes = static_cast<std::uint32_t>(packet.size());
        Datagram datagram;
        const DropReason reason =
            decode_datagram({exact.get(), bytes, bytes, now_ns_, LinkType::raw_ip, 0}, datagram, &fragments_);
        if (reason == DropReason::none) got_.emplace_back(datagram.payload.begin(), datagram.payload.end());
        return name_of(reason);
    }
    std::string_view give(const Bytes& whole, std::size_t offset, std::size_t bytes, std::uint32_t id = 1) {
        return give(piece(GetParam(), whole, offset, bytes, id));
    }
    // Where the last two bytes of the id stand.
    static std::size_t id_at() { return GetParam() == Version::v4 ? 4 : 46; }
    void expect_settled(std::uint64_t joined, std::uint64_t incomplete) {
        const auto settled = fragments_.take_settled();
        EXPECT_EQ(settled.joined, joined);
        EXPECT_EQ(settled.incomplete, incomplete);
    }

    Fragments fragments_;
    TimeNs now_ns_ = 1'000 * kNsPerSecond;
    std::vector<Bytes> got_;
    const Bytes content_ = payload_of(3000);
    const Bytes whole_ = udp(content_);
};

INSTANTIATE_TEST_SUITE_P(Versions, FragmentsTest, ::testing::Values(Version::v4, Version::v6),
                         [](const auto& test) { return test.param == Version::v4 ? "IPv4" : "IPv6"; });

TEST_P(FragmentsTest, AreJoinedInAnyOrder) {
    auto parts = pieces(GetParam(), whole_, 800);
    std::vector<std::size_t> order{0, 1, 2, 3};
    std::size_t rounds = 0;
    do {
        now_ns_ += 2 * kNsPerSecond;
        for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(give(parts[order[i]]), i < 3 ? "held" : "none");
        ASSERT_EQ(got_.size(), ++rounds);
        EXPECT_EQ(got_.back(), content_);
    } while (std::ranges::next_permutation(order).found);
    expect_settled(3 * rounds, 0);
}

TEST_P(FragmentsTest, DatagramsMayBeInterleavedAndOfAnySize) {
    std::mt19937 random(7);
    std::vector<Bytes> packets;
    std::vector<Bytes> contents;
    for (std::uint32_t id = 1; id <= 8; ++id) {
        contents.push_back(payload_of(65'400 / id - 100, static_cast<std::uint8_t>(id)));
        for (Bytes& each : pieces(GetParam(), udp(contents.back()), 1480, id)) packets.push_back(std::move(each));
    }
    std::ranges::shuffle(packets, random);
    for (const Bytes& packet : packets) give(packet);
    ASSERT_EQ(got_.size(), contents.size());
    std::ranges::sort(got_);
    std::ranges::sort(contents);
    EXPECT_EQ(got_, contents);
    expect_settled(packets.size() - contents.size(), 0);
}

TEST_P(FragmentsTest, ADuplicateChangesNothing) {
    EXPECT_EQ(give(whole_, 0, 1480), "held");
    EXPECT_EQ(give(whole_, 0, 1480), "held");
    EXPECT_EQ(give(whole_, 1480, 1480), "held");
    EXPECT_EQ(give(whole_, 1480, 1480), "held");
    EXPECT_EQ(give(whole_, 2960, 1480), "none");
    EXPECT_EQ(give(whole_, 2960, 1480), "fragment_joined");  // the second mirror's copy of the last
    EXPECT_EQ(give(whole_, 0, 1480), "fragment_joined");
    ASSERT_EQ(got_.size(), 1u);
    EXPECT_EQ(got_[0], content_);
    expect_settled(4, 0);
}

TEST_P(FragmentsTest, AnIdIsUsedAgainForAnotherDatagram) {
    const Bytes other = payload_of(3000, 99);
    for (const Bytes& each : pieces(GetParam(), whole_, 1480)) give(each);
    for (const Bytes& each : pieces(GetParam(), udp(other), 1480)) give(each);
    for (const Bytes& each : pieces(GetParam(), udp(payload_of(1600, 5)), 1480)) give(each);
    ASSERT_EQ(got_.size(), 3u);
    EXPECT_EQ(got_[1], other);
    now_ns_ += Fragments::kRememberNs + 1;
    for (const Bytes& each : pieces(GetParam(), udp(payload_of(1600, 5)), 1480)) give(each);  // the same again, later
    EXPECT_EQ(got_.size(), 4u);
    expect_settled(2 + 2 + 1 + 1, 0);
}

TEST_P(FragmentsTest, OtherAddressesOrIdsAreOtherDatagrams) {
    EXPECT_EQ(give(whole_, 0, 1480, 1), "held");
    EXPECT_EQ(give(whole_, 1480, 9000, 2), "held");
    Bytes from_elsewhere = piece(GetParam(), whole_, 1480, 9000, 1);
    ++from_elsewhere[GetParam() == Version::v4 ? 15 : 23];
    EXPECT_EQ(give(from_elsewhere), "held");
    EXPECT_EQ(give(whole_, 1480, 9000, 1), "none");
    fragments_.give_up();
    expect_settled(1, 2);
}

TEST_P(FragmentsTest, APartThatNeverComesIsCountedWhenItsTimeIsOver) {
    give(whole_, 0, 1480);
    give(whole_, 2960, 1480);
    fragments_.expire(now_ns_ + Fragments::kTimeoutNs);
    expect_settled(0, 0);
    fragments_.expire(now_ns_ + Fragments::kTimeoutNs + 1);
    expect_settled(0, 2);
    EXPECT_EQ(give(whole_, 1480, 1480), "held");  // alone now
    EXPECT_TRUE(got_.empty());
}

TEST_P(FragmentsTest, APartThatComesTooLateBeginsAnew) {
    give(whole_, 0, 1480);
    now_ns_ += Fragments::kTimeoutNs + 1;
    EXPECT_EQ(give(whole_, 1480, 9000), "held");
    expect_settled(0, 1);
}

TEST_P(FragmentsTest, CaptureTimesMayJump) {
    for (const TimeNs time_ns : {TimeNs{0}, INT64_MAX, INT64_MIN, TimeNs{1}}) {
        now_ns_ = time_ns;
        fragments_.expire(now_ns_);
        EXPECT_EQ(give(whole_, 0, 1480), "held");
    }
    EXPECT_EQ(give(whole_, 1480, 9000), "none");
}

TEST_P(FragmentsTest, AnotherLengthOrAPartBeyondTheEndIsRefused) {
    const auto contradiction = [this](const Bytes& second) {
        now_ns_ += 60 * kNsPerSecond;
        EXPECT_EQ(give(whole_, 2960, 1480), "held");  // the end
        EXPECT_EQ(give(second), "fragment_incomplete");
        EXPECT_EQ(give(whole_, 0, 1480), "fragment_incomplete");
        EXPECT_EQ(give(whole_, 1480, 1480), "fragment_incomplete");
        expect_settled(0, 1);
    };
    contradiction(piece(GetParam(), udp(payload_of(5000)), 4440, 1480));
    contradiction(piece(GetParam(), udp(payload_of(5000)), 2960, 1480));
    contradiction(piece(GetParam(), udp(payload_of(2000)), 1480, 1480));
    now_ns_ += 60 * kNsPerSecond;
    give(whole_, 1480, 1480);
    EXPECT_EQ(give(piece(GetParam(), udp(payload_of(2000)), 1480, 1480)), "fragment_incomplete");  // ends before
    EXPECT_TRUE(got_.empty());
}

TEST_P(FragmentsTest, WhatCannotBeAFragmentIsMalformed) {
    Bytes odd = piece(GetParam(), whole_, 0, 1480);
    odd.pop_back();
    const std::size_t length_at = GetParam() == Version::v4 ? 2 : 4;
    const std::size_t length = GetParam() == Version::v4 ? odd.size() : odd.size() - 40;
    odd[length_at] = static_cast<std::uint8_t>(length >> 8);
    odd[length_at + 1] = static_cast<std::uint8_t>(length);
    EXPECT_EQ(give(odd), "bad_ip");
    EXPECT_EQ(give(Bytes(70'000), 65'528, 8), "bad_ip");
    EXPECT_EQ(give(Bytes(65'528), 65'528, 8), "bad_ip");  // nothing in it
    expect_settled(0, 0);
}

TEST_P(FragmentsTest, AFragmentThatWasCutIsNotJoined) {
    const Bytes packet = ethernet(GetParam() == Version::v4 ? 0x0800 : 0x86dd, piece(GetParam(), whole_, 0, 1480));
    for (std::size_t length = 0; length < packet.size(); ++length) {
        const Bytes cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length));
        const DropReason got = decode(cut, LinkType::ethernet, packet.size(), &fragments_).reason;
        EXPECT_TRUE(got == DropReason::truncated_link || got == DropReason::bad_ip || got == DropReason::snapped)
            << length << name_of(got);
    }
    fragments_.give_up();
    expect_settled(0, 0);
}

TEST_P(FragmentsTest, AFloodOfFirstPartsLeavesOthersAlone) {
    EXPECT_EQ(give(whole_, 0, 1480), "held");
    Bytes packet = piece(GetParam(), whole_, 0, 80);
    packet[GetParam() == Version::v4 ? 15 : 23] = 77;  // another host
    const auto flood = [&](std::uint32_t from, std::uint32_t to) {
        for (std::uint32_t id = from; id < to; ++id) {
            packet[id_at()] = static_cast<std::uint8_t>(id >> 8);
            packet[id_at() + 1] = static_cast<std::uint8_t>(id);
            ASSERT_EQ(give(packet), "held");
        }
    };
    flood(0, 50'000);
    EXPECT_EQ(give(whole_, 1480, 1480), "held");
    flood(50'000, 100'000);
    EXPECT_EQ(give(whole_, 2960, 1480), "none");
    fragments_.give_up();
    expect_settled(2, 100'000);
}

TEST_P(FragmentsTest, AFloodFromEverywherePushesOutOnlyWhatIsOld) {
    std::mt19937 random(3);
    std::uint32_t whole = 0;
    Bytes packet = piece(GetParam(), whole_, 0, 80);
    for (std::uint32_t n = 0; n < 100'000; ++n) {
        for (std::size_t i = 0; i < 3; ++i)
            packet[(GetParam() == Version::v4 ? 13 : 21) + i] = static_cast<std::uint8_t>(random());
        ASSERT_EQ(give(packet), "held");
        if (n % 100 == 0) give(whole_, 0, 1480, n);  // a real one, with 60 of the flood between its parts
        if (n % 100 == 60) whole += give(whole_, 1480, 9000, n - 60) == "none";
    }
    EXPECT_GE(whole, 990u);
}

TEST_P(FragmentsTest, TunnelsInFragmentsAndFragmentsInTunnels) {
    const Bytes frame = ethernet(0x0800, ipv4(udp(content_)));
    for (const Bytes& each : pieces(GetParam(), vxlan(frame), 1480)) give(each);  // the tunnel's packets are too large
    ASSERT_EQ(got_.size(), 1u);
    EXPECT_EQ(got_[0], content_);
    const std::uint16_t type = GetParam() == Version::v4 ? 0x0800 : 0x86dd;
    for (const Bytes& each : pieces(GetParam(), whole_, 1480, 9)) give(outer_ipv6(gre(type, each), 47));
    ASSERT_EQ(got_.size(), 2u);
    EXPECT_EQ(got_[1], content_);
    // and fragments in a tunnel whose packets come in fragments
    for (const Bytes& inner : pieces(GetParam(), whole_, 1480, 10)) {
        static std::uint32_t id = 100;
        for (const Bytes& each : pieces(GetParam(), vxlan(ethernet(type, inner)), 800, ++id)) give(each);
    }
    ASSERT_EQ(got_.size(), 3u);
    EXPECT_EQ(got_[2], content_);
}

TEST_P(FragmentsTest, WhatIsLentStaysUntilItIsReleased) {
    fragments_.release();
    std::vector<std::span<const std::uint8_t>> lent;
    const auto lend = [&](std::uint32_t id, const Bytes& whole) {
        Datagram datagram;
        DropReason reason = DropReason::count;
        for (const Bytes& each : pieces(GetParam(), whole, 32'000, id)) {
            const auto bytes = static_cast<std::uint32_t>(each.size());
            reason = decode_datagram({each.data(), bytes, bytes, now_ns_, LinkType::raw_ip, 0}, datagram, &fragments_);
        }
        if (reason == DropReason::none) lent.push_back(datagram.payload);
        return name_of(reason);
    };
    for (std::uint8_t id = 0; id < 64; ++id) EXPECT_EQ(lend(id, udp(payload_of(65'000, id))), "none");
    for (std::uint8_t id = 0; id < 64; ++id) EXPECT_TRUE(std::ranges::equal(lent[id], payload_of(65'000, id))) << id;
    EXPECT_EQ(lend(64, udp(payload_of(65'400))), "fragment_incomplete");  // the memory is bounded
    fragments_.release();
    EXPECT_EQ(lend(65, udp(payload_of(65'400))), "none");
}

class Fragments4Test : public FragmentsTest {};
class Fragments6Test : public FragmentsTest {};
INSTANTIATE_TEST_SUITE_P(V4, Fragments4Test, ::testing::Values(Version::v4));
INSTANTIATE_TEST_SUITE_P(V6, Fragments6Test, ::testing::Values(Version::v6));

TEST_P(Fragments4Test, OfWhatOverlapsTheFirstStays) {
    const Bytes liar = udp(payload_of(3000, 50));
    EXPECT_EQ(give(whole_, 0, 1480), "held");
    EXPECT_EQ(give(liar, 800, 1600), "held");  // 1480..2400 are news
    EXPECT_EQ(give(whole_, 1480, 9000), "none");
    ASSERT_EQ(got_.size(), 1u);
    Bytes expected = content_;
    std::copy(liar.begin() + 1480, liar.begin() + 2400, expected.begin() + 1480 - 8);
    EXPECT_EQ(got_[0], expected);
}

TEST_P(Fragments6Test, WhatOverlapsIsDiscardedWithAllThatIsStillToCome) {
    EXPECT_EQ(give(whole_, 0, 1480), "held");
    EXPECT_EQ(give(whole_, 800, 1600), "fragment_incomplete");
    EXPECT_EQ(give(whole_, 1480, 9000), "fragment_incomplete");
    EXPECT_EQ(give(whole_, 0, 1480), "fragment_incomplete");
    EXPECT_TRUE(got_.empty());
    expect_settled(0, 1);
    EXPECT_EQ(give(whole_, 0, 1480, 2), "held");
    EXPECT_EQ(give(udp(payload_of(3000, 50)), 0, 1480, 2), "fragment_incomplete");  // a copy that says something else
}

TEST_P(Fragments6Test, TheFirstPartSaysWhatTheDatagramIs) {
    Bytes first = piece(Version::v6, whole_, 0, 1480);
    Bytes second = piece(Version::v6, whole_, 1480, 9000);
    second[40] = 6;  // RFC 8200 §4.5: the others' next header may differ
    EXPECT_EQ(give(second), "held");
    EXPECT_EQ(give(first), "none");
    // Extension headers behind the fragment header are in the fragments.
    const Bytes extended = extension(17, 1, udp(content_));
    for (std::size_t offset = 0; offset < extended.size(); offset += 1480) {
        Bytes each = piece(Version::v6, extended, offset, 1480, 7);
        each[40] = 60;
        give(each);
    }
    ASSERT_EQ(got_.size(), 2u);
    EXPECT_EQ(got_[1], content_);
}

}  // namespace
}  // namespace spantape
