// SPDX-License-Identifier: AGPL-3.0-or-later
// The data keys of a store, each wrapped by the master key: STORE/keys/MASTERID.ring, slots of 128 bytes in which a
// key's number is its place. Who reads a chunk finds its key by the number in the chunk's header; who forgets a key
// overwrites its slot. FORMAT.md describes the file. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "capture/base/result.h"
#include "storage/master_key.h"

namespace spantape {

struct DataKey {
    std::uint64_t id = 0;  // 0: none
    SecretKey key;
};

class Keyring {
public:
    // Of STORE, for writing; made where there is none. One process at a time (the index's lock sees to it).
    static Result<std::shared_ptr<Keyring>> open(const std::string& store, const MasterKey& master);
    // As it is, for reading, also beside the process that writes. No keyring there: an empty pointer.
    static Result<std::shared_ptr<const Keyring>> open_read_only(const std::string& store,
                                                                 const std::string& master_key_path);
    // Whether STORE has any keyring, whatever its master key.
    static bool exists(const std::string& store);

    virtual ~Keyring() = default;

    // A new key for `owner` (a stream id); its number is above all others. It is on its way to the disk when this
    // returns, by a thread of the keyring's own, which tries for as long as it takes; an error: the system gives no
    // random numbers.
    virtual Result<DataKey> create(std::uint64_t owner) = 0;
    // Keys become durable in the order of their numbers. Nothing may be written under one before it is: a power cut
    // would leave what nobody can read, and the number free for another key.
    [[nodiscard]] virtual bool is_durable(std::uint64_t id) const = 0;
    // Waits for it; for as long as a sync takes, not for as long as a disk is ill. An error: the key is not durable
    // yet.
    virtual Result<> wait_durable(std::uint64_t id) const = 0;
    // Why the last attempt to write failed; empty when it did not.
    [[nodiscard]] virtual std::string error() const = 0;

    // Errors: unknown, forgotten, damaged; the number is named.
    virtual Result<SecretKey> find(std::uint64_t id) const = 0;
    // The keys are gone for good when this returns: overwritten and synced. Numbers without a key are passed over.
    virtual Result<> forget(std::span<const std::uint64_t> ids) = 0;

    [[nodiscard]] virtual std::uint64_t master_id() const = 0;
};

// What a purge calls to forget keys; nothing where there is no keyring.
std::function<Result<>(std::span<const std::uint64_t>)> forget_in(std::shared_ptr<Keyring> keyring);

// Wraps all keys of STORE anew: `next` is the master key from then on. master_key_path is replaced by it atomically;
// a crash leaves either the old pair or the new one. The store must not be in use. Gives how many keys there were.
Result<std::uint64_t> rekey(const std::string& store, const std::string& master_key_path, const MasterKey& next);

}  // namespace spantape
