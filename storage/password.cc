// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/password.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace spantape {

namespace {

constexpr std::size_t kSaltBytes = 16, kKeyBytes = 32, kTokenBytes = 32;
constexpr std::uint64_t kMostMemory = 256u << 20;  // of a hash that came from a store
constexpr unsigned kLogRounds = 15, kBlock = 8, kParallel = 1;

using Key = std::array<std::uint8_t, kKeyBytes>;

struct Hash {
    unsigned log_rounds = kLogRounds, block = kBlock, parallel = kParallel;
    std::array<std::uint8_t, kSaltBytes> salt{};
    Key key{};
};

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

bool read_hexadecimal(std::string_view text, std::span<std::uint8_t> bytes) {
    if (text.size() != 2 * bytes.size()) return false;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const char* digits = text.data() + 2 * i;
        const auto [end, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
        if (error != std::errc() || end != digits + 2) return false;
    }
    return true;
}

std::optional<Hash> parse(std::string_view text) {
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find('$', at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    if (parts.size() != 6 || parts[0] != "scrypt") return std::nullopt;
    Hash hash;
    unsigned* const numbers[] = {&hash.log_rounds, &hash.block, &hash.parallel};
    for (std::size_t i = 0; i < std::size(numbers); ++i) {
        const std::string_view part = parts[i + 1];
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *numbers[i]);
        if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
    }
    if (hash.log_rounds < 1 || hash.log_rounds > 30) return std::nullopt;
    if (!read_hexadecimal(parts[4], hash.salt) || !read_hexadecimal(parts[5], hash.key)) return std::nullopt;
    return hash;
}

bool derive(std::string_view password, const Hash& hash, Key& key) {
    return EVP_PBE_scrypt(password.data(), password.size(), hash.salt.data(), hash.salt.size(),
                          std::uint64_t{1} << hash.log_rounds, hash.block, hash.parallel, kMostMemory, key.data(),
                          key.size()) == 1;
}

}  // namespace

Result<ScryptTerms> ScryptTerms::fresh() {
    ScryptTerms terms;
    if (RAND_bytes(terms.salt.data(), static_cast<int>(terms.salt.size())) != 1)
        return fail("the random generator gives no salt");
    return terms;
}

Result<SecretKey> key_of(std::string_view password, const ScryptTerms& terms) {
    constexpr unsigned kMostLogRounds = 20, kMostBlock = 32, kMostParallel = 16;
    if (terms.log_rounds < 1 || terms.log_rounds > kMostLogRounds || terms.block < 1 || terms.block > kMostBlock ||
        terms.parallel < 1 || terms.parallel > kMostParallel)
        return fail("a key cannot be derived with scrypt N=2^{} r={} p={}", terms.log_rounds, terms.block,
                    terms.parallel);
    SecretKey key;
    if (EVP_PBE_scrypt(password.data(), password.size(), terms.salt.data(), terms.salt.size(),
                       std::uint64_t{1} << terms.log_rounds, terms.block, terms.parallel, kMostMemory, key.data(),
                       SecretKey::kBytes) != 1)
        return fail("no key can be derived from the password (is there no memory?)");
    return key;
}

Result<std::string> hash_password(std::string_view password) {
    Hash hash;
    if (RAND_bytes(hash.salt.data(), static_cast<int>(hash.salt.size())) != 1)
        return fail("the random generator gives no salt");
    if (!derive(password, hash, hash.key)) return fail("the password cannot be hashed (is there no memory?)");
    return fmt::format("scrypt${}${}${}${}${}", hash.log_rounds, hash.block, hash.parallel, hexadecimal(hash.salt),
                       hexadecimal(hash.key));
}

bool password_fits(std::string_view password, std::string_view text) {
    const auto hash = parse(text);
    Key key{};
    // A user without a password costs as much as one with: how long it takes tells nothing.
    const bool derived = derive(password, hash.value_or(Hash{}), key);
    const bool same = hash && derived && CRYPTO_memcmp(key.data(), hash->key.data(), key.size()) == 0;
    OPENSSL_cleanse(key.data(), key.size());
    return same;
}

Result<std::string> make_token() {
    std::array<std::uint8_t, kTokenBytes> bytes{};
    if (RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
        return fail("the random generator gives no token");
    return hexadecimal(bytes);
}

std::string token_hash(std::string_view token) {
    std::array<std::uint8_t, 32> digest{};
    EVP_Digest(token.data(), token.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    return hexadecimal(digest);
}

}  // namespace spantape
