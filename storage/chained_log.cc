// SPDX-License-Identifier: AGPL-3.0-or-later
// The writing side. Appends queue under a mutex that is held for moments only; the log's thread takes all that is
// queued, and per batch: locks the file, looks whether its end is still what it left there (another process may have
// appended, somebody may have damaged it), writes, syncs, and then moves the head.
#include "storage/chained_log.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json/serialize.hpp>

#include "storage/chained_log_file.h"
#include "storage/recording.h"

namespace spantape {

namespace {

using namespace chained_log;
namespace json = boost::json;

constexpr std::size_t kMostQueued = 100'000;  // with a disk that is stuck; what comes then is counted, not kept
constexpr std::size_t kTailBytes = 1u << 20;  // looked at when the file is opened
constexpr auto kRetry = std::chrono::seconds(1);

struct Entry {
    TimeNs time_ns = 0;
    std::string members;
};

// The file under its lock.
class Writer {
public:
    Writer(std::string path, SigningKey key)
        : path_(std::move(path)), key_(std::move(key)), verifier_(key_.verifier()) {}

    // All of them synced, or none counts as written.
    Result<> write(const std::deque<Entry>& entries) {
        if (auto ready = open_files(); !ready) return ready;
        const Lock lock(file_.get(), LOCK_EX);
        auto size = size_of(file_.get());
        if (!size) return std::unexpected(size.error());
        if (!known_ || *size != size_) {
            if (auto learned = learn_tail(*size); !learned) return learned;
        }
        std::string text;
        Head last = last_;
        const auto add = [&](const Entry& entry) {
            const std::string line = make_line(++last.n, entry.time_ns, entry.members, last.hash, key_);
            last.hash = sha256_hex(line);
            text += line;
            text += '\n';
        };
        for (const Entry& notice : notices_) add(notice);
        for (const Entry& entry : entries) add(entry);
        if (text.empty()) return {};
        if (auto put = put_text(text); !put) return put;
        size_ += text.size();
        last_ = last;
        notices_.clear();
        // The lines are there, whatever becomes of the head: an older one claims less, which is no harm.
        known_ = put_head();
        return {};
    }

private:
    Result<> open_files() {
        struct stat here{}, there{};
        const bool same = file_ && fstat(file_.get(), &here) == 0 && stat(path_.c_str(), &there) == 0 &&
                          here.st_ino == there.st_ino && here.st_dev == there.st_dev;
        if (same && head_file_) return {};
        known_ = false;
        std::error_code error;
        std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
        if (error) return fail("{}", error.message());
        file_ = File(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
        if (!file_) return fail("{}", strerror(errno));
        head_file_ = File(open(head_path(path_).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
        if (!head_file_) return fail("{}: {}", head_path(path_), strerror(errno));
        const std::string directory = path_.substr(0, path_.rfind('/') + 1);
        const File names(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!names || fsync(names.get()) != 0) return fail("{}: {}", directory, strerror(errno));
        return {};
    }

    Result<> put_text(const std::string& text) {
        auto put = write_all(file_.get(), text, size_);
        if (put && fdatasync(file_.get()) != 0) put = fail("fdatasync: {}", strerror(errno));
        if (put) return {};
        // Half a line would stand before the next one. Where even this fails the next look cuts it.
        known_ = ftruncate(file_.get(), static_cast<off_t>(size_)) == 0;
        return put;
    }

    bool put_head() {
        return write_all(head_file_.get(), make_head(last_, log_name(path_), key_), 0) &&
               fdatasync(head_file_.get()) == 0;
    }

    void notice(json::object members) { notices_.push_back({wall_clock_ns(), json::serialize(members)}); }
    void broken(const std::string& reason) { notice({{"what", "chain_broken"}, {"reason", reason}}); }

    // What the file ends with, and whether that is what it should end with.
    Result<> learn_tail(std::uint64_t size) {
        notices_.clear();
        auto tail = read_tail(size);
        if (!tail) return std::unexpected(tail.error());
        auto head_text = read_at(head_file_.get(), 0, kHeadBytes);
        if (!head_text) return std::unexpected(head_text.error());
        const bool fresh = size_ == 0 && tail->empty() && head_text->empty();
        last_ = {0, no_hash()};
        std::string_view lines = *tail;
        if (!lines.empty()) take_last_line(lines);
        if (!fresh) compare_head(parse_head(*head_text, log_name(path_), verifier_), lines);
        known_ = true;
        return {};
    }

    // The last lines, each with its line feed; what stands behind the last line feed is cut off.
    Result<std::string> read_tail(std::uint64_t size) {
        std::size_t bytes = kTailBytes;
        for (;; bytes *= 2) {
            const std::uint64_t from = size - std::min<std::uint64_t>(size, bytes);
            auto tail = read_at(file_.get(), from, static_cast<std::size_t>(size - from));
            if (!tail) return tail;
            const std::size_t end = tail->rfind('\n') + 1;  // 0 when there is none
            if (from > 0 && (end == 0 || tail->rfind('\n', end - 2) == std::string::npos)) continue;
            size_ = from + end;
            if (end < tail->size()) {
                if (ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return fail("{}", strerror(errno));
                notice({{"what", "torn_line_cut"}, {"bytes", tail->size() - end}});
            }
            tail->resize(end);
            return tail;
        }
    }

    void take_last_line(std::string_view lines) {
        last_.hash = sha256_hex(last_line(lines));
        std::uint64_t unsound = 0;
        for (; !lines.empty(); lines.remove_suffix(last_line(lines).size() + 1), ++unsound) {
            const auto line = parse_log_line(last_line(lines));
            if (!line || !verifier_.verify(line->signed_text, line->signature)) continue;
            last_.n = line->n + unsound;
            break;
        }
        if (unsound > 0) broken("the last line is not one that this key has signed");
    }

    static std::string_view last_line(std::string_view lines) {
        lines.remove_suffix(1);
        return lines.substr(lines.rfind('\n') + 1);  // all when there is none
    }

    void compare_head(const std::optional<Head>& head, std::string_view lines) {
        if (!head) return broken("the head is missing, or not one that this key has signed");
        if (head->n > last_.n) {
            broken(fmt::format("{} lines were written, and the last is number {}", head->n, last_.n));
            last_.n = head->n;  // no number twice
            return;
        }
        for (; !lines.empty(); lines.remove_suffix(last_line(lines).size() + 1)) {
            const std::string_view text = last_line(lines);
            const auto line = parse_log_line(text);
            if (line && line->n > head->n) continue;  // synced, but the head was not yet
            if (line && line->n == head->n && sha256_hex(text) != head->hash)
                broken(fmt::format("line number {} is not the one that the head names", head->n));
            return;
        }
    }

    const std::string path_;
    const SigningKey key_;
    const VerifyingKey verifier_;
    File file_, head_file_;
    bool known_ = false;         // what follows is true of the files
    std::uint64_t size_ = 0;     // of the file
    Head last_{0, no_hash()};    // its last line
    std::deque<Entry> notices_;  // about damage found; before the next lines
};

class QueuedLog final : public ChainedLog {
public:
    QueuedLog(std::string path, SigningKey key, std::function<void(const std::string&)> say)
        : path_(path), say_(std::move(say)), writer_(std::move(path), std::move(key)) {}

    ~QueuedLog() override {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        work_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    Result<> begin() {
        if (auto looked = writer_.write({}); !looked) return fail("{}: {}", path_, looked.error().message);
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), log_name(path_).substr(0, 15).c_str());
        return {};
    }

    Result<> append(json::object members, bool durable) override {
        for (const char* ours : {"n", "time", "previous", "signature"}) members.erase(ours);
        // A line that is no UTF-8 would not read back, and so pass for one that was changed.
        std::string text = valid_utf8(json::serialize(members));
        constexpr std::size_t kBeside = 512;  // number, time, hash, signature
        if (text.size() + kBeside > kMaxLogLineBytes)
            return fail("{}: a line of {} bytes is too long", path_, text.size());
        std::unique_lock lock(mutex_);
        if (queue_.size() >= kMostQueued) {
            ++lost_;
            return fail("{}: too much waits for the disk", path_);
        }
        queue_.push_back({wall_clock_ns(), std::move(text)});
        const std::uint64_t ticket = ++appended_;
        work_.notify_one();
        return durable ? wait_for(ticket, lock) : Result<>{};
    }

    Result<> sync() override {
        std::unique_lock lock(mutex_);
        return wait_for(appended_, lock);
    }

private:
    Result<> wait_for(std::uint64_t ticket, std::unique_lock<std::mutex>& lock) {
        const std::uint64_t failures = failures_;
        done_.wait(lock, [&] { return synced_ >= ticket || failures_ != failures; });
        return synced_ >= ticket ? Result<>{} : fail("{}: {}", path_, failure_);
    }

    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
            if (queue_.empty()) return;
            if (!write_queued(lock) && stop_) return;
        }
    }

    bool write_queued(std::unique_lock<std::mutex>& lock) {
        std::deque<Entry> batch;
        batch.swap(queue_);
        const std::size_t count = batch.size();
        const std::uint64_t lost = std::exchange(lost_, 0);
        if (lost > 0)
            batch.push_back(
                {wall_clock_ns(), json::serialize(json::object{{"what", "entries_lost"}, {"count", lost}})});
        lock.unlock();
        const auto written = writer_.write(batch);
        if (!written && say_) say_(fmt::format("{}: {}; it is tried again", path_, written.error().message));
        lock.lock();
        if (written) {
            synced_ += count;
            done_.notify_all();
            return true;
        }
        if (lost > 0) batch.pop_back(), lost_ += lost;
        queue_.insert(queue_.begin(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
        ++failures_;
        failure_ = written.error().message;
        done_.notify_all();
        work_.wait_for(lock, kRetry, [this] { return stop_; });
        return false;
    }

    const std::string path_;
    const std::function<void(const std::string&)> say_;
    Writer writer_;  // the thread's, once it runs

    std::mutex mutex_;  // of all that follows
    std::condition_variable work_, done_;
    std::deque<Entry> queue_;
    std::uint64_t appended_ = 0, synced_ = 0;  // entries
    std::uint64_t lost_ = 0;
    std::uint64_t failures_ = 0;
    std::string failure_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<ChainedLog>> ChainedLog::open(const std::string& path, SigningKey key,
                                                     std::function<void(const std::string&)> say) {
    auto log = std::make_unique<QueuedLog>(path, std::move(key), std::move(say));
    if (auto begun = log->begin(); !begun) return std::unexpected(begun.error());
    return log;
}

}  // namespace spantape
