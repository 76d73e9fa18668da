// SPDX-License-Identifier: AGPL-3.0-or-later
// The segment writer: buffers filled in order, written in block-aligned pieces, held until a sync has made them
// durable, so that after an I/O error they can be written again in a new segment.
//
//   buffer   |#### piece ####|#### piece ####|..open..|      a place in one segment: file offset = base + offset
//            0            durable        submitted  used     (each at most the next)
//
// A piece is numbered (its place in pieces_); barriers, syncs and durability are counted in piece numbers.
#include "storage/segment/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <random>
#include <utility>

#include <unistd.h>

#include "storage/segment/record.h"
#include "storage/segment/uring.h"

namespace spantape {

namespace {

constexpr std::uint64_t kSyncTag = std::uint64_t{1} << 63;  // with the segment's number; else a piece's number
constexpr std::uint64_t kNever = ~std::uint64_t{0};

struct Buffer {
    std::uint32_t segment = 0;
    std::int64_t base = 0;  // file offset of the buffer's first byte; negative when only a rest was moved
    std::size_t limit = 0;  // how much of it the segment has room for
    std::size_t used = 0;
    std::size_t submitted = 0;
    std::size_t durable = 0;
    bool closed = false;

    [[nodiscard]] std::uint64_t offset_of(std::size_t at) const {
        return static_cast<std::uint64_t>(base + static_cast<std::int64_t>(at));
    }
};

struct Piece {
    std::size_t buffer = 0;
    std::size_t from = 0;
    std::size_t to = 0;
    bool written = false;
};

struct Segment {
    std::uint32_t number = 0;
    int file = -1;
    std::uint64_t end = kBlockBytes;      // of what was submitted
    std::uint64_t durable = kBlockBytes;  // of what is durable
    std::uint64_t retire_at = kNever;     // abandoned after an error: cut and closed when this piece is durable
    bool full = false;                    // nothing more comes; cut and closed when all of it is durable
};

struct Epoch {
    std::uint64_t number = 0;
    std::uint64_t barrier = 0;  // durable when all pieces before this number are
};

std::uint64_t random_salt() {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
}

class SegmentWriterImpl final : public SegmentWriter {
public:
    SegmentWriterImpl(SegmentOptions options, std::uint32_t first_segment, std::unique_ptr<BlockDevice> device)
        : options_(std::move(options)),
          device_(std::move(device)),
          buffers_(options_.buffers),
          next_number_(first_segment),
          salt_(random_salt()) {
        for (std::size_t i = buffers_.size(); i > 0; --i) free_.push_back(i - 1);
    }

    ~SegmentWriterImpl() override {
        if (flush()) static_cast<void>(reap(true));
        while (in_flight_ > 0 && device_->next(true)) --in_flight_;
        for (Segment& segment : segments_) retire(segment, segment.end);
        for (Segment& segment : abandoned_) device_->close(segment.file);
    }
    SegmentWriterImpl(const SegmentWriterImpl&) = delete;
    SegmentWriterImpl& operator=(const SegmentWriterImpl&) = delete;

    Result<std::span<std::byte>> reserve(std::uint32_t bytes) override {
        if (bytes < sizeof(RecordHeader) || bytes > kMaxRecordBytes) {
            return fail("segment record of {} bytes: between {} and {} fit", bytes, sizeof(RecordHeader),
                        kMaxRecordBytes);
        }
        if (auto settled = settle(); !settled) return std::unexpected(settled.error());
        const std::size_t need = align_up(bytes, kRecordAlignment);
        if (has_open() && open_buffer().used + need > open_buffer().limit) close_open();
        if (!has_open()) {
            if (auto opened = open_next(need); !opened) return std::unexpected(opened.error());
        }
        reserved_ = bytes;
        return device_->buffer(held_.back()).subspan(open_buffer().used, bytes);
    }

    using SegmentWriter::commit;
    RecordPosition commit(const DataKey* key) override {
        Buffer& buffer = open_buffer();
        const auto room = device_->buffer(held_.back()).subspan(buffer.used);
        RecordHeader header;
        std::memcpy(&header, room.data(), sizeof header);
        check_invariant(header.total_bytes >= header.header_bytes && header.header_bytes >= sizeof header &&
                            header.total_bytes <= reserved_,
                        "a record was committed that is longer than its reservation");
        const auto record = room.first(header.total_bytes);
        // Never in the clear what was to be encrypted; there is no input for which AES-GCM fails.
        check_invariant(key == nullptr || encrypt_record(record, salt_, *key, box_), "a record cannot be encrypted");
        seal_record(record, salt_);
        std::memcpy(&committed_, record.data(), sizeof committed_);
        const std::size_t taken = align_up(header.total_bytes, kRecordAlignment);
        std::memset(room.data() + header.total_bytes, 0, taken - header.total_bytes);
        const RecordPosition position{buffer.segment, buffer.offset_of(buffer.used), header.total_bytes};
        buffer.used += taken;
        reserved_ = 0;
        unflushed_ = true;
        return position;
    }

