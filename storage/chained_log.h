// SPDX-License-Identifier: AGPL-3.0-or-later
// A log that cannot be changed without it being seen: one JSON object a line, each with its number, the SHA-256 of the
// line before, and a signature by the appliance's key:
//
//   {"n":7,"time":1767225600.250000,MEMBERS,"previous":"SHA-256 of line 6","signature":"…"}
//
// `previous` is taken over the bytes of that line without its line feed; of the first line it is 64 zeros. The
// signature (Ed25519, 128 hexadecimal digits) runs over the line without it: the same text with `}` in place of
// `,"signature":"…"}`. FILE.head holds number and SHA-256 of the last line that was synced, signed likewise, so that a
// log whose end was cut off is found too. What this cannot show is a copy of log and head from an earlier day put back
// in their place: keep the number of `spantape audit --check` elsewhere if that matters.
//
// Appends come from any thread and never wait for the disk (unless they ask to): a thread of the log's own writes them.
// Several processes may append to one file; they take turns by flock(2).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "storage/signing_key.h"

namespace spantape {

inline constexpr std::size_t kMaxLogLineBytes = 64u << 10;

class ChainedLog {
public:
    // Makes the file and its directory when they are not there. A torn last line, which a crash leaves, is cut off.
    // After that and after damage at the end of the file the log goes on, and its next line says so (`what`:
    // "torn_line_cut", "chain_broken"). say: one line for an operator when the disk fails; from the log's thread.
    static Result<std::unique_ptr<ChainedLog>> open(const std::string& path, SigningKey key,
                                                    std::function<void(const std::string&)> say = {});
    // Writes what is queued.
    virtual ~ChainedLog() = default;

    // members: the line's own; not n, time, previous, signature. The time is now. One that makes its line longer than
    // kMaxLogLineBytes is an error.
    // durable: waits until the line is synced; an error says why it is not yet (it is tried again until it is).
    virtual Result<> append(boost::json::object members, bool durable = false) = 0;
    // Waits until all that was appended is synced, or writing failed.
    virtual Result<> sync() = 0;
};

// One line, judged.
struct LogLine {
    std::uint64_t n = 0;
    TimeNs time_ns = 0;
    std::string previous;
    boost::json::object members;  // all of the line's
    std::string signed_text;
    std::string signature;
};
// text: without the line feed. An error says what is no line of a log in it.
Result<LogLine> parse_log_line(std::string_view text);

// visit: each line that reads, in order, with its line number; false ends. Lines that do not read are passed over:
// check_log() names them. A log that is not there has no lines.
Result<> read_log(const std::string& path, const std::function<bool(std::uint64_t line, const LogLine&)>& visit);

struct LogProblem {
    std::uint64_t line = 0;  // in the file, from 1; 0: the log as a whole
    std::string what;
};
struct LogCheck {
    std::uint64_t lines = 0;
    std::uint64_t last_n = 0;
    std::vector<LogProblem> problems;  // the first hundred
    std::uint64_t problem_count = 0;
};
// Goes over the whole log and its head. A log that never began (neither file nor head) is whole. An error: it cannot be
// read at all.
Result<LogCheck> check_log(const std::string& path, const VerifyingKey& key);

}  // namespace spantape
