// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/signing_key.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

namespace spantape {

namespace {

using KeyPtr = std::shared_ptr<EVP_PKEY>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

constexpr std::size_t kSignatureBytes = kSignatureHexDigits / 2;
constexpr std::size_t kMostFileBytes = 16u << 10;

// Out of memory, or an OpenSSL without Ed25519: nothing that a caller could answer.
void must(bool worked, const char* what) {
    if (worked) return;
    std::fprintf(stderr, "signing key: OpenSSL cannot %s\n", what);
    std::abort();
}

std::string hex_of(const unsigned char* bytes, std::size_t count) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * count);
    for (std::size_t i = 0; i < count; ++i) {
        text.push_back(kDigits[bytes[i] >> 4]);
        text.push_back(kDigits[bytes[i] & 15]);
    }
    return text;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// nullopt when there is no such file.
Result<std::optional<std::string>> read_file(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return std::nullopt;
    if (file < 0) return fail("{}: {}", path, strerror(errno));
    std::string text(kMostFileBytes, '\0');
    const auto got = read(file, text.data(), text.size());
    const int error = errno;
    close(file);
    if (got < 0) return fail("{}: {}", path, strerror(error));
    text.resize(static_cast<std::size_t>(got));
    return text;
}

// Whole and durable under its name, or not there at all.
Result<> write_file(const std::string& path, std::string_view text, mode_t mode) {
    const std::string part = path + ".new";
    unlink(part.c_str());
    const int file = open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0) return fail("{}: {}", part, strerror(errno));
    const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
    const int error = errno;
    close(file);
    if (!written || rename(part.c_str(), path.c_str()) != 0) {
        const int why = written ? errno : error;
        unlink(part.c_str());
        return fail("{}: {}", path, strerror(why));
    }
    const int directory = open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = directory >= 0 && fsync(directory) == 0;
    if (directory >= 0) close(directory);
    return synced ? Result<>{} : fail("{}: its directory cannot be synced: {}", path, strerror(errno));
}

std::string text_of(BIO* bio) {
    char* bytes = nullptr;
    const auto count = BIO_get_mem_data(bio, &bytes);
    return {bytes, static_cast<std::size_t>(count)};
}

std::string public_pem(EVP_PKEY* key) {
    const BioPtr bio(BIO_new(BIO_s_mem()), &BIO_free);
    must(bio && PEM_write_bio_PUBKEY(bio.get(), key) == 1, "write a public key");
    return text_of(bio.get());
}

std::string private_pem(EVP_PKEY* key) {
    const BioPtr bio(BIO_new(BIO_s_mem()), &BIO_free);
    must(bio && PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
         "write a private key");
    return text_of(bio.get());
}

// The key in PEM text; null when it is none of ours. No pass phrase is ever asked for.
template <class Read>
KeyPtr key_in(const std::string& pem, Read read) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
    auto no_pass_phrase = [](char*, int, int, void*) { return -1; };
    KeyPtr key(bio ? read(bio.get(), nullptr, no_pass_phrase, nullptr) : nullptr, &EVP_PKEY_free);
    if (key && EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) key.reset();
    return key;
}

}  // namespace

std::string signing_key_path(const std::string& store) { return store + "/signing.key"; }
std::string verifying_key_path(const std::string& store) { return store + "/signing.pub"; }

Result<VerifyingKey> VerifyingKey::load(const std::string& path) {
    const auto pem = read_file(path);
    if (!pem) return std::unexpected(pem.error());
    if (!*pem) return fail("{}: there is no such file", path);
    auto key = key_in(**pem, &PEM_read_bio_PUBKEY);
    if (!key) return fail("{}: holds no Ed25519 public key", path);
    return VerifyingKey(std::move(key));
}

bool VerifyingKey::verify(std::string_view text, std::string_view signature) const {
    std::array<unsigned char, kSignatureBytes> bytes{};
    if (signature.size() != kSignatureHexDigits) return false;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const int high = digit_of(signature[2 * i]), low = digit_of(signature[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = static_cast<unsigned char>(high << 4 | low);
    }
    const ContextPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    must(context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1, "verify");
    return EVP_DigestVerify(context.get(), bytes.data(), bytes.size(),
                            reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

Result<SigningKey> SigningKey::load_or_create(const std::string& store) {
    const std::string path = signing_key_path(store), public_path = verifying_key_path(store);
    auto pem = read_file(path);
    if (!pem) return std::unexpected(pem.error());
    auto stored_public = read_file(public_path);
    if (!stored_public) return std::unexpected(stored_public.error());
    KeyPtr key;
    if (*pem) {
        key = key_in(**pem, &PEM_read_bio_PrivateKey);
        if (!key) return fail("{}: holds no Ed25519 private key", path);
    } else {
        if (*stored_public) return fail("{}: is gone, while {} is there", path, public_path);
        key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free);
        must(key != nullptr, "make an Ed25519 key");
        if (auto written = write_file(path, private_pem(key.get()), 0600); !written)
            return std::unexpected(written.error());
    }
    if (*stored_public) {
        const auto other = key_in(**stored_public, &PEM_read_bio_PUBKEY);
        if (!other || EVP_PKEY_eq(other.get(), key.get()) != 1)
            return fail("{}: is not the public half of {}", public_path, path);
    } else if (auto written = write_file(public_path, public_pem(key.get()), 0644); !written) {
        return std::unexpected(written.error());
    }
    return SigningKey(std::move(key));
}

std::string SigningKey::sign(std::string_view text) const {
    std::array<unsigned char, kSignatureBytes> bytes{};
    std::size_t count = bytes.size();
    const ContextPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    must(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
             EVP_DigestSign(context.get(), bytes.data(), &count, reinterpret_cast<const unsigned char*>(text.data()),
                            text.size()) == 1,
         "sign");
    return hex_of(bytes.data(), count);
}

Sha256::Sha256() : state_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    must(state_ && EVP_DigestInit_ex(state_.get(), EVP_sha256(), nullptr) == 1, "begin a SHA-256");
}

void Sha256::add(std::string_view bytes) {
    must(EVP_DigestUpdate(state_.get(), bytes.data(), bytes.size()) == 1, "go on with a SHA-256");
}

void Sha256::add_u32(std::uint32_t value) { add({reinterpret_cast<const char*>(&value), sizeof value}); }
void Sha256::add_u64(std::uint64_t value) { add({reinterpret_cast<const char*>(&value), sizeof value}); }

std::string Sha256::hex() {
    std::array<unsigned char, kSha256HexDigits / 2> digest{};
    must(EVP_DigestFinal_ex(state_.get(), digest.data(), nullptr) == 1, "end a SHA-256");
    return hex_of(digest.data(), digest.size());
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 hash;
    hash.add(bytes);
    return hash.hex();
}

}  // namespace spantape