    [[nodiscard]] const RecordHeader& committed() const override { return committed_; }

    Result<std::uint64_t> flush() override {
        if (auto settled = settle(); !settled) return std::unexpected(settled.error());
        if (has_open()) submit_open();
        if (unflushed_) epochs_.push_back({++epoch_, next_piece()});
        unflushed_ = false;
        advance();
        return epoch_;
    }

    Result<> reap(bool wait) override {
        if (auto settled = settle(); !settled) return settled;
        do {
            if (auto turned = turn(wait && !epochs_.empty()); !turned) return turned;
        } while (wait && !epochs_.empty());
        return {};
    }

    [[nodiscard]] std::uint64_t durable_epoch() const override { return durable_epoch_; }
    std::vector<MovedRange> take_moved() override { return std::exchange(moved_, {}); }
    [[nodiscard]] int completion_fd() const override { return device_->completion_fd(); }

    [[nodiscard]] RecordPosition position() const override {
        if (has_open()) return {buffers_[held_.back()].segment, buffers_[held_.back()].offset_of(open_used()), 0};
        if (segments_.empty()) return {next_number_, kBlockBytes, 0};
        return {segments_.back().number, segments_.back().end, 0};
    }

private:
    static void check_invariant(bool holds, const char* what) {
        if (holds) return;
        fmt::print(stderr, "segment writer: {}\n", what);
        std::abort();
    }

    [[nodiscard]] bool has_open() const { return !held_.empty() && !buffers_[held_.back()].closed; }
    Buffer& open_buffer() { return buffers_[held_.back()]; }
    [[nodiscard]] std::size_t open_used() const { return buffers_[held_.back()].used; }
    [[nodiscard]] std::uint64_t next_piece() const { return durable_pieces_ + pieces_.size(); }
    Piece& piece(std::uint64_t number) { return pieces_[number - durable_pieces_]; }

    Segment* segment(std::uint32_t number) {
        const auto found = std::ranges::find(segments_, number, &Segment::number);
        return found == segments_.end() ? nullptr : &*found;
    }
    int file_of(const Buffer& buffer) {
        const Segment* found = segment(buffer.segment);
        check_invariant(found != nullptr, "a buffer lies in no open segment");
        return found->file;
    }

    // A free buffer at the next place with room for `need` bytes; waits for one.
    Result<> open_next(std::size_t need) {
        while (free_.empty()) {
            sync_barrier_ = std::min(sync_barrier_, next_piece());
            if (auto turned = turn(true); !turned) return turned;
        }
        if (auto placed = make_room(need); !placed) return placed;
        const Segment& current = segments_.back();
        Buffer buffer;
        buffer.segment = current.number;
        buffer.base = static_cast<std::int64_t>(current.end);
        buffer.limit = std::min<std::uint64_t>(kBufferBytes, options_.segment_bytes - current.end);
        buffers_[free_.back()] = buffer;
        held_.push_back(free_.back());
        free_.pop_back();
        return {};
    }

    // Sees to it that the current segment has `need` bytes left.
    Result<> make_room(std::size_t need) {
        if (!segments_.empty() && !segments_.back().full) {
            if (segments_.back().end + need <= options_.segment_bytes) return {};
            segments_.back().full = true;
        }
        SegmentHeader header;
        header.segment = next_number_;
        header.core_id = options_.core_id;
        header.created_ns = wall_clock_ns();
        header.segment_bytes = options_.segment_bytes;
        header.salt = salt_;
        seal_segment_header(header);
        auto made = device_->create(segment_path(options_.directory, next_number_), options_.segment_bytes,
                                    std::as_bytes(std::span(&header, 1)));
        if (!made) return std::unexpected(made.error());
        Segment next;
        next.number = next_number_++;
        next.file = *made;
        segments_.push_back(next);
        retire_segments();
        return {};
    }

