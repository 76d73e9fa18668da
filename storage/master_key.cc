// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/master_key.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/durable_file.h"

namespace spantape {

namespace {

constexpr std::string_view kLabel = "spantape-master-key-1 ";
constexpr std::size_t kFileBytes = kLabel.size() + 2 * SecretKey::kBytes + 1;

}  // namespace

SecretKey::~SecretKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Result<SecretKey> SecretKey::random() {
    SecretKey key;
    if (RAND_priv_bytes(key.data(), kBytes) != 1) return fail("the random generator gives no key");
    return key;
}

MasterKey MasterKey::of(const SecretKey& key) {
    std::array<std::uint8_t, kLabel.size() + SecretKey::kBytes> text{};
    std::memcpy(text.data(), kLabel.data(), kLabel.size());
    std::memcpy(text.data() + kLabel.size(), key.data(), SecretKey::kBytes);
    std::array<std::uint8_t, 32> digest{};
    EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    OPENSSL_cleanse(text.data(), text.size());
    MasterKey master{.key = key};
    std::memcpy(&master.id, digest.data(), sizeof master.id);
    return master;
}

Result<MasterKey> MasterKey::random() {
    auto key = SecretKey::random();
    if (!key) return std::unexpected(key.error());
    return of(*key);
}

Result<MasterKey> MasterKey::load(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (file.get() < 0 || fstat(file.get(), &status) != 0) return fail("master key {}: {}", path, strerror(errno));
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail("master key {}: others than its owner may use it (mode {:o}; chmod 600 it)", path,
                    status.st_mode & 07777);
    std::array<char, kFileBytes + 1> text{};
    const auto got = read(file.get(), text.data(), text.size());
    SecretKey key;
    bool good = got >= static_cast<ssize_t>(kFileBytes - 1) && got <= static_cast<ssize_t>(kFileBytes) &&
                std::string_view(text.data(), kLabel.size()) == kLabel;
    for (std::size_t i = 0; good && i < SecretKey::kBytes; ++i) {
        const char* digits = text.data() + kLabel.size() + 2 * i;
        good = std::from_chars(digits, digits + 2, key.data()[i], 16).ptr == digits + 2;
    }
    OPENSSL_cleanse(text.data(), text.size());
    if (!good) return fail("master key {}: is no master key of ours", path);
    return of(key);
}

Result<> MasterKey::save(const std::string& path) const {
    std::string text(kLabel);
    for (std::size_t i = 0; i < SecretKey::kBytes; ++i) text += fmt::format("{:02x}", key.data()[i]);
    text += '\n';
    auto written = write_new_file(path, std::as_bytes(std::span(text)));
    OPENSSL_cleanse(text.data(), text.size());
    if (!written) return fail("master key {}", written.error().message);
    return {};
}

}  // namespace spantape
