// SPDX-License-Identifier: AGPL-3.0-or-later
// decode_datagram over all link types, with fragments joined. The first byte picks the link type; then packets follow:
// a byte that says how much the snap length cut, two with the length (little endian), and the packet.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "capture/packet/datagram.h"
#include "capture/packet/fragments.h"

namespace {

using namespace spantape;

// Reads all of it, so that the address sanitizer sees where it is.
unsigned sum_of(std::span<const std::uint8_t> bytes) {
    unsigned sum = 0;
    for (const std::uint8_t byte : bytes) sum += byte;
    return sum;
}

// true: the packet is held
bool decode(std::span<const std::uint8_t> bytes, LinkType link, std::uint8_t cut, TimeNs now_ns, Fragments& fragments) {
    const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), exact.get());
    const auto captured = static_cast<std::uint32_t>(bytes.size());
    const Packet packet{exact.get(), captured, captured + cut, now_ns, link, 0};
    Datagram datagram;
    const DropReason reason = decode_datagram(packet, datagram, &fragments);
    if (reason == DropReason::held) return true;
    if (reason >= DropReason::count) std::abort();
    if (reason != DropReason::none) return false;
    if (datagram.payload.empty() && datagram.transport != Transport::tcp) std::abort();
    if (sum_of(datagram.payload) > 65'535u * 255) std::abort();
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr int kLinkTypes = static_cast<int>(LinkType::erf) + 1;
    constexpr std::size_t kHeadBytes = 3;
    static Fragments fragments;
    std::span<const std::uint8_t> input(data, size);
    if (input.empty()) return 0;
    const auto link = static_cast<LinkType>(input[0] % kLinkTypes);
    input = input.subspan(1);
    std::uint64_t held = 0;
    for (TimeNs now_ns = 0; input.size() >= kHeadBytes; now_ns += kNsPerMs) {
        const std::uint8_t cut = input[0];
        const std::size_t length = input[1] | std::size_t{input[2]} << 8;
        input = input.subspan(kHeadBytes);
        const auto packet = input.first(std::min(length, input.size()));
        input = input.subspan(packet.size());
        fragments.release();
        held += decode(packet, link, cut, now_ns, fragments);
    }
    // Each packet that was held is settled, once.
    fragments.give_up();
    const auto settled = fragments.take_settled();
    if (settled.joined + settled.incomplete != held) std::abort();
    return 0;
}