    // Writes the open buffer's rest, padded to a block.
    void submit_open() {
        Buffer& buffer = open_buffer();
        if (buffer.used == buffer.submitted) return;
        const std::size_t end = align_up(buffer.used, kBlockBytes);
        if (end > buffer.used) {
            write_padding(device_->buffer(held_.back()).subspan(buffer.used, end - buffer.used), salt_);
        }
        buffer.used = end;
        pieces_.push_back({held_.back(), buffer.submitted, end, false});
        buffer.submitted = end;
        start(next_piece() - 1);
    }
    void close_open() {
        submit_open();
        open_buffer().closed = true;
        release_buffers();
        // Buffers come back only after a sync: do not wait until all of them are held.
        if (held_.size() >= buffers_.size() / 2) sync_barrier_ = std::min(sync_barrier_, next_piece());
        advance();
    }

    void start(std::uint64_t number) {
        const Piece& what = piece(number);
        const Buffer& buffer = buffers_[what.buffer];
        Segment* where = segment(buffer.segment);
        check_invariant(where != nullptr, "a piece lies in no open segment");
        where->end = std::max(where->end, buffer.offset_of(what.to));
        device_->start_write(where->file, what.buffer, what.from, what.to - what.from, buffer.offset_of(what.from),
                             number);
        ++in_flight_;
    }

    // Takes what has completed; with wait, one completion at least if any is under way.
    Result<> turn(bool wait) {
        advance();
        while (auto completion = device_->next(wait)) {
            wait = false;
            --in_flight_;
            if (auto taken = take(*completion); !taken) return abandon(taken.error());
        }
        advance();
        return {};
    }

    Result<> take(const BlockDevice::Completion& completion) {
        if ((completion.tag & kSyncTag) != 0) {
            const auto number = static_cast<std::uint32_t>(completion.tag);
            if (completion.result < 0) return io_error(number, segment(number)->durable, "sync", completion.result);
            if (--syncs_ == 0) synced();
            return {};
        }
        Piece& done = piece(completion.tag);
        const Buffer& buffer = buffers_[done.buffer];
        if (completion.result != static_cast<std::int64_t>(done.to - done.from)) {
            return io_error(buffer.segment, buffer.offset_of(done.from), "write", completion.result);
        }
        done.written = true;
        return {};
    }

    Result<> io_error(std::uint32_t number, std::uint64_t offset, const char* what, std::int64_t result) {
        const std::string why = result < 0 ? strerror(static_cast<int>(-result)) : fmt::format("{} bytes only", result);
        return fail("{} at {}: {}: {}", segment_path(options_.directory, number), offset, what, why);
    }

    // Starts a sync when all that somebody waits for is written.
    void advance() {
        while (written_ < next_piece() && piece(written_).written) ++written_;
        while (!epochs_.empty() && epochs_.front().barrier <= durable_pieces_) {
            durable_epoch_ = epochs_.front().number;
            epochs_.pop_front();
        }
        if (sync_barrier_ <= durable_pieces_) sync_barrier_ = kNever;
        const std::uint64_t barrier = std::min(sync_barrier_, epochs_.empty() ? kNever : epochs_.front().barrier);
        if (syncs_ > 0 || written_ < barrier) return;
        sync_target_ = written_;
        std::uint32_t last = 0;
        for (std::uint64_t number = durable_pieces_; number < sync_target_; ++number) {
            const Buffer& buffer = buffers_[piece(number).buffer];
            if (number > durable_pieces_ && buffer.segment == last) continue;
            last = buffer.segment;  // pieces are in segment order
            device_->start_sync(file_of(buffer), kSyncTag | last);
            ++syncs_;
            ++in_flight_;
        }
    }

    void synced() {
        while (durable_pieces_ < sync_target_) {
            const Piece& done = pieces_.front();
            Buffer& buffer = buffers_[done.buffer];
            buffer.durable = done.to;
            segment(buffer.segment)->durable = buffer.offset_of(done.to);
            pieces_.pop_front();
            ++durable_pieces_;
        }
        release_buffers();
        retire_segments();
    }

    void release_buffers() {
        while (!held_.empty() && buffers_[held_.front()].closed &&
               buffers_[held_.front()].durable == buffers_[held_.front()].submitted) {
            free_.push_back(held_.front());
            held_.pop_front();
        }
    }

    // Cuts the unused tail, so that disk usage is honest.
    void retire(const Segment& segment, std::uint64_t bytes) {
        static_cast<void>(device_->truncate(segment.file, bytes));  // else recovery cuts it
        device_->close(segment.file);
    }
    void retire_segments() {
        while (!segments_.empty() && segments_.front().full && segments_.front().durable == segments_.front().end) {
            retire(segments_.front(), segments_.front().durable);
            segments_.pop_front();
        }
        while (!abandoned_.empty() && abandoned_.front().retire_at <= durable_pieces_) {
            retire(abandoned_.front(), abandoned_.front().durable);
            if (abandoned_.front().durable == kBlockBytes) {
                device_->remove(segment_path(options_.directory, abandoned_.front().number));
            }
            abandoned_.pop_front();
        }
    }

