// SPDX-License-Identifier: AGPL-3.0-or-later
// Reading a chained log, and finding what was done to it.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>

#include "storage/chained_log.h"
#include "storage/chained_log_file.h"

namespace spantape {

namespace {

using namespace chained_log;

constexpr std::size_t kWindowBytes = 1u << 20;
constexpr std::size_t kMostProblems = 100;

// Calls visit(line, text, whole) for each line up to `bytes`; whole: it ends in a line feed. A line of more than a
// window comes in its first window's bytes only.
Result<> for_each_line(int file, std::uint64_t bytes,
                       const std::function<bool(std::uint64_t, std::string_view, bool)>& visit) {
    std::string held;
    bool passing = false;  // over the rest of a line that is too long
    std::uint64_t line = 0;
    for (std::uint64_t at = 0; at < bytes;) {
        auto piece = read_at(file, at, static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, bytes - at)));
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) break;
        at += piece->size();
        std::string_view rest = *piece;
        for (;;) {
            const std::size_t end = rest.find('\n');
            if (!passing) held += rest.substr(0, end);
            if (end == std::string_view::npos) break;
            if (!passing && !visit(++line, held, true)) return {};
            held.clear();
            passing = false;
            rest.remove_prefix(end + 1);
        }
        if (held.size() > kWindowBytes) {
            if (!visit(++line, held, true)) return {};
            held.clear();
            passing = true;
        }
    }
    if (!held.empty()) visit(++line, held, false);
    return {};
}

class Checker {
public:
    Checker(const VerifyingKey& key, std::optional<Head> head) : key_(key), head_(std::move(head)) {}

    void take(std::uint64_t number, std::string_view text, bool whole) {
        check_.lines = number;
        if (!whole) return problem(number, "is torn: it does not end");
        const std::string hash = sha256_hex(text);
        const bool sound = judge(number, text, hash);
        previous_hash_ = hash;
        previous_sound_ = sound;
    }

    LogCheck finish() {
        if (head_ && head_->n > greatest_n_)
            problem(check_.lines + 1, fmt::format("to line {}: cut off; the log ends at number {}, and {} were written",
                                                  head_->n, greatest_n_, head_->n));
        check_.last_n = greatest_n_;
        return std::move(check_);
    }

    void problem(std::uint64_t line, std::string what) {
        ++check_.problem_count;
        if (check_.problems.size() < kMostProblems) check_.problems.push_back({line, std::move(what)});
    }

private:
    // Whether the line is one that we wrote, wherever it stands now.
    bool judge(std::uint64_t number, std::string_view text, const std::string& hash) {
        const auto line = parse_log_line(text);
        if (!line) {
            ++unsound_;
            return problem(number, fmt::format("is none of this log: {}", line.error().message)), false;
        }
        if (!key_.verify(line->signed_text, line->signature)) {
            ++unsound_;
            return problem(number, "was changed, or signed by another key: its signature does not fit"), false;
        }
        if (head_ && line->n == head_->n && hash != head_->hash)
            problem(number, fmt::format("is not the line of number {} that the head names", line->n));
        // Unsound lines before this one were changed, and have had their numbers, or were inserted, and have had none.
        const std::uint64_t expected = greatest_n_ + 1 + std::exchange(unsound_, 0);
        const bool in_place = line->n > greatest_n_ && line->n <= expected;
        if (line->n > expected)
            problem(number,
                    fmt::format("has number {}: lines {} to {} before it are missing", line->n, expected, line->n - 1));
        else if (!in_place)
            problem(number, fmt::format("has number {}, which was here before or belongs further up", line->n));
        else if (previous_sound_ && line->previous != previous_hash_)
            problem(number, "does not follow the line before it: that one was exchanged");
        greatest_n_ = std::max(greatest_n_, line->n);
        return in_place;
    }

    const VerifyingKey& key_;
    std::optional<Head> head_;
    LogCheck check_;
    std::uint64_t greatest_n_ = 0;
    std::uint64_t unsound_ = 0;  // lines since the last sound one
    std::string previous_hash_ = no_hash();
    bool previous_sound_ = true;
};

}  // namespace

Result<> read_log(const std::string& path, const std::function<bool(std::uint64_t, const LogLine&)>& visit) {
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) return {};
    if (!file) return fail("{}: {}", path, strerror(errno));
    const auto bytes = size_of(file.get());
    if (!bytes) return fail("{}: {}", path, bytes.error().message);
    auto read = for_each_line(file.get(), *bytes, [&](std::uint64_t number, std::string_view text, bool whole) {
        const auto line = whole ? parse_log_line(text) : fail("torn");
        return !line || visit(number, *line);
    });
    return read ? read : fail("{}: {}", path, read.error().message);
}

Result<LogCheck> check_log(const std::string& path, const VerifyingKey& key) {
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno != ENOENT) return fail("{}: {}", path, strerror(errno));
    const File head_file(open(head_path(path).c_str(), O_RDONLY | O_CLOEXEC));
    if (!head_file && errno != ENOENT) return fail("{}: {}", head_path(path), strerror(errno));
    if (!file && !head_file) return LogCheck{};

    // Both as they are between two appends; what comes later is not looked at.
    Result<std::uint64_t> bytes = 0;
    Result<std::string> head_text = std::string();
    {
        const Lock lock(file ? file.get() : head_file.get(), LOCK_SH);
        if (file) bytes = size_of(file.get());
        if (head_file) head_text = read_at(head_file.get(), 0, kHeadBytes);
    }
    if (!bytes) return fail("{}: {}", path, bytes.error().message);
    if (!head_text) return fail("{}: {}", head_path(path), head_text.error().message);
    const auto head = parse_head(*head_text, log_name(path), key);

    Checker checker(key, head);
    if (!head_file)
        checker.problem(0, "has lost its head: whether its end was cut off cannot be told");
    else if (!head)
        checker.problem(0, "has a head that was changed, or signed by another key");
    if (file) {
        auto read = for_each_line(file.get(), *bytes, [&](std::uint64_t number, std::string_view text, bool whole) {
            checker.take(number, text, whole);
            return true;
        });
        if (!read) return fail("{}: {}", path, read.error().message);
    }
    return checker.finish();
}

}  // namespace spantape
