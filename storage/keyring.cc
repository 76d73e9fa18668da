// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/keyring.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/base/clock.h"
#include "storage/durable_file.h"
#include "storage/sealed_box.h"
#include "storage/segment/crc32c.h"

namespace spantape {

namespace {

constexpr std::uint64_t kRingMagic = 0x0a3152594b545053;  // "SPTKYR1\n"
constexpr std::uint32_t kSlotMagic = 0x59454b53;          // "SKEY"
constexpr std::uint64_t kHeaderBytes = 4096;
constexpr auto kSyncsApart = std::chrono::milliseconds(2);
constexpr auto kRetry = std::chrono::milliseconds(200);
constexpr auto kSyncPatience = std::chrono::seconds(1);

struct RingHeader {
    std::uint64_t magic = kRingMagic;
    std::uint32_t version = 1;
    std::uint32_t slot_bytes = 128;
    std::uint64_t master_id = 0;
};

enum class SlotState : std::uint16_t { live = 1, forgotten = 2 };

struct Slot {
    std::uint32_t magic = kSlotMagic;
    std::uint16_t version = 1;
    SlotState state = SlotState::live;
    std::uint64_t id = 0;
    std::uint64_t owner = 0;
    TimeNs created_ns = 0;  // or forgotten
    std::array<std::uint8_t, 12> nonce{};
    std::array<std::uint8_t, SecretKey::kBytes> wrapped{};
    std::array<std::uint8_t, 16> tag{};
    std::array<std::uint8_t, 32> reserved{};
    std::uint32_t crc = 0;  // CRC-32C of what is before it
};
static_assert(sizeof(Slot) == 128 && offsetof(Slot, nonce) == 32 && offsetof(Slot, crc) == 124);

std::uint64_t offset_of(std::uint64_t id) { return kHeaderBytes + (id - 1) * sizeof(Slot); }
std::string directory_of(const std::string& store) { return store + "/keys"; }
std::string ring_path(const std::string& store, std::uint64_t master_id) {
    return fmt::format("{}/{:016x}.ring", directory_of(store), master_id);
}

std::uint32_t crc_of(const Slot& slot) { return crc32c(std::as_bytes(std::span(&slot, 1)).first(offsetof(Slot, crc))); }

// What a wrapped key is bound to: its number, its owner and the master key.
std::array<std::uint64_t, 3> bound_to(const Slot& slot, const MasterKey& master) {
    return {slot.id, slot.owner, master.id};
}

Result<Slot> wrap(std::uint64_t id, std::uint64_t owner, const SecretKey& key, const MasterKey& master,
                  SealedBox& box) {
    Slot slot;
    slot.id = id;
    slot.owner = owner;
    slot.created_ns = wall_clock_ns();
    if (RAND_bytes(slot.nonce.data(), static_cast<int>(slot.nonce.size())) != 1) return fail("no random numbers");
    std::memcpy(slot.wrapped.data(), key.data(), SecretKey::kBytes);
    const auto bound = bound_to(slot, master);
    if (!box.seal(master.key, slot.nonce, std::as_bytes(std::span(bound)),
                  std::as_writable_bytes(std::span(slot.wrapped)), slot.tag))
        return fail("key {} could not be wrapped", id);
    slot.crc = crc_of(slot);
    return slot;
}

Result<SecretKey> unwrap(const Slot& slot, std::uint64_t id, const MasterKey& master) {
    if (slot.magic != kSlotMagic || slot.crc != crc_of(slot) || slot.id != id)
        return fail("key {}: its place in the keyring is damaged", id);
    if (slot.state != SlotState::live) return fail("key {} is forgotten", id);
    SecretKey key;
    std::memcpy(key.data(), slot.wrapped.data(), SecretKey::kBytes);
    const auto bound = bound_to(slot, master);
    SealedBox box;
    if (!box.open(master.key, slot.nonce, std::as_bytes(std::span(bound)),
                  {reinterpret_cast<std::byte*>(key.data()), SecretKey::kBytes}, slot.tag))
        return fail("key {}: its place in the keyring was altered", id);
    return key;
}

Result<std::uint64_t> slots_in(int file, const std::string& path) {
    struct stat status{};
    if (fstat(file, &status) != 0) return fail("{}: {}", path, strerror(errno));
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    return bytes <= kHeaderBytes ? 0 : (bytes - kHeaderBytes + sizeof(Slot) - 1) / sizeof(Slot);
}

Result<> check_header(int file, const std::string& path, const MasterKey& master) {
    RingHeader header;
    if (auto got = read_at(file, std::as_writable_bytes(std::span(&header, 1)), 0); !got)
        return fail("{}: {}", path, got.error().message);
    if (header.magic != kRingMagic || header.version != 1 || header.slot_bytes != sizeof(Slot))
        return fail("{}: is no keyring of this version", path);
    if (header.master_id != master.id) return fail("{}: belongs to another master key", path);
    return {};
}

Result<> make_ring(const std::string& path, std::uint64_t master_id) {
    std::array<std::byte, kHeaderBytes> block{};
    const RingHeader header{.master_id = master_id};
    std::memcpy(block.data(), &header, sizeof header);
    return write_new_file(path, block);
}

class FileKeyring final : public Keyring {
public:
    FileKeyring(std::string path, Descriptor file, const MasterKey& master, std::uint64_t slots, bool writes)
        : path_(std::move(path)), file_(std::move(file)), master_(master), next_(slots + 1), durable_id_(slots) {
        if (writes) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    ~FileKeyring() override {
        const std::lock_guard lock(mutex_);  // or the thread may look before it is told, and wait after
        thread_.request_stop();
        changed_.notify_all();
    }

    Result<DataKey> create(std::uint64_t owner) override {
        auto key = SecretKey::random();
        if (!key) return std::unexpected(key.error());
        const std::lock_guard lock(mutex_);
        auto slot = wrap(next_, owner, *key, master_, box_);
        if (!slot) return std::unexpected(slot.error());
        pending_.push_back(*slot);
        fresh_[next_] = *key;
        if (pending_.size() == 1) changed_.notify_all();  // else the thread knows of work
        return DataKey{next_++, *key};
    }

    [[nodiscard]] bool is_durable(std::uint64_t id) const override { return id <= durable_id_; }
    Result<> wait_durable(std::uint64_t id) const override {
        if (is_durable(id)) return {};
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, kSyncPatience, [&] { return is_durable(id) || !error_.empty(); });
        if (is_durable(id)) return {};
        return fail("keyring {}: key {} is not on the disk: {}", path_, id, error_.empty() ? "it takes long" : error_);
    }
    [[nodiscard]] std::string error() const override {
        const std::lock_guard lock(mutex_);
        return error_;
    }
    [[nodiscard]] std::uint64_t master_id() const override { return master_.id; }

