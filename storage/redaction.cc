// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/redaction.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>
#include <boost/json/array.hpp>

#include "storage/durable_file.h"
#include "storage/segment/crc32c.h"
#include "storage/segment/record.h"
#include "storage/segment/writer.h"

namespace spantape {

// A chunk as it is to be.
struct Redactor::Rewrite {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::vector<std::byte> record;
};

namespace {

constexpr std::uint64_t kJournalMagic = 0x0a31444552545053;  // "SPTRED1\n"

// The journal: this, then for each record a JournalEntry and its bytes.
struct JournalHeader {
    std::uint64_t magic = kJournalMagic;
    std::uint64_t bytes = 0;  // behind this header
    std::uint32_t records = 0;
    std::uint32_t crc = 0;  // CRC-32C of them
};
struct JournalEntry {
    std::uint64_t offset = 0;
    std::uint32_t segment = 0;
    std::uint32_t bytes = 0;
};

template <class Value>
void append(std::vector<std::byte>& out, const Value& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

// At an arrival that is as near to `at_ns` as an entry can tell.
void append_mark(std::vector<std::byte>& out, FrameKind kind, TimeNs base_ns, TimeNs at_ns) {
    FrameHeader mark;
    mark.flags = static_cast<std::uint8_t>(static_cast<int>(kind) << kFrameKindShift);
    TimeNs apart_ns = 0;
    if (__builtin_sub_overflow(at_ns, base_ns, &apart_ns)) apart_ns = at_ns < base_ns ? INT64_MIN : INT64_MAX;
    apart_ns = std::clamp(apart_ns, TimeNs{INT32_MIN} * 1000, TimeNs{INT32_MAX} * 1000);
    const TimeNs rest_ns = (apart_ns % 1000 + 1000) % 1000;
    mark.arrival_us = static_cast<std::int32_t>((apart_ns - rest_ns) / 1000);
    mark.arrival_ns = static_cast<std::uint16_t>(rest_ns);
    append(out, mark);
}

// Exactly `bytes` of entries that say nothing; 0, or a header's length at least.
void append_filler(std::vector<std::byte>& out, std::size_t bytes) {
    while (bytes > 0) {
        FrameHeader filler;
        filler.flags = static_cast<std::uint8_t>(static_cast<int>(FrameKind::filler) << kFrameKindShift);
        std::size_t take = std::min<std::size_t>(bytes, sizeof filler + UINT16_MAX);
        if (bytes - take > 0 && bytes - take < sizeof filler) take -= sizeof filler;
        filler.payload_bytes = static_cast<std::uint16_t>(take - sizeof filler);
        append(out, filler);
        out.resize(out.size() + filler.payload_bytes);
        bytes -= take;
    }
}

Result<> write_records(const std::string& directory,
                       const std::vector<std::pair<JournalEntry, std::span<const std::byte>>>& records) {
    std::map<std::uint32_t, Descriptor> files;
    for (const auto& [entry, bytes] : records) {
        const std::string path = segment_path(directory, entry.segment);
        auto at = files.find(entry.segment);
        if (at == files.end())
            at = files.emplace(entry.segment, Descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC))).first;
        if (at->second.get() < 0) return fail("{}: {}", path, strerror(errno));
        if (auto put = write_at(at->second.get(), bytes, entry.offset); !put)
            return fail("{} at {}: {}", path, entry.offset, put.error().message);
    }
    for (const auto& [segment, file] : files)
        if (auto synced = sync_file(file.get()); !synced)
            return fail("{}: {}", segment_path(directory, segment), synced.error().message);
    return {};
}

Descriptor open_journal(const std::string& path) {
    return Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
}

// Durable and whole when true; else nobody will act upon it.
bool write_journal(int file, const std::vector<std::byte>& body, std::size_t records) {
    const JournalHeader header{
        .bytes = body.size(), .records = static_cast<std::uint32_t>(records), .crc = crc32c(body)};
    const bool written = file >= 0 && write_at(file, body, sizeof header) &&
                         write_at(file, std::as_bytes(std::span(&header, 1)), 0) && sync_file(file);
    if (!written && file >= 0) static_cast<void>(ftruncate(file, 0));
    return written;
}

Result<> empty(int file) {
    if (ftruncate(file, 0) != 0) return fail("{}", strerror(errno));
    return sync_file(file);
}

// Writes what a whole journal holds; one that is torn was never acted upon.
Result<> replay(const std::string& journal, const std::string& directory) {
    const Descriptor file(::open(journal.c_str(), O_RDWR | O_CLOEXEC));
    if (file.get() < 0) return errno == ENOENT ? Result<>{} : fail("{}: {}", journal, strerror(errno));
    JournalHeader header;
    const auto end = lseek(file.get(), 0, SEEK_END);
    const bool whole = read_at(file.get(), std::as_writable_bytes(std::span(&header, 1)), 0) &&
                       header.magic == kJournalMagic && end >= 0 &&
                       header.bytes == static_cast<std::uint64_t>(end) - sizeof header;
    std::vector<std::byte> body(whole ? header.bytes : 0);
    if (whole && read_at(file.get(), body, sizeof header) && crc32c(body) == header.crc) {
        std::vector<std::pair<JournalEntry, std::span<const std::byte>>> records;
        for (std::span<const std::byte> rest(body); rest.size() >= sizeof(JournalEntry);) {
            JournalEntry entry;
            std::memcpy(&entry, rest.data(), sizeof entry);
            rest = rest.subspan(sizeof entry);
            if (entry.bytes > rest.size()) return fail("{}: a record of {} bytes does not fit", journal, entry.bytes);
            records.emplace_back(entry, rest.first(entry.bytes));
            rest = rest.subspan(entry.bytes);
        }
        if (auto written = write_records(directory, records); !written) return written;
    }
    return empty(file.get());
}

}  // namespace

