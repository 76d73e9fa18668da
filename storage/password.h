// SPDX-License-Identifier: AGPL-3.0-or-later
// Passwords as scrypt (RFC 7914) keys, and access tokens as hashes. Passwords take some 100 ms and 32 MiB each: never
// on the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "capture/base/result.h"
#include "storage/master_key.h"

namespace spantape {

// "scrypt$15$8$1$SALT$KEY": log2 N, r, p, and in hexadecimal 16 bytes of random salt and 32 of key.
Result<std::string> hash_password(std::string_view password);
// Whether it is the password that `hash` was made of; false for a hash that is none. Takes the same time either way.
[[nodiscard]] bool password_fits(std::string_view password, std::string_view hash);

// What a key is derived from a password with.
struct ScryptTerms {
    std::uint8_t log_rounds = 15, block = 8, parallel = 1;
    std::array<std::uint8_t, 16> salt{};

    // With a salt of the system's random generator; an error when that gives none.
    static Result<ScryptTerms> fresh();
};
// An error also for terms that would take more than 256 MiB, or minutes.
Result<SecretKey> key_of(std::string_view password, const ScryptTerms& terms);

// 32 random bytes in hexadecimal: shown once, stored as token_hash().
Result<std::string> make_token();
// SHA-256 in hexadecimal. A token is random, so that no slow hash is needed.
[[nodiscard]] std::string token_hash(std::string_view token);

}  // namespace spantape
