// SPDX-License-Identifier: AGPL-3.0-or-later
// Takes back what is on the disk already: rewrites the chunks that hold frames of a blackout's window, in place and
// without those frames. Not the writer's thread: a pool thread's work, on chunks that are durable and indexed.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape {

struct RedactionWindow {
    std::vector<std::uint64_t> streams;
    TimeNs from_ns = 0, to_ns = 0;  // arrivals, from included, to not
};

struct RedactionSummary {
    std::uint64_t chunks = 0;  // rewritten
    std::uint64_t frames = 0;  // taken out of them
    std::uint64_t wiped = 0;   // chunks that were damaged already: overwritten as a whole
};

class Redactor {
public:
    // journal: a file of this store's own. Finishes what a crash interrupted: every redactor of a store is made before
    // anybody reads it. index outlives this.
    static Result<std::unique_ptr<Redactor>> open(SegmentStore segments, const Index& index,
                                                  const std::string& journal);

    // When this returns without error, no byte of the frames is in the segments, and a crash does not bring them back.
    // All of the window's chunks or none: the new ones are durable in the journal before the first old one is
    // overwritten; without room for a journal, they are overwritten all the same. Frames are silence in every export
    // from then on; the recording's length stays. Any thread, one at a time.
    Result<RedactionSummary> redact(const RedactionWindow& window);

private:
    Redactor(SegmentStore segments, const Index& index, std::string journal)
        : segments_(std::move(segments)), index_(index), journal_(std::move(journal)) {}

    struct Rewrite;
    Result<> gather(std::uint64_t stream_id, const RedactionWindow& window, std::vector<Rewrite>& rewrites,
                    RedactionSummary& summary);

    SegmentStore segments_;
    const Index& index_;
    const std::string journal_;
    std::mutex mutex_;
};

// The line of the integrity and the audit log.
[[nodiscard]] boost::json::object redaction_entry(const RedactionWindow& window, const RedactionSummary& redacted);

// The frames of a chunk's body that arrived within [from_ns, to_ns) taken out, the rest moved together; pause and
// resume mark the place where there is room, and filler keeps the length. How many frames there were; an error when
// the body is malformed. Pure.
Result<std::uint64_t> take_out(std::vector<std::byte>& body, TimeNs base_ns, TimeNs from_ns, TimeNs to_ns);

}  // namespace spantape
