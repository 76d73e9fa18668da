// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/cav_file.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spantape {
namespace {

const std::string kFields = "<RECORDINGS/>";

// As many bytes as are said, in uneven pieces.
class SomeFile final : public ExportedFile {
public:
    explicit SomeFile(std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i) content_ += static_cast<char>(i * 31 + i / 251);
    }
    std::optional<std::uint64_t> bytes() const override { return content_.size(); }
    Result<std::string> next() override {
        const std::string piece = content_.substr(given_, 10'007);
        given_ += piece.size();
        return piece;
    }
    [[nodiscard]] const std::string& content() const { return content_; }

private:
    std::string content_;
    std::size_t given_ = 0;
};

std::string written(std::size_t audio_bytes, const std::optional<CavSeal>& seal = {}) {
    const auto file = cav_file(kFields, std::make_unique<SomeFile>(audio_bytes), seal);
    const auto promised = file->bytes();
    std::string all;
    for (;;) {
        const auto piece = file->next();
        if (!piece) throw std::runtime_error(piece.error().message);
        if (piece->empty()) break;
        all += *piece;
    }
    EXPECT_EQ(promised, all.size());
    return all;
}

struct Read {
    std::string fields, audio, error;
};

Read read(std::string_view file, std::string_view password = "") {
    Read out;
    const auto bytes = [&](std::span<char> to) -> Result<std::size_t> {
        const std::size_t count = std::min({to.size(), file.size(), std::size_t{999}});
        file.copy(to.data(), count);
        file.remove_prefix(count);
        return count;
    };
    const auto done = read_cav(bytes, password,
                               {.fields = [&](std::string_view xml) { return out.fields += xml, Result<>(); },
                                .audio = [&](std::string_view piece) { return out.audio += piece, Result<>(); }});
    if (!done) out.error = done.error().message;
    return out;
}

TEST(CavFile, GivesBackWhatWasPutIn) {
    const auto seal = CavSeal::of("secret");
    ASSERT_TRUE(seal);
    for (const std::size_t bytes : {0u, 1u, 65'535u, 65'536u, 65'537u, 300'000u}) {
        for (const bool sealed : {false, true}) {
            const Read got = read(written(bytes, sealed ? std::optional(*seal) : std::nullopt), sealed ? "secret" : "");
            EXPECT_EQ(got.error, "");
            EXPECT_EQ(got.fields, kFields);
            EXPECT_EQ(got.audio, SomeFile(bytes).content());
        }
    }
}

TEST(CavFile, ASealedOneTellsNothingWithoutItsPassword) {
    const auto seal = CavSeal::of("secret");
    ASSERT_TRUE(seal);
    const std::string file = written(1000, *seal);
    EXPECT_EQ(file.find(kFields), std::string::npos);
    EXPECT_EQ(read(file).error, "it is sealed with a password");
    EXPECT_EQ(read(file, "Secret").error, "it is sealed with another password, or altered");
    EXPECT_EQ(read(file, "Secret").audio, "");
    // The same audio with the same password is another file.
    EXPECT_NE(written(1000, *CavSeal::of("secret")), file);
}

TEST(CavFile, NoBitOfItCanBeAltered) {
    const auto terms = ScryptTerms{.log_rounds = 2, .block = 1, .parallel = 1};
    const CavSeal quick{terms, *key_of("secret", terms)};
    for (const bool sealed : {false, true}) {
        const std::string good = written(500, sealed ? std::optional(quick) : std::nullopt);
        for (std::size_t at = 0; at < good.size(); ++at) {
            if (!sealed && at > 8 && at < 64) continue;  // means nothing in a file in clear
            std::string altered = good;
            altered[at] = static_cast<char>(altered[at] ^ 1);
            if (sealed && at == 9) continue;  // scrypt's N: another key, derived for a while
            EXPECT_NE(read(altered, "secret").error, "") << at;
        }
        for (std::size_t bytes = 0; bytes < good.size(); ++bytes)
            EXPECT_NE(read(std::string_view(good).substr(0, bytes), "secret").error, "") << bytes;
        EXPECT_EQ(read(good + "x", "secret").error, "something follows its end");
    }
}

TEST(CavFile, WhatIsNoneIsNamed) {
    EXPECT_EQ(read("").error, "it is cut short");
    EXPECT_EQ(read(std::string(100, 'x')).error, "it is no CAV file");
    std::string greedy = written(10);
    greedy[64 + 7] = '\x7f';  // its first section says that it is large
    EXPECT_NE(read(greedy).error.find("section 0 says that it has"), std::string::npos) << read(greedy).error;
    const auto terms = ScryptTerms{.log_rounds = 2, .block = 1, .parallel = 1};
    std::string costly = written(10, CavSeal{terms, *key_of("s", terms)});
    costly[9] = 40;
    EXPECT_NE(read(costly, "s").error.find("N=2^40"), std::string::npos);
}

TEST(CavFile, ASealComesBackFromItsText) {
    const auto seal = CavSeal::of("secret");
    ASSERT_TRUE(seal);
    const auto again = CavSeal::from_text(seal->to_text());
    ASSERT_TRUE(again);
    EXPECT_EQ(read(written(10, *again), "secret").error, "");
    for (const std::string& bad : {std::string(), std::string("zz"), seal->to_text() + "0", seal->to_text().substr(2)})
        EXPECT_FALSE(CavSeal::from_text(bad)) << bad;
}

}  // namespace
}  // namespace spantape