Result<std::uint64_t> take_out(std::vector<std::byte>& body, TimeNs base_ns, TimeNs from_ns, TimeNs to_ns) {
    std::vector<std::byte> kept, after;
    kept.reserve(body.size());
    std::uint64_t taken = 0;
    std::size_t at = 0;
    while (at < body.size()) {
        FrameHeader entry;
        if (body.size() - at < sizeof entry) return fail("its body is malformed");
        std::memcpy(&entry, body.data() + at, sizeof entry);
        const std::size_t bytes = sizeof entry + entry.payload_bytes;
        if (body.size() - at < bytes) return fail("its body is malformed");
        const TimeNs arrival_ns = base_ns + TimeNs{entry.arrival_us} * 1000 + entry.arrival_ns;
        const bool frame = entry.flags >> kFrameKindShift == static_cast<int>(FrameKind::frame);
        const bool filler = entry.flags >> kFrameKindShift == static_cast<int>(FrameKind::filler);
        const auto from = body.begin() + static_cast<std::ptrdiff_t>(at);
        if (frame && arrival_ns >= from_ns && arrival_ns < to_ns)
            ++taken;
        else if (!filler) {
            auto& to = taken > 0 ? after : kept;
            to.insert(to.end(), from, from + static_cast<std::ptrdiff_t>(bytes));
        }
        at += bytes;
    }
    if (taken == 0) return taken;
    const std::size_t room = body.size() - kept.size() - after.size();
    const bool marks = room >= 3 * sizeof(FrameHeader);
    if (marks) append_mark(kept, FrameKind::pause, base_ns, from_ns);
    if (marks) append_mark(kept, FrameKind::resume, base_ns, to_ns);
    kept.insert(kept.end(), after.begin(), after.end());
    append_filler(kept, body.size() - kept.size());
    body = std::move(kept);
    return taken;
}

boost::json::object redaction_entry(const RedactionWindow& window, const RedactionSummary& redacted) {
    boost::json::array streams;
    for (const std::uint64_t stream_id : window.streams) streams.push_back(fmt::format("{:#x}", stream_id).c_str());
    return {{"what", "redaction"},    {"streams", std::move(streams)}, {"from_ns", window.from_ns},
            {"to_ns", window.to_ns},  {"chunks", redacted.chunks},     {"frames", redacted.frames},
            {"wiped", redacted.wiped}};
}

Result<std::unique_ptr<Redactor>> Redactor::open(SegmentStore segments, const Index& index,
                                                 const std::string& journal) {
    if (auto replayed = replay(journal, segments.directory); !replayed)
        return fail("finishing a redaction: {}", replayed.error().message);
    return std::unique_ptr<Redactor>(new Redactor(std::move(segments), index, journal));
}

