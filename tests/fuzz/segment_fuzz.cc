// SPDX-License-Identifier: AGPL-3.0-or-later
// A segment of hostile bytes through recovery, verification and reading. The first byte says whether what looks like a
// record gets its seals made right first: else few inputs would come past them.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "storage/segment/reader.h"
#include "storage/segment/record.h"
#include "storage/segment/writer.h"
#include "storage/verify.h"
#include "tests/storage/memory_index.h"

namespace {

using namespace spantape;

const std::string& directory() {
    static const std::string path = [] {
        std::string name =
            std::string(std::getenv("TMPDIR") != nullptr ? std::getenv("TMPDIR") : "/tmp") + "/spantape-fuzz-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) std::abort();
        return name;
    }();
    return path;
}

void seal_what_looks_like_a_record(std::vector<std::byte>& bytes) {
    SegmentHeader segment;
    if (bytes.size() >= sizeof segment) {
        std::memcpy(&segment, bytes.data(), sizeof segment);
        seal_segment_header(segment);
        std::memcpy(bytes.data(), &segment, sizeof segment);
    }
    for (std::size_t at = kBlockBytes; at + sizeof(ChunkHeader) <= bytes.size(); at += kRecordAlignment) {
        RecordHeader header;
        std::memcpy(&header, bytes.data() + at, sizeof header);
        const std::size_t left = bytes.size() - at;
        if (header.magic != kRecordMagic || header.header_bytes < kPaddingHeaderBytes) continue;
        if (header.header_bytes > header.total_bytes || header.total_bytes > left) continue;
        seal_record(std::span(bytes).subspan(at, header.total_bytes), segment.salt);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    // The segment's first 128 bytes come first, then what lies behind its first block.
    const auto* input = reinterpret_cast<const std::byte*>(data + 1);
    const std::size_t head = std::min<std::size_t>(size - 1, sizeof(SegmentHeader));
    std::vector<std::byte> bytes(kBlockBytes + (size - 1 - head));
    std::memcpy(bytes.data(), input, head);
    std::memcpy(bytes.data() + kBlockBytes, input + head, size - 1 - head);
    if (data[0] % 2 == 1) seal_what_looks_like_a_record(bytes);
    std::ofstream(segment_path(directory(), 1), std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));

    MemoryIndex index;
    const auto recovered = recover(directory(), index);
    if (!recovered || !index.unfinished()->empty()) std::abort();
    const auto report = verify(index, directory());
    if (!report) std::abort();
    SegmentReader reader(directory());
    const auto recordings = *index.search({});
    for (const Recording& recording : recordings) {
        for (const RecordedStream& stream : recording.streams) {
            const auto entries = *index.chunks(stream.stream_id);
            for (const ChunkEntry& entry : entries) {
                const auto chunk = reader.read(entry);
                if (!chunk) continue;
                std::size_t payload_bytes = 0;
                chunk->for_each_frame([&](const StoredFrame& frame) { payload_bytes += frame.payload.size(); });
                if (payload_bytes > chunk->body.size()) std::abort();
            }
        }
    }
    return 0;
}
