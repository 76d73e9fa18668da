// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/packet/fragments.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <utility>

namespace spantape {

namespace {

constexpr std::size_t kSets = 24;
constexpr std::size_t kWays = 8;
constexpr std::size_t kEntries = kSets * kWays;
constexpr std::size_t kBufferBytes = 64u << 10;
constexpr std::size_t kLentBytes = 64 * kBufferBytes;
constexpr std::size_t kLargestBytes = 65'535;
constexpr std::size_t kUnitBytes = 8;  // fragments begin at multiples of it

struct Key {
    IpAddress source;
    IpAddress destination;
    std::uint32_t id = 0;
    std::uint8_t protocol = 0;
    bool ipv6 = false;

    bool operator==(const Key&) const = default;
};

Key key_of(const Fragment& fragment) {
    const std::uint8_t protocol = fragment.ipv6 ? 0 : fragment.protocol;
    return {fragment.source, fragment.destination, fragment.id, protocol, fragment.ipv6};
}

std::size_t set_of(const Fragment& fragment) {
    const std::uint64_t hash = mix_bits(hash_of({fragment.source, 0}) + 3 * hash_of({fragment.destination, 0}));
    return static_cast<std::size_t>((hash >> 32) * kSets >> 32);
}

std::size_t end_of(const Fragment& fragment) { return fragment.offset + fragment.bytes.size(); }

bool is_malformed(const Fragment& fragment) {
    const std::size_t bytes = fragment.bytes.size();
    return bytes == 0 || fragment.offset % kUnitBytes != 0 || (fragment.more && bytes % kUnitBytes != 0) ||
           end_of(fragment) > kLargestBytes;
}

std::size_t units_of(std::size_t bytes) { return (bytes + kUnitBytes - 1) / kUnitBytes; }

// Capture times may jump by years, in either direction.
bool is_apart(TimeNs one_ns, TimeNs other_ns, TimeNs limit_ns) {
    const auto apart_ns =
        static_cast<TimeNs>(static_cast<std::uint64_t>(one_ns) - static_cast<std::uint64_t>(other_ns));
    return apart_ns > limit_ns || apart_ns < -limit_ns;
}

}  // namespace

struct Fragments::Assembly {
    // In the order in which they give way to a new one.
    enum class State : std::uint8_t { free, joined, refused, open };

    Key key;
    State state = State::free;
    std::uint8_t protocol = 0;
    std::uint32_t packets = 0;       // held
    std::uint32_t total_bytes = 0;   // 0: the end did not come yet
    std::uint32_t extent_bytes = 0;  // the end of what came
    std::uint32_t units = 0;         // that came
    std::uint64_t number = 0;        // rises with each one begun
    TimeNs since_ns = 0;             // begun, or joined
    std::bitset<kBufferBytes / kUnitBytes> covered;