Result<> Redactor::gather(std::uint64_t stream_id, const RedactionWindow& window, std::vector<Rewrite>& rewrites,
                          RedactionSummary& summary) {
    const auto entries = index_.chunks(stream_id);
    if (!entries) return std::unexpected(entries.error());
    Descriptor file;
    std::uint32_t open_segment = 0;
    SealedBox box;
    for (const ChunkEntry& entry : *entries) {
        if (entry.last_ns < window.from_ns || entry.first_ns >= window.to_ns || entry.frames == 0) continue;
        const std::string path = segment_path(segments_.directory, entry.segment);
        const auto at = [&](const std::string& why) { return fail("{} at {}: {}", path, entry.offset, why); };
        if (file.get() < 0 || entry.segment != open_segment)
            file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file.get() < 0) return at(strerror(errno));
        open_segment = entry.segment;
        Rewrite rewrite{entry.segment, entry.offset, std::vector<std::byte>(entry.bytes)};
        if (auto got = read_at(file.get(), rewrite.record, entry.offset); !got) return at(got.error().message);
        auto chunk = parse_chunk(rewrite.record, segments_.keyring.get());
        const auto taken = chunk ? take_out(chunk->body, chunk->header.base_ns, window.from_ns, window.to_ns)
                                 : Result<std::uint64_t>(std::unexpected(chunk.error()));
        if (taken && *taken == 0) continue;
        if (!taken) {  // nobody can tell what of it belongs to the window, nor play it: all of it goes
            std::ranges::fill(rewrite.record, std::byte{0});
            rewrites.push_back(std::move(rewrite));
            ++summary.wiped;
            continue;
        }

        RecordHeader& header = chunk->header.record;
        const bool encrypted = (header.flags & kRecordEncrypted) != 0;
        header.flags |= kRecordRedacted;
        ++header.rewrites;
        // A nonce of this key that never was: the first four bytes are the chunk's number, the others random.
        if (RAND_bytes(header.nonce.data() + sizeof(std::uint32_t), 8) != 1) return fail("no random numbers");
        std::memcpy(rewrite.record.data(), &header, sizeof header);
        std::ranges::copy(chunk->body, rewrite.record.begin() + header.header_bytes);
        if (encrypted) {
            const auto key = segments_.keyring->find(header.key_id);
            if (!key) return at(key.error().message);
            if (!encrypt_record(rewrite.record, header.salt, {header.key_id, *key}, box))
                return at("cannot be encrypted");
        }
        seal_record(rewrite.record, header.salt);
        rewrites.push_back(std::move(rewrite));
        ++summary.chunks;
        summary.frames += *taken;
    }
    return {};
}

Result<RedactionSummary> Redactor::redact(const RedactionWindow& window) {
    const std::lock_guard lock(mutex_);
    // After a failure in the middle, the journal holds what is still to be written.
    if (auto replayed = replay(journal_, segments_.directory); !replayed) return std::unexpected(replayed.error());
    RedactionSummary summary;
    std::vector<Rewrite> rewrites;
    for (const std::uint64_t stream_id : window.streams)
        if (auto gathered = gather(stream_id, window, rewrites, summary); !gathered)
            return std::unexpected(gathered.error());
    if (rewrites.empty()) return summary;

    std::vector<std::byte> body;
    std::vector<std::pair<JournalEntry, std::span<const std::byte>>> records;
    for (const Rewrite& rewrite : rewrites) {
        const JournalEntry entry{rewrite.offset, rewrite.segment, static_cast<std::uint32_t>(rewrite.record.size())};
        append(body, entry);
        body.insert(body.end(), rewrite.record.begin(), rewrite.record.end());
        records.emplace_back(entry, rewrite.record);
    }
    const Descriptor journal = open_journal(journal_);
    // Where there is no journal, as on a full disk, what is to go goes all the same: a crash then may tear chunks.
    const bool journalled = write_journal(journal.get(), body, records.size());
    if (auto written = write_records(segments_.directory, records); !written) return std::unexpected(written.error());
    if (journalled)
        if (auto emptied = empty(journal.get()); !emptied) return fail("{}: {}", journal_, emptied.error().message);
    return summary;
}

}  // namespace spantape
