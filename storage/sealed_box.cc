// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/sealed_box.h"

#include <new>
#include <stdexcept>
#include <string>

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

namespace spantape {

namespace {

// What suits this processor. Its functions that take a whole message keep no state in it: one for all threads.
const IMB_MGR& library() {
    static const IMB_MGR* const kManager = [] {
        IMB_MGR* manager = alloc_mb_mgr(0);
        if (manager == nullptr) throw std::bad_alloc();
        init_mb_mgr_auto(manager, nullptr);
        if (const int error = imb_get_errno(manager); error != 0) {
            free_mb_mgr(manager);
            throw std::runtime_error(std::string("AES-256-GCM: ") + imb_get_strerror(error));
        }
        return manager;
    }();
    return *kManager;
}

constexpr std::uint64_t kMostText = (std::uint64_t{1} << 36) - 32;  // SP 800-38D §5.2.1.1; the library's only refusal

unsigned char* bytes_of(std::span<std::byte> text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::span<const std::byte> text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

struct SealedBox::Work {
    ~Work() { OPENSSL_cleanse(this, sizeof *this); }
    gcm_key_data key;
    gcm_context_data message;
};

SealedBox::SealedBox() : work_(std::make_unique<Work>()) { library(); }
SealedBox::~SealedBox() = default;

bool SealedBox::seal(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                     std::span<std::byte> text, Tag& tag) {
    if (text.size() > kMostText) return false;
    const IMB_MGR& with = library();
    IMB_AES256_GCM_PRE(&with, key.data(), &work_->key);
    IMB_AES256_GCM_ENC(&with, &work_->key, &work_->message, bytes_of(text), bytes_of(text), text.size(), nonce.data(),
                       bytes_of(bound), bound.size(), tag.data(), tag.size());
    return true;
}

bool SealedBox::open(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                     std::span<std::byte> text, const Tag& tag) {
    if (text.size() > kMostText) return false;
    const IMB_MGR& with = library();
    Tag made{};
    IMB_AES256_GCM_PRE(&with, key.data(), &work_->key);
    IMB_AES256_GCM_DEC(&with, &work_->key, &work_->message, bytes_of(text), bytes_of(text), text.size(), nonce.data(),
                       bytes_of(bound), bound.size(), made.data(), made.size());
    return CRYPTO_memcmp(made.data(), tag.data(), tag.size()) == 0;
}

}  // namespace spantape
