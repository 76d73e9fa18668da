// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/file_source.h"

#include <algorithm>
#include <functional>

namespace spantape {

FileSource::FileSource(std::vector<Input> inputs, Pace pace) : inputs_(std::move(inputs)), pace_(pace) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
        if (!name_.empty()) name_ += ", ";
        name_ += inputs_[i].name;
        inputs_[i].head = inputs_[i].file->next();
        if (inputs_[i].head != nullptr) order_.emplace_back(inputs_[i].head->time_ns, i);
    }
    std::ranges::make_heap(order_, std::greater<>());
}

std::size_t FileSource::poll(std::span<Packet> burst) {
    buffer_.clear();
    const std::size_t most = std::min(burst.size(), kBurstPackets);
    const TimeNs now_ns = pace_ == Pace::realtime ? monotonic_ns() : 0;
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    while (count < most && !order_.empty()) {
        const auto [time_ns, index] = order_.front();
        if (pace_ == Pace::realtime && !pacer_.is_due(time_ns, now_ns)) break;
        burst[count] = buffer_.keep(*inputs_[index].head);
        burst[count].source = inputs_[index].source;
        bytes += burst[count].captured_bytes;
        ++count;
        advance();
    }
    packets_.add(count);
    bytes_.add(bytes);
    return count;
}

// The file in front gave its head: reads its next one and puts it where it belongs.
void FileSource::advance() {
    Input& input = inputs_[order_.front().second];
    input.head = input.file->next();
    if (input.head != nullptr && order_.size() == 1) {
        order_.front().first = input.head->time_ns;
        return;
    }
    std::ranges::pop_heap(order_, std::greater<>());
    if (input.head == nullptr) {
        order_.pop_back();
        return;
    }
    order_.back().first = input.head->time_ns;
    std::ranges::push_heap(order_, std::greater<>());
}

std::string FileSource::error() const {
    std::string all;
    for (const Input& input : inputs_) {
        if (input.file->error().empty()) continue;
        if (!all.empty()) all += "; ";
        all += fmt::format("{}: {}", input.name, input.file->error());
    }
    return all;
}

SourceCounters FileSource::counters() const { return {.packets = packets_.get(), .bytes = bytes_.get()}; }

}  // namespace spantape
