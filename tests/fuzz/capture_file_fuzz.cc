// SPDX-License-Identifier: AGPL-3.0-or-later
// Any bytes as a capture file (pcap, pcapng, gzip of them), read to its end from a file in memory.
#include <array>
#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

#include "capture/source/capture_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape;
    const int fd = memfd_create("capture", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != static_cast<ssize_t>(size) || lseek(fd, 0, SEEK_SET) != 0) std::abort();
    auto bytes = FileBytes::from_descriptor(fd);
    if (!bytes) std::abort();
    auto file = open_capture_bytes(std::move(*bytes));
    if (!file) {
        if (file.error().message.empty()) std::abort();
        return 0;
    }
    std::uint64_t sum = 0;
    std::array<Packet, 64> burst;
    while (const std::size_t count = (*file)->read(burst)) {
        for (const Packet& packet : std::span(burst).first(count)) {
            if (packet.captured_bytes > packet.wire_bytes || packet.captured_bytes > kLargestPacketBytes) std::abort();
            for (std::uint32_t i = 0; i < packet.captured_bytes; ++i) sum += packet.data[i];
        }
    }
    [[maybe_unused]] static volatile std::uint64_t sink;
    sink = sum;  // the bytes were really read
    return 0;
}
