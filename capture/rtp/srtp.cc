// SPDX-License-Identifier: AGPL-3.0-or-later
// SHA-1 below the EVP interface, which OpenSSL 3 would rather not have: EVP takes two allocations for every digest.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "capture/rtp/srtp.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

namespace spantape {

namespace {

constexpr std::size_t kGcmIvBytes = 12;
constexpr std::size_t kMaxSaltBytes = 14;
constexpr int kReorder = 64;  // further back than this is no late packet, but a stream that began again
constexpr std::size_t kMaxKeys = 16;

// RFC 3711 §4.3.1
enum class Label : std::uint8_t { encryption = 0, authentication = 1, salt = 2 };

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;
using Hmac = std::array<std::uint8_t, SHA_DIGEST_LENGTH>;
using Salt = std::array<std::uint8_t, kMaxSaltBytes>;

const EVP_CIPHER* counter_mode(std::size_t key_bytes) {
    return key_bytes == 16 ? EVP_aes_128_ctr() : key_bytes == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
}

Cipher make_cipher(const EVP_CIPHER* kind, const std::uint8_t* key) {
    Cipher cipher(EVP_CIPHER_CTX_new());
    if (!cipher || EVP_DecryptInit_ex(cipher.get(), kind, nullptr, key, nullptr) != 1) return nullptr;
    return cipher;
}

void put_u32(std::uint8_t* at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}
void put_u16(std::uint8_t* at, std::uint16_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}

// The pseudo-random function of RFC 3711 §4.3.3: AES in counter mode under the master key, begun at the label.
bool derive(EVP_CIPHER_CTX* master, const Salt& master_salt, Label label, std::span<std::uint8_t> out) {
    std::array<std::uint8_t, 16> iv{};
    std::copy(master_salt.begin(), master_salt.end(), iv.begin());
    iv[7] ^= static_cast<std::uint8_t>(label);
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    int written = 0;
    return EVP_DecryptInit_ex(master, nullptr, nullptr, nullptr, iv.data()) == 1 &&
           EVP_DecryptUpdate(master, out.data(), &written, out.data(), static_cast<int>(out.size())) == 1;
}

}  // namespace

struct SrtpContext::State {
    SrtpKey key;
    SrtpSuiteSizes sizes{};
    Salt salt{};
    Cipher cipher;
    // HMAC (RFC 2104) after its key: not for AEAD.
    SHA_CTX inner{};
    SHA_CTX outer{};

    ~State() {
        OPENSSL_cleanse(&key, sizeof key);
        OPENSSL_cleanse(&inner, sizeof inner);
        OPENSSL_cleanse(&outer, sizeof outer);
    }