    Result<SecretKey> find(std::uint64_t id) const override {
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = fresh_.find(id); found != fresh_.end()) return found->second;
        }
        Slot slot;
        if (id == 0) return fail("key 0 is none");
        if (auto got = read_at(file_.get(), std::as_writable_bytes(std::span(&slot, 1)), offset_of(id)); !got)
            return fail("key {} is not in the keyring {}: {}", id, path_, got.error().message);
        return unwrap(slot, id, master_);
    }

    Result<> forget(std::span<const std::uint64_t> ids) override {
        std::unique_lock lock(mutex_);
        // What is on its way must have arrived, or it would be written over the forgotten place.
        changed_.wait(lock, [this] { return pending_.empty() || !error_.empty(); });
        if (!pending_.empty()) return fail("keyring {}: {}", path_, error_);
        for (const std::uint64_t id : ids) {
            if (id == 0 || id >= next_) continue;
            Slot gone;
            gone.id = id;
            gone.state = SlotState::forgotten;
            gone.created_ns = wall_clock_ns();
            gone.crc = crc_of(gone);
            if (auto put = write_at(file_.get(), std::as_bytes(std::span(&gone, 1)), offset_of(id)); !put)
                return fail("keyring {}: key {}: {}", path_, id, put.error().message);
        }
        if (auto synced = sync_file(file_.get()); !synced) return fail("keyring {}: {}", path_, synced.error().message);
        return {};
    }

private:
    void run(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        std::chrono::steady_clock::time_point next_sync{};
        for (;;) {
            changed_.wait(lock, [&] { return stop.stop_requested() || !pending_.empty(); });
            if (pending_.empty()) return;
            // Where calls begin all the time, a sync makes many keys durable: the disk has other things to do.
            changed_.wait_until(lock, next_sync, [&] { return stop.stop_requested(); });
            next_sync = std::chrono::steady_clock::now() + kSyncsApart;
            const std::vector<Slot> batch = pending_;
            lock.unlock();
            auto done = write_at(file_.get(), std::as_bytes(std::span(batch)), offset_of(batch.front().id));
            if (done) done = sync_file(file_.get());
            lock.lock();
            error_ = done ? "" : done.error().message;
            if (done) {
                for (const Slot& slot : batch) fresh_.erase(slot.id);
                pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
                durable_id_ = batch.back().id;
            }
            changed_.notify_all();
            if (done) continue;
            if (stop.stop_requested()) return;
            changed_.wait_for(lock, kRetry, [&] { return stop.stop_requested(); });
        }
    }

