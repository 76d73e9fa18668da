// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/stream_seal.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <openssl/evp.h>

#include "storage/durable_file.h"

namespace spantape {

namespace {

// One a thread: a digest's memory, and the digest looked up once.
EVP_MD_CTX* digest() {
    struct Digest {
        Digest() : context(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }
        ~Digest() { EVP_MD_CTX_free(context); }
        EVP_MD_CTX* context;
    };
    static thread_local const Digest kDigest;
    return kDigest.context;
}

}  // namespace

void StreamSeal::extend(std::uint32_t chunk_number, const RecordHeader& header) {
    struct {
        std::array<std::uint8_t, 32> before;
        std::uint32_t number, seal;
        std::array<std::uint8_t, 16> tag;
    } const text{hash, chunk_number, header.seal, header.tag};
    static_assert(sizeof text == 56);
    EVP_MD_CTX* context = digest();
    EVP_DigestInit_ex(context, nullptr, nullptr);
    EVP_DigestUpdate(context, &text, sizeof text);
    EVP_DigestFinal_ex(context, hash.data(), nullptr);
    ++chunks;
}

std::string StreamSeal::hex() const {
    std::string text;
    for (const std::uint8_t byte : hash) text += fmt::format("{:02x}", byte);
    return text;
}

Result<StreamSeal> seal_of_stream(const Index& index, const std::string& segment_directory, std::uint64_t stream_id,
                                  std::uint32_t chunks) {
    const auto entries = index.chunks(stream_id);
    if (!entries) return std::unexpected(entries.error());
    if (entries->size() < chunks) return fail("stream {:#x} has {} chunks of {}", stream_id, entries->size(), chunks);
    StreamSeal seal;
    Descriptor file;
    std::uint32_t open_segment = 0;
    for (std::uint32_t i = 0; i < chunks; ++i) {
        const ChunkEntry& entry = (*entries)[i];
        const std::string path = segment_path(segment_directory, entry.segment);
        if (file.get() < 0 || entry.segment != open_segment)
            file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file.get() < 0) return fail("{}: {}", path, strerror(errno));
        open_segment = entry.segment;
        RecordHeader header;
        if (auto got = read_at(file.get(), std::as_writable_bytes(std::span(&header, 1)), entry.offset); !got)
            return fail("{} at {}: {}", path, entry.offset, got.error().message);
        if (header.magic != kRecordMagic) return fail("{} at {}: no record is there", path, entry.offset);
        seal.extend(entry.chunk_number, header);
    }
    return seal;
}

}  // namespace spantape