    bool set_up(std::size_t master_key_bytes);
    void set_up_authentication(std::span<const std::uint8_t> authentication_key);
    [[nodiscard]] Hmac hmac(std::span<const std::uint8_t> message, std::uint32_t count) const;
    bool decrypt_counter_mode(const RtpHeader& header, std::uint32_t count, std::span<const std::uint8_t> in,
                              std::uint8_t* out);
    bool decrypt_gcm(const RtpHeader& header, std::uint32_t count, std::span<const std::uint8_t> in,
                     std::span<const std::uint8_t> tag, std::uint8_t* out);
};

bool SrtpContext::State::set_up(std::size_t master_key_bytes) {
    sizes = sizes_of(key.suite);
    const Cipher master = make_cipher(counter_mode(master_key_bytes), key.key_and_salt.data());
    if (!master) return false;
    Salt master_salt{};  // a shorter one is filled up with zeros (RFC 7714 §11)
    std::copy_n(key.key_and_salt.begin() + static_cast<std::ptrdiff_t>(master_key_bytes), sizes.salt_bytes,
                master_salt.begin());
    std::array<std::uint8_t, 32> encryption_key;
    Hmac authentication_key;
    const bool derived =
        derive(master.get(), master_salt, Label::encryption, std::span(encryption_key).first(sizes.key_bytes)) &&
        derive(master.get(), master_salt, Label::authentication, authentication_key) &&
        derive(master.get(), master_salt, Label::salt, std::span(salt).first(sizes.salt_bytes));
    const EVP_CIPHER* gcm = sizes.key_bytes == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    if (derived) cipher = make_cipher(sizes.aead ? gcm : counter_mode(sizes.key_bytes), encryption_key.data());
    if (!sizes.aead) set_up_authentication(authentication_key);
    OPENSSL_cleanse(encryption_key.data(), encryption_key.size());
    OPENSSL_cleanse(authentication_key.data(), authentication_key.size());
    return cipher != nullptr;
}

void SrtpContext::State::set_up_authentication(std::span<const std::uint8_t> authentication_key) {
    const auto begin = [&](SHA_CTX& digest, std::uint8_t pad) {
        std::array<std::uint8_t, SHA_CBLOCK> block;
        block.fill(pad);
        for (std::size_t i = 0; i < authentication_key.size(); ++i) block[i] ^= authentication_key[i];
        SHA1_Init(&digest);
        SHA1_Update(&digest, block.data(), block.size());
        OPENSSL_cleanse(block.data(), block.size());
    };
    begin(inner, 0x36);
    begin(outer, 0x5c);
}

// Over the packet up to the MKI and the roll-over count (RFC 3711 §4.2).
Hmac SrtpContext::State::hmac(std::span<const std::uint8_t> message, std::uint32_t count) const {
    std::array<std::uint8_t, 4> count_bytes;
    put_u32(count_bytes.data(), count);
    Hmac result;
    SHA_CTX digest = inner;
    SHA1_Update(&digest, message.data(), message.size());
    SHA1_Update(&digest, count_bytes.data(), count_bytes.size());
    SHA1_Final(result.data(), &digest);
    digest = outer;
    SHA1_Update(&digest, result.data(), result.size());
    SHA1_Final(result.data(), &digest);
    return result;
}

// IV = salt * 2^16 ^ SSRC * 2^64 ^ index * 2^16 (RFC 3711 §4.1.1)
bool SrtpContext::State::decrypt_counter_mode(const RtpHeader& header, std::uint32_t count,
                                              std::span<const std::uint8_t> in, std::uint8_t* out) {
    std::array<std::uint8_t, 16> iv{};
    put_u32(iv.data() + 4, header.ssrc);
    put_u32(iv.data() + 8, count);
    put_u16(iv.data() + 12, header.sequence);
    for (std::size_t i = 0; i < kMaxSaltBytes; ++i) iv[i] ^= salt[i];
    int written = 0;
    return EVP_DecryptInit_ex(cipher.get(), nullptr, nullptr, nullptr, iv.data()) == 1 &&
           EVP_DecryptUpdate(cipher.get(), out, &written, in.data(), static_cast<int>(in.size())) == 1;
}

// RFC 7714 §8.1; the header is the associated data (§9.1).
bool SrtpContext::State::decrypt_gcm(const RtpHeader& header, std::uint32_t count, std::span<const std::uint8_t> in,
                                     std::span<const std::uint8_t> tag, std::uint8_t* out) {
    std::array<std::uint8_t, kGcmIvBytes> iv{};
    put_u32(iv.data() + 2, header.ssrc);
    put_u32(iv.data() + 6, count);
    put_u16(iv.data() + 10, header.sequence);
    for (std::size_t i = 0; i < kGcmIvBytes; ++i) iv[i] ^= salt[i];
    std::array<std::uint8_t, 16> tag_copy;  // OpenSSL takes it by a pointer to what may be changed
    std::copy(tag.begin(), tag.end(), tag_copy.begin());
    EVP_CIPHER_CTX* gcm = cipher.get();
    int written = 0;
    return EVP_DecryptInit_ex(gcm, nullptr, nullptr, nullptr, iv.data()) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), tag_copy.data()) == 1 &&
           EVP_DecryptUpdate(gcm, nullptr, &written, header.packet().data(), header.header_bytes) == 1 &&
           EVP_DecryptUpdate(gcm, out, &written, in.data(), static_cast<int>(in.size())) == 1 &&
           EVP_DecryptFinal_ex(gcm, out + in.size(), &written) == 1;
}

SrtpContext::SrtpContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
SrtpContext::~SrtpContext() = default;

SrtpContexts SrtpContext::make(const SrtpKey& key) {
    SrtpContexts contexts;
    const auto add = [&](std::size_t master_key_bytes) {
        auto state = std::make_unique<State>();
        state->key = key;
        if (!state->set_up(master_key_bytes)) return;
        contexts.push_back(std::shared_ptr<SrtpContext>(new SrtpContext(std::move(state))));
    };
    const std::size_t key_bytes = sizes_of(key.suite).key_bytes;
    add(key_bytes);
    // libsrtp2 has the 192 bits of key, the salt and zeros pass for 256 bits of key and a salt.
    if (key_bytes == 24) add(32);
    return contexts;
}

const SrtpKey& SrtpContext::key() const { return state_->key; }

std::size_t SrtpContext::trailer_bytes() const { return state_->sizes.tag_bytes + state_->key.mki_bytes; }