    const std::string path_;
    const Descriptor file_;
    const MasterKey master_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::uint64_t next_;
    std::atomic<std::uint64_t> durable_id_;
    std::vector<Slot> pending_;                           // in order of their numbers, not durable yet
    std::unordered_map<std::uint64_t, SecretKey> fresh_;  // theirs
    SealedBox box_;
    std::string error_;
    std::jthread thread_;
};

Result<std::shared_ptr<Keyring>> open_ring(const std::string& path, const MasterKey& master, bool writes) {
    Descriptor file(::open(path.c_str(), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (file.get() < 0) return fail("keyring {}: {}", path, strerror(errno));
    if (auto good = check_header(file.get(), path, master); !good) return std::unexpected(good.error());
    const auto slots = slots_in(file.get(), path);
    if (!slots) return std::unexpected(slots.error());
    return std::make_shared<FileKeyring>(path, std::move(file), master, *slots, writes);
}

// --- rekey: what is under way is noted in a file, so that an open after a crash knows which ring is the rest

struct RekeyNote {
    std::uint64_t from = 0, to = 0;
};
std::string note_path(const std::string& store) { return directory_of(store) + "/rekey"; }

// Overwrites a ring's keys, and removes it. Not there: nothing to do.
Result<> wipe(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0) return errno == ENOENT ? Result<>{} : fail("{}: {}", path, strerror(errno));
    const auto slots = slots_in(file.get(), path);
    if (!slots) return std::unexpected(slots.error());
    const std::vector<std::byte> zeros(1u << 20);
    for (std::uint64_t at = 0, end = offset_of(*slots + 1); at < end; at += zeros.size()) {
        const auto part = std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), end - at));
        if (auto put = write_at(file.get(), part, at); !put) return fail("{}: {}", path, put.error().message);
    }
    if (auto synced = sync_file(file.get()); !synced) return fail("{}: {}", path, synced.error().message);
    if (unlink(path.c_str()) != 0) return fail("{}: {}", path, strerror(errno));
    return {};
}

Result<> finish_rekey(const std::string& store, std::uint64_t master_id) {
    RekeyNote note;
    {
        const Descriptor file(::open(note_path(store).c_str(), O_RDONLY | O_CLOEXEC));
        if (file.get() < 0) return {};
        if (!read_at(file.get(), std::as_writable_bytes(std::span(&note, 1)), 0)) note = {};
    }
    for (const std::uint64_t id : {note.from, note.to})
        if (id != master_id && (note.from == master_id || note.to == master_id))
            if (auto gone = wipe(ring_path(store, id)); !gone) return gone;
    if (unlink(note_path(store).c_str()) != 0) return fail("{}: {}", note_path(store), strerror(errno));
    return sync_directory(directory_of(store));
}

}  // namespace

bool Keyring::exists(const std::string& store) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_of(store), error))
        if (entry.path().extension() == ".ring") return true;
    return false;
}

