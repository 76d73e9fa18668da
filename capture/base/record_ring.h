// SPDX-License-Identifier: AGPL-3.0-or-later
// A ring of variable-length records over borrowed memory, between one producer thread and one consumer thread.
// Each record is stored contiguous and 8-byte aligned; one that would cross the end is preceded by a wrap mark.
// Used for the per-stream frame rings (capture/rtp) and for the signalling packets.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace spantape {

class RecordRing {
public:
    RecordRing() = default;
    RecordRing(const RecordRing&) = delete;
    RecordRing& operator=(const RecordRing&) = delete;

    // memory: 64-byte aligned, its size a power of two of at least 256 bytes; must outlive the ring. Not thread-safe:
    // before the ring is shared, or when neither side uses it.
    void attach(std::span<std::byte> memory) {
        memory_ = consumer_memory_ = memory.data();
        capacity_ = consumer_capacity_ = memory.size();
        reset();
    }
    void reset() {
        tail_.store(0, std::memory_order_relaxed);
        head_.store(0, std::memory_order_relaxed);
        head_copy_ = tail_copy_ = reserved_ = 0;
    }

    // Producer: room for a record of `bytes`, or nullptr when the ring is full; valid until the next reserve.
    std::byte* reserve(std::size_t bytes) {
        const std::size_t need = footprint(bytes);
        if (need > capacity_ / 2) return nullptr;
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        const std::size_t offset = tail & (capacity_ - 1);
        const std::size_t to_end = capacity_ - offset;
        const std::size_t wrap = to_end < need ? to_end : 0;
        if (tail + wrap + need - head_copy_ > capacity_) {
            head_copy_ = head_.load(std::memory_order_acquire);  // bytes before it were consumed
            if (tail + wrap + need - head_copy_ > capacity_) return nullptr;
        }
        if (wrap != 0) header_at(offset) = kWrapMark;
        reserved_ = tail + wrap;
        header_at(reserved_ & (capacity_ - 1)) = bytes;
        return memory_ + (reserved_ & (capacity_ - 1)) + sizeof(std::uint64_t);
    }
    // Producer: publishes the record last reserved.
    void commit() {
        const std::size_t bytes = header_at(reserved_ & (capacity_ - 1));
        tail_.store(reserved_ + footprint(bytes), std::memory_order_release);
    }

    // Producer: asks for the memory that a record of `bytes` will be written to.
    void prefetch(std::size_t bytes) const {
        const std::byte* at = memory_ + (tail_.load(std::memory_order_relaxed) & (capacity_ - 1));
        const std::byte* const end = std::min<const std::byte*>(at + footprint(bytes), memory_ + capacity_);
        for (; at < end; at += 64) __builtin_prefetch(at, 1);
    }

    // Consumer: the oldest record, or an empty span; valid until pop().
    std::span<const std::byte> front() {
        std::size_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_copy_) {
            tail_copy_ = tail_.load(std::memory_order_acquire);  // records before it are complete
            if (head == tail_copy_) return {};
        }
        std::size_t offset = head & (consumer_capacity_ - 1);
        if (word_at(consumer_memory_, offset) == kWrapMark) {
            head += consumer_capacity_ - offset;
            head_.store(head, std::memory_order_release);  // the mark was read: its bytes are the producer's again
            offset = 0;
        }
        return {consumer_memory_ + offset + sizeof(std::uint64_t), word_at(consumer_memory_, offset)};
    }
    // Consumer: gives the record returned by front() back.
    void pop() {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        const std::size_t bytes = word_at(consumer_memory_, head & (consumer_capacity_ - 1));
        head_.store(head + footprint(bytes), std::memory_order_release);
    }

    // Consumer: asks for the memory of what lies `ahead` bytes behind the oldest record, a record's worth of it. Pages
    // are where the processor's own look ahead ends.
    void prefetch_ahead(std::size_t ahead) const {
        constexpr std::size_t kBytes = 256;
        const std::size_t at = head_.load(std::memory_order_relaxed) + ahead;
        for (std::size_t line = 0; line < kBytes; line += 64)
            __builtin_prefetch(consumer_memory_ + ((at + line) & (consumer_capacity_ - 1)));
    }

    // Consumer: the record at `position`, which then is that of the next; empty when there is none yet. Records that
    // were popped meanwhile are passed over. Begin with 0. Valid until it is popped.
    std::span<const std::byte> peek(std::size_t& position) {
        std::size_t at = std::max(position, head_.load(std::memory_order_relaxed));
        if (at == tail_copy_) tail_copy_ = tail_.load(std::memory_order_acquire);  // records before it are complete
        if (at == tail_copy_) return {};
        std::size_t offset = at & (consumer_capacity_ - 1);
        if (word_at(consumer_memory_, offset) == kWrapMark) {
            at += consumer_capacity_ - offset;
            offset = 0;
        }
        const std::size_t bytes = word_at(consumer_memory_, offset);
        position = at + footprint(bytes);
        return {consumer_memory_ + offset + sizeof(std::uint64_t), bytes};
    }

    // Any thread; a moment's view.
    [[nodiscard]] std::size_t used_bytes() const {
        const std::size_t head = head_.load(std::memory_order_acquire);  // first: the tail never falls behind it
        return tail_.load(std::memory_order_acquire) - head;
    }
    [[nodiscard]] std::size_t capacity_bytes() const { return consumer_capacity_; }

private:
    static constexpr std::uint64_t kWrapMark = ~std::uint64_t{0};
    static std::size_t footprint(std::size_t bytes) { return (bytes + sizeof(std::uint64_t) + 7) & ~std::size_t{7}; }
    static std::uint64_t& word_at(std::byte* memory, std::size_t offset) {
        return *reinterpret_cast<std::uint64_t*>(memory + offset);
    }
    std::uint64_t& header_at(std::size_t offset) { return word_at(memory_, offset); }

    // A cache line for each side; where the memory is, both must know.
    alignas(64) std::atomic<std::size_t> tail_{0};  // written by the producer
    std::byte* memory_ = nullptr;                   // producer's, up to reserved_
    std::size_t capacity_ = 0;
    std::size_t head_copy_ = 0;
    std::size_t reserved_ = 0;
    alignas(64) std::atomic<std::size_t> head_{0};  // written by the consumer
    std::byte* consumer_memory_ = nullptr;          // consumer's, from here on
    std::size_t consumer_capacity_ = 0;
    std::size_t tail_copy_ = 0;
};

}  // namespace spantape
