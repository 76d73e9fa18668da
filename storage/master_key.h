// SPDX-License-Identifier: AGPL-3.0-or-later
// The master key of a store: a file of one line, readable by its owner only, that wraps every data key of the keyring.
// Whoever loses it has no audio; whoever has it beside the store has all of it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "capture/base/result.h"

namespace spantape {

// 32 bytes of key; wiped when it goes away.
class SecretKey {
public:
    static constexpr std::size_t kBytes = 32;

    SecretKey() = default;
    SecretKey(const SecretKey&) = default;
    SecretKey& operator=(const SecretKey&) = default;
    ~SecretKey();
    // From the system's random generator; an error when that gives none.
    static Result<SecretKey> random();

    [[nodiscard]] std::uint8_t* data() { return bytes_.data(); }
    [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }

private:
    std::array<std::uint8_t, kBytes> bytes_{};
};

struct MasterKey {
    SecretKey key;
    std::uint64_t id = 0;  // first bytes of a hash of it: names it, tells nothing of it

    static MasterKey of(const SecretKey& key);
    static Result<MasterKey> random();
    // Errors name the file and what is wrong with it: missing, readable by others, not a master key.
    static Result<MasterKey> load(const std::string& path);
    // Makes the file (0600), which must not be there yet; durable when this returns.
    [[nodiscard]] Result<> save(const std::string& path) const;
};

// Where a store's master key is: `configured`, else STORE/master.key.
[[nodiscard]] inline std::string master_key_of(const std::string& store, const std::string& configured) {
    return configured.empty() ? store + "/master.key" : configured;
}

}  // namespace spantape