std::optional<std::span<std::uint8_t>> SrtpContext::open(const RtpHeader& header, std::uint32_t roll_over_count,
                                                         std::span<std::uint8_t> out) {
    State& state = *state_;
    const auto packet = header.packet();
    if (packet.size() < header.header_bytes + trailer_bytes() || out.size() < packet.size()) return std::nullopt;
    const std::size_t end = packet.size() - trailer_bytes();  // of what is encrypted
    // Counter mode: payload, MKI, tag (RFC 3711 §3.1). AEAD: payload, tag, MKI (RFC 7714 §8.2, as libsrtp2 does).
    const auto tag = packet.subspan(end + (state.sizes.aead ? 0 : state.key.mki_bytes), state.sizes.tag_bytes);
    const auto mki = packet.subspan(end + (state.sizes.aead ? state.sizes.tag_bytes : 0), state.key.mki_bytes);
    if (!std::equal(mki.begin(), mki.end(), state.key.mki.begin())) return std::nullopt;
    const auto in = packet.subspan(header.header_bytes, end - header.header_bytes);
    if (state.sizes.aead) {
        if (!state.decrypt_gcm(header, roll_over_count, in, tag, out.data())) return std::nullopt;
        return out.first(in.size());
    }
    const Hmac computed = state.hmac(packet.first(end), roll_over_count);
    if (CRYPTO_memcmp(computed.data(), tag.data(), tag.size()) != 0) return std::nullopt;
    if (!state.decrypt_counter_mode(header, roll_over_count, in, out.data())) return std::nullopt;
    return out.first(in.size());
}

void SrtpStream::learn(const SrtpContexts& contexts) {
    for (const auto& context : contexts) {
        if (std::find(contexts_.begin(), contexts_.end(), context) != contexts_.end()) continue;
        if (contexts_.size() >= kMaxKeys) {  // the oldest that is not in use gives way
            const std::size_t oldest = active_ == 0 ? 1 : 0;
            contexts_.erase(contexts_.begin() + static_cast<std::ptrdiff_t>(oldest));
            if (active_ > oldest) --active_;
        }
        contexts_.push_back(context);
        failures_ = 0;
    }
}

std::optional<std::span<const std::uint8_t>> SrtpStream::open(const RtpHeader& header, std::span<std::uint8_t> out) {
    if (contexts_.empty()) return std::nullopt;
    Opened opened = proven_ ? open_with(active_, guess_count(header.sequence), header, out) : std::nullopt;
    if (!opened) opened = search(header, out);
    if (!opened) {
        ++failures_;
        return std::nullopt;
    }
    failures_ = 0;
    if (!header.has_padding()) return opened;
    const std::size_t padding = opened->empty() ? 0 : opened->back();
    if (padding == 0 || padding > opened->size()) return std::nullopt;
    return opened->first(opened->size() - padding);
}

SrtpStream::Opened SrtpStream::open_with(std::size_t which, std::uint32_t count, const RtpHeader& header,
                                         std::span<std::uint8_t> out) {
    const Opened opened = contexts_[which]->open(header, count, out);
    if (!opened) return opened;
    const std::int64_t ahead = (std::int64_t{count} << 16 | header.sequence) - (std::int64_t{count_} << 16 | highest_);
    if (!proven_ || which != active_ || ahead > 0 || ahead < -kReorder) {
        count_ = count;
        highest_ = header.sequence;
    }
    active_ = which;
    proven_ = true;
    return opened;
}

// Newest keys first: a re-INVITE's are what most likely comes next. Every packet that fails costs a few tries a key;
// only some of them the long search for a count: not the first ones, so that a flood of new SSRCs cannot buy it.
SrtpStream::Opened SrtpStream::search(const RtpHeader& header, std::span<std::uint8_t> out) {
    const bool deep = failures_ == 2 || failures_ == 3 || failures_ % 64 == 63;
    const std::uint32_t guess = proven_ ? guess_count(header.sequence) : 0;
    const std::array<std::uint32_t, 3> likely{guess, count_, 0};
    for (std::size_t which = contexts_.size(); which-- > 0;) {
        for (auto count = likely.begin(); count != likely.end(); ++count) {
            if (std::find(likely.begin(), count, *count) != count) continue;
            if (const Opened opened = open_with(which, *count, header, out)) return opened;
        }
        for (std::uint32_t count = 1; deep && count <= kMaxRollOvers; ++count)
            if (const Opened opened = open_with(which, count, header, out)) return opened;
    }
    return std::nullopt;
}

// RFC 3711 §3.3.1: of the counts next to the last one, that which brings the number nearest to the highest.
std::uint32_t SrtpStream::guess_count(std::uint16_t sequence) const {
    const int ahead = sequence - highest_;
    if (ahead > 0x8000 && count_ > 0) return count_ - 1;
    if (ahead < -0x8000) return count_ + 1;
    return count_;
}

}  // namespace spantape