    [[nodiscard]] bool is_stale(TimeNs now_ns) const {
        return is_apart(now_ns, since_ns, state == State::joined ? kRememberNs : kTimeoutNs);
    }
    [[nodiscard]] bool is_whole() const { return total_bytes != 0 && units == units_of(total_bytes); }
};

Fragments::Fragments()
    : table_(std::make_unique<Assembly[]>(kEntries)),
      buffers_(std::make_unique_for_overwrite<std::uint8_t[]>(kEntries * kBufferBytes)),
      lent_(std::make_unique_for_overwrite<std::uint8_t[]>(kLentBytes)) {}

Fragments::~Fragments() = default;

Fragments::Joined Fragments::add(const Fragment& fragment) {
    if (is_malformed(fragment)) return {DropReason::bad_ip};
    Assembly& assembly = assembly_of(fragment);
    if (assembly.state == Assembly::State::refused) return {DropReason::fragment_incomplete};
    if (assembly.state == Assembly::State::joined) {
        if (repeats(assembly, fragment)) return {DropReason::fragment_joined};
        begin(assembly, fragment);  // the id is used again
    }
    ++assembly.packets;
    if (contradicts(assembly, fragment)) return refuse(assembly);
    take(assembly, fragment);
    return assembly.is_whole() ? finish(assembly, fragment.time_ns) : Joined{DropReason::held};
}

void Fragments::expire(TimeNs now_ns) {
    for (Assembly& assembly : std::span(table_.get(), kEntries))
        if (assembly.state == Assembly::State::open && assembly.is_stale(now_ns)) drop(assembly);
}

void Fragments::give_up() {
    for (Assembly& assembly : std::span(table_.get(), kEntries)) drop(assembly);
}

Fragments::Settled Fragments::take_settled() { return std::exchange(settled_, {}); }

// The one that the fragment belongs to, or a new one.
Fragments::Assembly& Fragments::assembly_of(const Fragment& fragment) {
    const auto gives_way_first = [](const Assembly& one, const Assembly& other) {
        return std::pair(one.state, one.number) < std::pair(other.state, other.number);
    };
    const std::span<Assembly> set(&table_[set_of(fragment) * kWays], kWays);
    const auto same = std::ranges::find_if(set, [key = key_of(fragment)](const Assembly& assembly) {
        return assembly.state != Assembly::State::free && assembly.key == key;
    });
    if (same == set.end()) return begin(*std::ranges::min_element(set, gives_way_first), fragment);
    return same->is_stale(fragment.time_ns) ? begin(*same, fragment) : *same;
}

Fragments::Assembly& Fragments::begin(Assembly& assembly, const Fragment& fragment) {
    drop(assembly);
    assembly = {
        .key = key_of(fragment), .state = Assembly::State::open, .number = ++begun_, .since_ns = fragment.time_ns};
    return assembly;
}

void Fragments::drop(Assembly& assembly) {
    settled_.incomplete += std::exchange(assembly.packets, 0);
    assembly.state = Assembly::State::free;
}

std::uint8_t* Fragments::buffer_of(const Assembly& assembly) const {
    return buffers_.get() + static_cast<std::size_t>(&assembly - table_.get()) * kBufferBytes;
}

bool Fragments::repeats(const Assembly& assembly, const Fragment& fragment) const {
    return end_of(fragment) <= assembly.total_bytes && fragment.more == (end_of(fragment) < assembly.total_bytes) &&
           std::ranges::equal(fragment.bytes, std::span(buffer_of(assembly) + fragment.offset, fragment.bytes.size()));
}

bool Fragments::contradicts(const Assembly& assembly, const Fragment& fragment) const {
    const std::size_t end = end_of(fragment);
    if (assembly.total_bytes != 0 && (end > assembly.total_bytes || (!fragment.more && end != assembly.total_bytes)))
        return true;
    if (!fragment.more && end < assembly.extent_bytes) return true;
    if (!fragment.ipv6) return false;
    const std::size_t units = units_of(fragment.bytes.size());
    std::size_t covered = 0;
    for (std::size_t i = 0; i < units; ++i) covered += assembly.covered[fragment.offset / kUnitBytes + i];
    if (covered == 0) return false;
    return covered != units ||
           !std::ranges::equal(fragment.bytes, std::span(buffer_of(assembly) + fragment.offset, fragment.bytes.size()));
}

// What came first stays.
void Fragments::take(Assembly& assembly, const Fragment& fragment) {
    if (fragment.offset == 0 && !assembly.covered[0]) assembly.protocol = fragment.protocol;
    const auto end = static_cast<std::uint32_t>(end_of(fragment));
    if (!fragment.more) assembly.total_bytes = end;
    assembly.extent_bytes = std::max(assembly.extent_bytes, end);
    std::uint8_t* buffer = buffer_of(assembly) + fragment.offset;
    for (std::size_t at = 0; at < fragment.bytes.size(); at += kUnitBytes) {
        const std::size_t unit = (fragment.offset + at) / kUnitBytes;
        if (assembly.covered[unit]) continue;
        assembly.covered.set(unit);
        ++assembly.units;
        std::memcpy(buffer + at, fragment.bytes.data() + at, std::min(kUnitBytes, fragment.bytes.size() - at));
    }
}

// The fragment at hand is counted by the caller. What is still to come of this datagram is refused as well.
Fragments::Joined Fragments::refuse(Assembly& assembly) {
    settled_.incomplete += std::exchange(assembly.packets, 0) - 1;
    assembly.state = Assembly::State::refused;
    return {DropReason::fragment_incomplete};
}

Fragments::Joined Fragments::finish(Assembly& assembly, TimeNs now_ns) {
    const std::size_t bytes = assembly.total_bytes;
    if (bytes > kLentBytes - lent_bytes_) return refuse(assembly);
    std::uint8_t* whole = lent_.get() + std::exchange(lent_bytes_, lent_bytes_ + bytes);
    std::memcpy(whole, buffer_of(assembly), bytes);
    settled_.joined += std::exchange(assembly.packets, 0) - 1;
    assembly.state = Assembly::State::joined;
    assembly.since_ns = now_ns;
    return {DropReason::none, assembly.protocol, {whole, bytes}};
}

}  // namespace spantape
