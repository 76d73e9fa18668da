// SPDX-License-Identifier: AGPL-3.0-or-later
// AES-256-GCM (NIST SP 800-38D) in place, by Intel's multi-buffer library: on processors with vector AES it takes a
// third of the time that Debian's OpenSSL does. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "storage/master_key.h"

namespace spantape {

class SealedBox {
public:
    using Nonce = std::array<std::uint8_t, 12>;
    using Tag = std::array<std::uint8_t, 16>;

    // Throws std::runtime_error when the processor has no AES instructions.
    SealedBox();
    ~SealedBox();
    SealedBox(const SealedBox&) = delete;
    SealedBox& operator=(const SealedBox&) = delete;

    // Encrypts `text` where it lies, and gives the tag over it and `bound` (which is not encrypted). A nonce must
    // never come twice with one key. False: it was not done, and `text` is not to be kept.
    [[nodiscard]] bool seal(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                            std::span<std::byte> text, Tag& tag);
    // Decrypts `text` where it lies. False: the key is another, or something was altered; `text` is of no use then.
    [[nodiscard]] bool open(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                            std::span<std::byte> text, const Tag& tag);

private:
    struct Work;  // the expanded key, and the state of a message
    std::unique_ptr<Work> work_;
};

}  // namespace spantape
