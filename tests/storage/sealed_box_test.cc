// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/sealed_box.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>

namespace spantape {
namespace {

std::mt19937_64 chance(20261129);

template <typename Bytes>
Bytes random_bytes(Bytes bytes) {
    for (auto& byte : bytes) byte = static_cast<typename Bytes::value_type>(chance());
    return bytes;
}

SecretKey some_key() {
    SecretKey key;
    for (std::size_t at = 0; at < SecretKey::kBytes; ++at) key.data()[at] = static_cast<std::uint8_t>(chance());
    return key;
}

// The same by OpenSSL.
std::vector<std::byte> sealed_by_openssl(const SecretKey& key, const SealedBox::Nonce& nonce,
                                         const std::vector<std::byte>& bound, const std::vector<std::byte>& text,
                                         SealedBox::Tag& tag) {
    std::vector<std::byte> sealed(text.size() + 1);
    auto* out = reinterpret_cast<unsigned char*>(sealed.data());
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int bytes = 0;
    EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nonce.data());
    EVP_EncryptUpdate(context, nullptr, &bytes, reinterpret_cast<const unsigned char*>(bound.data()),
                      static_cast<int>(bound.size()));
    EVP_EncryptUpdate(context, out, &bytes, reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
    EVP_EncryptFinal_ex(context, out + text.size(), &bytes);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag.size()), tag.data());
    EVP_CIPHER_CTX_free(context);
    sealed.resize(text.size());
    return sealed;
}

TEST(SealedBox, GivesWhatOpenSslGives) {
    SealedBox box;
    for (std::size_t length = 0; length < 70'000; length = length < 1100 ? length + 1 : length + 3331) {
        const SecretKey key = some_key();
        const auto nonce = random_bytes(SealedBox::Nonce{});
        const auto bound = random_bytes(std::vector<std::byte>(chance() % 300));
        const auto text = random_bytes(std::vector<std::byte>(length));
        SealedBox::Tag expected{};
        const auto sealed = sealed_by_openssl(key, nonce, bound, text, expected);

        auto ours = text;
        SealedBox::Tag tag{};
        ASSERT_TRUE(box.seal(key, nonce, bound, ours, tag));
        ASSERT_EQ(ours, sealed) << length;
        ASSERT_EQ(tag, expected) << length;
        ASSERT_TRUE(box.open(key, nonce, bound, ours, tag));
        ASSERT_EQ(ours, text) << length;
    }
}

TEST(SealedBox, OpensNothingThatWasAltered) {
    SealedBox box;
    const SecretKey key = some_key();
    const auto nonce = random_bytes(SealedBox::Nonce{});
    const auto bound = random_bytes(std::vector<std::byte>(40));
    auto sealed = random_bytes(std::vector<std::byte>(200));
    SealedBox::Tag tag{};
    ASSERT_TRUE(box.seal(key, nonce, bound, sealed, tag));

    const auto opens = [&](const SecretKey& by, SealedBox::Nonce with, std::vector<std::byte> beside,
                           std::vector<std::byte> text,
                           const SealedBox::Tag& under) { return box.open(by, with, beside, text, under); };
    ASSERT_TRUE(opens(key, nonce, bound, sealed, tag));
    EXPECT_FALSE(opens(some_key(), nonce, bound, sealed, tag));
    for (std::size_t at = 0; at < sealed.size(); ++at) {
        auto altered = sealed;
        altered[at] ^= std::byte{1};
        EXPECT_FALSE(opens(key, nonce, bound, altered, tag)) << at;
    }
    for (std::size_t at = 0; at < bound.size(); ++at) {
        auto altered = bound;
        altered[at] ^= std::byte{128};
        EXPECT_FALSE(opens(key, nonce, altered, sealed, tag)) << at;
    }
    for (std::size_t at = 0; at < tag.size(); ++at) {
        auto altered = tag;
        altered[at] ^= 16;
        EXPECT_FALSE(opens(key, nonce, bound, sealed, altered)) << at;
    }
    for (std::size_t at = 0; at < nonce.size(); ++at) {
        auto altered = nonce;
        altered[at] ^= 1;
        EXPECT_FALSE(opens(key, altered, bound, sealed, tag)) << at;
    }
    auto shorter = sealed;
    shorter.pop_back();
    EXPECT_FALSE(opens(key, nonce, bound, shorter, tag));
}

}  // namespace
}  // namespace spantape
