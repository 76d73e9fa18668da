// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/cav_file.h"

#include <openssl/evp.h>

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "storage/sealed_box.h"

namespace spantape {
namespace {

constexpr std::string_view kMagic = "SPANCAV1";
constexpr std::size_t kHeaderBytes = 64, kSectionHeaderBytes = 8, kTagBytes = 16;
constexpr std::size_t kAudioBytes = 65'536;
constexpr std::size_t kMostContentBytes = 16u << 20;
constexpr std::size_t kHashBytes = 32;

enum class Kind : std::uint32_t { fields = 1, audio = 2, end = 3 };

using Header = std::array<char, kHeaderBytes>;
using SectionHeader = std::array<char, kSectionHeaderBytes>;

class Sha256 {
public:
    Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
    void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
    std::string finish() {
        std::string hash(kHashBytes, '\0');
        EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(hash.data()), nullptr);
        return hash;
    }

private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

Header header_of(const std::optional<CavSeal>& seal) {
    Header header{};
    kMagic.copy(header.data(), kMagic.size());
    if (!seal) return header;
    const ScryptTerms& terms = seal->terms;
    const std::uint8_t numbers[] = {1, terms.log_rounds, terms.block, terms.parallel};
    std::memcpy(header.data() + 8, numbers, sizeof numbers);
    std::memcpy(header.data() + 12, terms.salt.data(), terms.salt.size());
    return header;
}

SectionHeader section_header(Kind kind, std::size_t bytes) {
    SectionHeader header{};
    const std::uint32_t numbers[] = {static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(bytes)};
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(header.data(), numbers, sizeof numbers);
    return header;
}

// Seals and opens a file's sections, in order.
class Sections {
public:
    explicit Sections(const Header& header) : bound_(header.begin(), header.end()) {}

    bool seal(const SecretKey& key, const SectionHeader& header, std::string& content) {
        SealedBox::Tag tag;
        if (!box_.seal(key, nonce(), bound(header), bytes_of(content), tag)) return false;
        content.append(reinterpret_cast<const char*>(tag.data()), tag.size());
        return true;
    }
    bool open(const SecretKey& key, const SectionHeader& header, std::string& content) {
        if (content.size() < kTagBytes) return false;
        SealedBox::Tag tag;
        std::memcpy(tag.data(), content.data() + content.size() - kTagBytes, kTagBytes);
        content.resize(content.size() - kTagBytes);
        return box_.open(key, nonce(), bound(header), bytes_of(content), tag);
    }

private:
    SealedBox::Nonce nonce() {
        SealedBox::Nonce nonce{};
        std::memcpy(nonce.data() + 4, &number_, sizeof number_);
        ++number_;
        return nonce;
    }
    std::span<const std::byte> bound(const SectionHeader& header) {
        bound_.resize(kHeaderBytes);
        bound_.append(header.begin(), header.end());
        return std::as_bytes(std::span(bound_));
    }
    static std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

    SealedBox box_;
    std::string bound_;
    std::uint64_t number_ = 0;
};

class CavFile final : public ExportedFile {
public:
    CavFile(std::string fields, std::unique_ptr<ExportedFile> audio, const std::optional<CavSeal>& seal)
        : fields_(std::move(fields)), audio_(std::move(audio)), seal_(seal), sections_(header_of(seal)) {}

    std::optional<std::uint64_t> bytes() const override {
        const auto audio = audio_->bytes();
        if (!audio) return std::nullopt;
        const std::uint64_t sections = 2 + (*audio + kAudioBytes - 1) / kAudioBytes;
        const std::size_t around = kSectionHeaderBytes + (seal_ ? kTagBytes : 0);
        return kHeaderBytes + fields_size_ + *audio + 2 * kHashBytes + sections * around;
    }

    Result<std::string> next() override {
        if (std::exchange(stage_, stage_ == Stage::fields ? Stage::audio : stage_) == Stage::fields) {
            const Header header = header_of(seal_);
            Sha256 hash;
            hash.add(fields_);
            fields_hash_ = hash.finish();
            auto section = sealed(Kind::fields, std::exchange(fields_, {}));
            if (!section) return section;
            return std::string(header.begin(), header.end()) + *section;
        }
        if (stage_ == Stage::over) return std::string();
        while (waiting_.size() < kAudioBytes) {
            auto piece = audio_->next();
            if (!piece) return piece;
            if (piece->empty()) break;
            waiting_ += *piece;
        }
        if (waiting_.empty()) {
            stage_ = Stage::over;
            return sealed(Kind::end, fields_hash_ + audio_hash_.finish());
        }
        std::string content = waiting_.substr(0, kAudioBytes);
        waiting_.erase(0, content.size());
        audio_hash_.add(content);
        return sealed(Kind::audio, std::move(content));
    }

private:
    enum class Stage : std::uint8_t { fields, audio, over };

    Result<std::string> sealed(Kind kind, std::string content) {
        const SectionHeader header = section_header(kind, content.size() + (seal_ ? kTagBytes : 0));
        if (seal_ && !sections_.seal(seal_->key, header, content)) return fail("a section cannot be sealed");
        return std::string(header.begin(), header.end()) + content;
    }