    // An I/O error: nothing not yet durable is trusted, whatever segment it went to, so that order is kept. The data
    // is still in the buffers; settle() writes it again. The files stay until that is durable.
    Result<> abandon(const Error& error) {
        while (in_flight_ > 0 && device_->next(true)) --in_flight_;
        for (Segment& segment : segments_) {
            segment.retire_at = next_piece();
            abandoned_.push_back(segment);
        }
        segments_.clear();
        syncs_ = 0;
        written_ = durable_pieces_;
        moved_buffers_ = 0;
        unsettled_ = true;
        return std::unexpected(error);
    }

    Result<> settle() {
        if (!unsettled_) return {};
        for (; moved_buffers_ < held_.size(); ++moved_buffers_) {
            if (auto moved = move(buffers_[held_[moved_buffers_]]); !moved) return moved;
        }
        unsettled_ = false;
        for (std::uint64_t number = durable_pieces_; number < next_piece(); ++number) {
            piece(number).written = false;
            start(number);
        }
        advance();
        return {};
    }

    Result<> move(Buffer& buffer) {
        const std::size_t rest = (buffer.closed ? buffer.submitted : buffer.limit) - buffer.durable;
        if (auto placed = make_room(rest); !placed) return placed;
        Segment& current = segments_.back();
        if (buffer.used > buffer.durable) {
            moved_.push_back({buffer.segment, buffer.offset_of(buffer.durable), buffer.used - buffer.durable,
                              current.number, current.end});
        }
        buffer.segment = current.number;
        buffer.base = static_cast<std::int64_t>(current.end) - static_cast<std::int64_t>(buffer.durable);
        current.end += buffer.submitted - buffer.durable;
        return {};
    }

    SegmentOptions options_;
    std::unique_ptr<BlockDevice> device_;

    std::vector<Buffer> buffers_;
    std::vector<std::size_t> free_;
    std::deque<std::size_t> held_;  // in order of their bytes; the last may be open
    std::uint32_t reserved_ = 0;    // bytes promised by reserve()

    std::deque<Segment> segments_;   // the last is current
    std::deque<Segment> abandoned_;  // after errors
    std::uint32_t next_number_;
    std::uint64_t salt_;
    SealedBox box_;
    RecordHeader committed_;

    std::deque<Piece> pieces_;             // not durable yet
    std::uint64_t durable_pieces_ = 0;     // number of the first of them
    std::uint64_t written_ = 0;            // all before it are written
    std::uint64_t sync_target_ = 0;        // what the sync under way covers
    std::uint64_t sync_barrier_ = kNever;  // a sync is wanted as soon as all before it are written
    std::size_t syncs_ = 0;                // under way
    std::size_t in_flight_ = 0;            // operations under way

    std::deque<Epoch> epochs_;  // not durable yet
    std::uint64_t epoch_ = 0;
    std::uint64_t durable_epoch_ = 0;
    bool unflushed_ = false;  // something was committed since the last epoch

    bool unsettled_ = false;  // after an error: held buffers are still to be moved and written again
    std::size_t moved_buffers_ = 0;
    std::vector<MovedRange> moved_;
};

}  // namespace

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::open(const SegmentOptions& options, std::uint32_t first_segment) {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) return fail("{}: cannot make the directory: {}", options.directory, error.message());
    if (access(options.directory.c_str(), W_OK | X_OK) != 0) {
        return fail("{}: cannot write there: {}", options.directory, strerror(errno));
    }
    auto device = open_uring_device(options.buffers, kBufferBytes);
    if (!device) return std::unexpected(device.error());
    return open(options, first_segment, std::move(*device));
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::open(const SegmentOptions& options, std::uint32_t first_segment,
                                                           std::unique_ptr<BlockDevice> device) {
    if (options.segment_bytes < 2 * kBufferBytes || options.segment_bytes % kBlockBytes != 0) {
        return fail("segments of {} bytes: a multiple of {}, at least {}, is needed", options.segment_bytes,
                    kBlockBytes, 2 * kBufferBytes);
    }
    if (options.buffers < 2 || options.buffers > 128) return fail("{} write buffers: 2 to 128 work", options.buffers);
    return std::make_unique<SegmentWriterImpl>(options, first_segment, std::move(device));
}

}  // namespace spantape