Result<std::shared_ptr<Keyring>> Keyring::open(const std::string& store, const MasterKey& master) {
    std::error_code error;
    std::filesystem::create_directories(directory_of(store), error);
    if (error) return fail("{}: {}", directory_of(store), error.message());
    const std::string path = ring_path(store, master.id);
    if (!std::filesystem::exists(path)) {
        if (exists(store))
            return fail("{}: its keyring belongs to another master key than {:016x}", directory_of(store), master.id);
        if (auto made = make_ring(path, master.id); !made) return std::unexpected(made.error());
        if (auto synced = sync_directory(store); !synced) return std::unexpected(synced.error());
    }
    if (auto finished = finish_rekey(store, master.id); !finished) return std::unexpected(finished.error());
    return open_ring(path, master, true);
}

Result<std::shared_ptr<const Keyring>> Keyring::open_read_only(const std::string& store,
                                                               const std::string& master_key_path) {
    if (!exists(store)) return std::shared_ptr<const Keyring>{};
    const auto master = MasterKey::load(master_key_path);
    if (!master) return std::unexpected(master.error());
    return open_ring(ring_path(store, master->id), *master, false);
}

std::function<Result<>(std::span<const std::uint64_t>)> forget_in(std::shared_ptr<Keyring> keyring) {
    if (!keyring) return {};
    return [keyring = std::move(keyring)](std::span<const std::uint64_t> ids) { return keyring->forget(ids); };
}

Result<std::uint64_t> rekey(const std::string& store, const std::string& master_key_path, const MasterKey& next) {
    const auto master = MasterKey::load(master_key_path);
    if (!master) return std::unexpected(master.error());
    if (auto finished = finish_rekey(store, master->id); !finished) return std::unexpected(finished.error());
    const std::string old_path = ring_path(store, master->id), new_path = ring_path(store, next.id);
    const Descriptor from(::open(old_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (from.get() < 0) return fail("keyring {}: {}", old_path, strerror(errno));
    if (auto good = check_header(from.get(), old_path, *master); !good) return std::unexpected(good.error());
    const auto slots = slots_in(from.get(), old_path);
    if (!slots) return std::unexpected(slots.error());

    const RekeyNote note{master->id, next.id};
    if (auto noted = write_new_file(note_path(store), std::as_bytes(std::span(&note, 1))); !noted)
        return std::unexpected(noted.error());
    if (auto made = make_ring(new_path, next.id); !made) return std::unexpected(made.error());
    const Descriptor to(::open(new_path.c_str(), O_RDWR | O_CLOEXEC));
    if (to.get() < 0) return fail("keyring {}: {}", new_path, strerror(errno));
    std::uint64_t wrapped = 0;
    SealedBox box;
    for (std::uint64_t id = 1; id <= *slots; ++id) {
        Slot slot;
        if (!read_at(from.get(), std::as_writable_bytes(std::span(&slot, 1)), offset_of(id))) break;  // torn: the last
        if (const auto key = unwrap(slot, id, *master)) {
            auto anew = wrap(id, slot.owner, *key, next, box);
            if (!anew) return std::unexpected(anew.error());
            anew->created_ns = slot.created_ns;
            anew->crc = crc_of(*anew);
            slot = *anew;
            ++wrapped;
        }
        if (auto put = write_at(to.get(), std::as_bytes(std::span(&slot, 1)), offset_of(id)); !put)
            return fail("keyring {}: {}", new_path, put.error().message);
    }
    if (auto synced = sync_file(to.get()); !synced) return fail("keyring {}: {}", new_path, synced.error().message);

    const std::string fresh = master_key_path + ".new";
    unlink(fresh.c_str());  // of an attempt before
    if (auto saved = next.save(fresh); !saved) return std::unexpected(saved.error());
    if (rename(fresh.c_str(), master_key_path.c_str()) != 0)  // from here on the new pair counts
        return fail("{}: {}", master_key_path, strerror(errno));
    const auto parent = std::filesystem::path(master_key_path).parent_path();
    if (auto synced = sync_directory(parent.empty() ? "." : parent.string()); !synced)
        return std::unexpected(synced.error());
    if (auto finished = finish_rekey(store, next.id); !finished) return std::unexpected(finished.error());
    return wrapped;
}

}  // namespace spantape