    std::string fields_;
    std::size_t fields_size_ = fields_.size();
    std::unique_ptr<ExportedFile> audio_;
    std::optional<CavSeal> seal_;
    Sections sections_;
    Stage stage_ = Stage::fields;
    std::string fields_hash_;
    Sha256 audio_hash_;
    std::string waiting_;
};

// Reading.

// All of `to`, or an error.
Result<> fill(const CavBytes& bytes, std::span<char> to) {
    while (!to.empty()) {
        const auto got = bytes(to);
        if (!got) return std::unexpected(got.error());
        if (*got == 0) return fail("it is cut short");
        to = to.subspan(*got);
    }
    return {};
}

Result<std::optional<SecretKey>> key_for(const Header& header, std::string_view password) {
    if (std::string_view(header.data(), kMagic.size()) != kMagic) return fail("it is no CAV file");
    std::array<std::uint8_t, 4> numbers;
    std::memcpy(numbers.data(), header.data() + 8, numbers.size());
    const auto [sealed, log_rounds, block, parallel] = numbers;
    if (sealed > 1) return fail("it is sealed in a way that this version does not know");
    if (sealed == 0) return std::nullopt;
    if (password.empty()) return fail("it is sealed with a password");
    ScryptTerms terms{log_rounds, block, parallel, {}};
    std::memcpy(terms.salt.data(), header.data() + 12, terms.salt.size());
    auto key = key_of(password, terms);
    if (!key) return std::unexpected(key.error());
    return *key;
}

}  // namespace

Result<CavSeal> CavSeal::of(std::string_view password) {
    auto terms = ScryptTerms::fresh();
    if (!terms) return std::unexpected(terms.error());
    auto key = key_of(password, *terms);
    if (!key) return std::unexpected(key.error());
    return CavSeal{*terms, *key};
}

// The terms as they stand in a file's header, and the key, in hexadecimal.
std::string CavSeal::to_text() const {
    std::string text;
    const auto add = [&](const std::uint8_t* bytes, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
    };
    const std::uint8_t numbers[] = {terms.log_rounds, terms.block, terms.parallel};
    add(numbers, sizeof numbers);
    add(terms.salt.data(), terms.salt.size());
    add(key.data(), SecretKey::kBytes);
    return text;
}

Result<CavSeal> CavSeal::from_text(std::string_view text) {
    std::array<std::uint8_t, 3> numbers{};
    CavSeal seal;
    const auto take = [&](std::uint8_t* bytes, std::size_t count) {
        if (text.size() < 2 * count) return false;
        for (std::size_t i = 0; i < count; ++i) {
            const char* digits = text.data() + 2 * i;
            const auto [end, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
            if (error != std::errc() || end != digits + 2) return false;
        }
        text.remove_prefix(2 * count);
        return true;
    };
    if (!take(numbers.data(), numbers.size()) || !take(seal.terms.salt.data(), seal.terms.salt.size()) ||
        !take(seal.key.data(), SecretKey::kBytes) || !text.empty())
        return fail("the seal of a CAV file is none");
    seal.terms.log_rounds = numbers[0], seal.terms.block = numbers[1], seal.terms.parallel = numbers[2];
    return seal;
}

std::unique_ptr<ExportedFile> cav_file(std::string fields, std::unique_ptr<ExportedFile> audio,
                                       const std::optional<CavSeal>& seal) {
    return std::make_unique<CavFile>(std::move(fields), std::move(audio), seal);
}

Result<> read_cav(const CavBytes& bytes, std::string_view password, const CavVisitor& visitor) {
    Header header;
    if (auto filled = fill(bytes, header); !filled) return filled;
    const auto key = key_for(header, password);
    if (!key) return std::unexpected(key.error());
    Sections sections(header);
    Sha256 fields, audio;
    for (std::uint64_t number = 0;; ++number) {
        SectionHeader section;
        if (auto filled = fill(bytes, section); !filled) return filled;
        std::array<std::uint32_t, 2> words;
        std::memcpy(words.data(), section.data(), section.size());
        const Kind kind{words[0]};
        if (words[1] > kMostContentBytes + kTagBytes)
            return fail("section {} says that it has {} bytes", number, words[1]);
        std::string content(words[1], '\0');
        if (auto filled = fill(bytes, content); !filled) return filled;
        if (*key && !sections.open(**key, section, content))
            return number == 0 ? fail("it is sealed with another password, or altered")
                               : fail("section {} is altered", number);
        if ((kind == Kind::fields) != (number == 0)) return fail("section {} is none that belongs there", number);
        if (kind == Kind::fields) {
            fields.add(content);
            if (auto visited = visitor.fields(content); !visited) return visited;
        } else if (kind == Kind::audio) {
            audio.add(content);
            if (auto visited = visitor.audio(content); !visited) return visited;
        } else if (kind == Kind::end) {
            if (content != fields.finish() + audio.finish()) return fail("it is altered: its hashes are others");
            char more = 0;
            const auto rest = bytes(std::span(&more, 1));
            if (!rest) return std::unexpected(rest.error());
            return *rest == 0 ? Result<>() : fail("something follows its end");
        } else {
            return fail("section {} is of kind {}, which this version does not know", number, words[0]);
        }
    }
}

}  // namespace spantape
