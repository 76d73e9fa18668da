// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/file_source.h"

#include <algorithm>
#include <functional>

namespace spantape {

FileSource::FileSource(std::vector<Input> inputs, Pace pace) : inputs_(std::move(inputs)), pace_(pace) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
        if (!name_.empty()) name_ += ", ";
        name_ += inputs_[i].name;
        if (read_ahead(inputs_[i])) order_.emplace_back(inputs_[i].ahead.front().time_ns, i);
    }
    std::ranges::make_heap(order_, std::greater<>());
    tell_errors();
}

std::size_t FileSource::poll(std::span<Packet> burst) {
    burst = burst.first(std::min(burst.size(), kBurstPackets));
    const bool needs_order = order_.size() > 1 || pace_ == Pace::realtime;
    burst = burst.first(needs_order ? merge(burst) : take(burst));
    std::uint64_t bytes = 0;
    for (const Packet& packet : burst) bytes += packet.captured_bytes;
    packets_.add(burst.size());
    bytes_.add(bytes);
    return burst.size();
}

std::size_t FileSource::merge(std::span<Packet> burst) {
    if (!order_.empty()) {
        const Input& front = inputs_[order_.front().second];
        if (front.next == front.end) reorder();
    }
    const TimeNs now_ns = pace_ == Pace::realtime ? monotonic_ns() : 0;
    std::size_t count = 0;
    while (count < burst.size() && !order_.empty()) {
        const auto [time_ns, index] = order_.front();
        if (pace_ == Pace::realtime && !pacer_.is_due(time_ns, now_ns)) break;
        Input& input = inputs_[index];
        burst[count] = input.ahead[input.next++];
        burst[count++].source = input.source;
        if (input.next == input.end) break;
        reorder();
    }
    return count;
}

// From the only file there is, or that is left: its packets need not wait for their turn.
std::size_t FileSource::take(std::span<Packet> burst) {
    if (order_.empty() || burst.empty()) return 0;
    Input& input = inputs_[order_.front().second];
    std::size_t count = std::min(burst.size(), input.end - input.next);
    if (count > 0) {
        std::copy_n(input.ahead.begin() + static_cast<std::ptrdiff_t>(input.next), count, burst.begin());
        input.next += count;
    } else {
        count = input.file->read(burst);
        if (count == 0) {
            order_.clear();
            tell_errors();
        }
    }
    for (Packet& packet : burst.first(count)) packet.source = input.source;
    return count;
}

// False at the end of the file.
bool FileSource::read_ahead(Input& input) {
    input.next = 0;
    input.end = input.file->read(input.ahead);
    return input.end > 0;
}

// The file in front gave a packet: puts its next one where it belongs.
void FileSource::reorder() {
    Input& input = inputs_[order_.front().second];
    const bool has_next = input.next < input.end || read_ahead(input);
    if (has_next && order_.size() == 1) {
        order_.front().first = input.ahead[input.next].time_ns;
        return;
    }
    std::ranges::pop_heap(order_, std::greater<>());
    if (!has_next) {
        order_.pop_back();
        tell_errors();
        return;
    }
    order_.back().first = input.ahead[input.next].time_ns;
    std::ranges::push_heap(order_, std::greater<>());
}

// After a file has ended.
void FileSource::tell_errors() {
    std::string all;
    for (const Input& input : inputs_) {
        if (input.file->error().empty()) continue;
        if (!all.empty()) all += "; ";
        all += fmt::format("{}: {}", input.name, input.file->error());
    }
    error_.set(all);
}

SourceCounters FileSource::counters() const { return {.packets = packets_.get(), .bytes = bytes_.get()}; }

}  // namespace spantape
