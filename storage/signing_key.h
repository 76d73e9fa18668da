// SPDX-License-Identifier: AGPL-3.0-or-later
// The appliance's signature: an Ed25519 key (RFC 8032) in two PEM files, STORE/signing.key (PKCS#8, mode 0600) and
// STORE/signing.pub, so that `openssl pkeyutl -verify` can check by itself what we signed. And SHA-256 (FIPS 180-4).
// Immutable once loaded; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "capture/base/result.h"

struct evp_pkey_st;
struct evp_md_ctx_st;

namespace spantape {

inline constexpr std::size_t kSignatureHexDigits = 128;
inline constexpr std::size_t kSha256HexDigits = 64;

class VerifyingKey {
public:
    // An error names the file.
    static Result<VerifyingKey> load(const std::string& path);
    // signature: lower-case hexadecimal.
    [[nodiscard]] bool verify(std::string_view text, std::string_view signature) const;

private:
    friend class SigningKey;
    explicit VerifyingKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
    std::shared_ptr<evp_pkey_st> key_;
};

class SigningKey {
public:
    // The key of a store; made with its public half at the first start. A public half that is gone is written again;
    // one that belongs to another key is an error: somebody replaced one of the two.
    static Result<SigningKey> load_or_create(const std::string& store);
    [[nodiscard]] std::string sign(std::string_view text) const;  // lower-case hexadecimal
    [[nodiscard]] VerifyingKey verifier() const { return VerifyingKey(key_); }

private:
    explicit SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
    std::shared_ptr<evp_pkey_st> key_;
};

[[nodiscard]] std::string signing_key_path(const std::string& store);
[[nodiscard]] std::string verifying_key_path(const std::string& store);

class Sha256 {
public:
    Sha256();
    void add(std::string_view bytes);
    void add_u32(std::uint32_t value);  // little endian
    void add_u64(std::uint64_t value);
    [[nodiscard]] std::string hex();  // of all that was added; nothing can be added after

private:
    std::shared_ptr<evp_md_ctx_st> state_;
};
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace spantape
