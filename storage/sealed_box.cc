// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/sealed_box.h"

#include <new>

#include <openssl/evp.h>

namespace spantape {

namespace {

// Looked up once: OpenSSL 3 searches its providers for a cipher that is named each time anew.
const EVP_CIPHER* aes_256_gcm() {
    static EVP_CIPHER* const kCipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    return kCipher;
}

unsigned char* bytes_of(std::span<std::byte> text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::span<const std::byte> text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

SealedBox::SealedBox() : context_(EVP_CIPHER_CTX_new()) {
    if (context_ == nullptr || aes_256_gcm() == nullptr ||
        EVP_EncryptInit_ex(context_, aes_256_gcm(), nullptr, nullptr, nullptr) != 1) {
        EVP_CIPHER_CTX_free(context_);
        throw std::bad_alloc();
    }
}
SealedBox::~SealedBox() { EVP_CIPHER_CTX_free(context_); }

bool SealedBox::seal(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                     std::span<std::byte> text, Tag& tag) {
    int bytes = 0;
    return EVP_EncryptInit_ex(context_, nullptr, nullptr, key.data(), nonce.data()) == 1 &&
           EVP_EncryptUpdate(context_, nullptr, &bytes, bytes_of(bound), static_cast<int>(bound.size())) == 1 &&
           EVP_EncryptUpdate(context_, bytes_of(text), &bytes, bytes_of(text), static_cast<int>(text.size())) == 1 &&
           EVP_EncryptFinal_ex(context_, bytes_of(text), &bytes) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1;
}

bool SealedBox::open(const SecretKey& key, const Nonce& nonce, std::span<const std::byte> bound,
                     std::span<std::byte> text, const Tag& tag) {
    int bytes = 0;
    Tag expected = tag;
    return EVP_DecryptInit_ex(context_, nullptr, nullptr, key.data(), nonce.data()) == 1 &&
           EVP_DecryptUpdate(context_, nullptr, &bytes, bytes_of(bound), static_cast<int>(bound.size())) == 1 &&
           EVP_DecryptUpdate(context_, bytes_of(text), &bytes, bytes_of(text), static_cast<int>(text.size())) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_SET_TAG, static_cast<int>(expected.size()), expected.data()) ==
               1 &&
           EVP_DecryptFinal_ex(context_, bytes_of(text), &bytes) == 1;
}

}  // namespace spantape
