// SPDX-License-Identifier: AGPL-3.0-or-later
// Writes capture files for tests, byte by byte, in any byte order and resolution.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include "capture/source/source.h"
#include "tests/capture/packet/packet_builder.h"

namespace spantape::test {

enum class Order : std::uint8_t { little, big };

inline void put(Bytes& body, Order order, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
        const int shift = 8 * (order == Order::big ? bytes - 1 - i : i);
        body.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}

struct PcapFormat {
    Order order = Order::little;
    bool nanoseconds = false;
    std::uint32_t link = 1;
    std::uint32_t snap_bytes = 65'535;
};

inline Bytes pcap_header(const PcapFormat& format) {
    Bytes body;
    put(body, format.order, format.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 4);
    put(body, format.order, 2, 2);
    put(body, format.order, 4, 2);
    put(body, format.order, 0, 8);
    put(body, format.order, format.snap_bytes, 4);
    put(body, format.order, format.link, 4);
    return body;
}

// wire_bytes 0: the whole packet is there.
inline Bytes pcap_packet(const PcapFormat& format, TimeNs time_ns, const Bytes& data, std::size_t wire_bytes = 0) {
    Bytes body;
    const auto fraction = static_cast<std::uint64_t>(time_ns % kNsPerSecond);
    put(body, format.order, static_cast<std::uint64_t>(time_ns / kNsPerSecond), 4);
    put(body, format.order, format.nanoseconds ? fraction : fraction / 1000, 4);
    put(body, format.order, data.size(), 4);
    put(body, format.order, wire_bytes == 0 ? data.size() : wire_bytes, 4);
    return body + data;
}

inline Bytes padded(Bytes body) {
    while (body.size() % 4 != 0) body.push_back(0);
    return body;
}

inline Bytes block(Order order, std::uint32_t type, const Bytes& body) {
    const Bytes whole = padded(body);
    Bytes bytes;
    put(bytes, order, type, 4);
    put(bytes, order, whole.size() + 12, 4);
    bytes = bytes + whole;
    put(bytes, order, whole.size() + 12, 4);
    return bytes;
}

inline Bytes section(Order order) {
    Bytes body;
    put(body, order, 0x1a2b3c4d, 4);
    put(body, order, 1, 2);
    put(body, order, 0, 2);
    put(body, order, ~std::uint64_t{0}, 8);
    return block(order, 0x0a0d0d0a, body);
}

inline Bytes option(Order order, std::uint16_t code, const Bytes& value) {
    Bytes body;
    put(body, order, code, 2);
    put(body, order, value.size(), 2);
    return padded(body + value);
}

inline Bytes interface_block(Order order, std::uint16_t link, std::uint32_t snap_bytes = 0, const Bytes& options = {}) {
    Bytes body;
    put(body, order, link, 2);
    put(body, order, 0, 2);
    put(body, order, snap_bytes, 4);
    return block(order, 1, body + options);
}

inline Bytes enhanced_packet(Order order, std::uint32_t interface, std::uint64_t stamp, const Bytes& data,
                             std::size_t wire_bytes = 0) {
    Bytes body;
    put(body, order, interface, 4);
    put(body, order, stamp >> 32, 4);
    put(body, order, stamp & 0xffff'ffff, 4);
    put(body, order, data.size(), 4);
    put(body, order, wire_bytes == 0 ? data.size() : wire_bytes, 4);
    return block(order, 6, body + data);
}

// A file that is gone when the test is.
class TempFile {
public:
    explicit TempFile(const Bytes& body, std::string_view suffix = ".pcap") {
        static int number = 0;
        path_ = fmt::format("{}spantape-source-{}-{}{}", testing::TempDir(), getpid(), ++number, suffix);
        std::ofstream file(path_, std::ios::binary);
        file.write(reinterpret_cast<const char*>(body.data()), static_cast<std::streamsize>(body.size()));
    }
    ~TempFile() { unlink(path_.c_str()); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string spec() const { return "file:" + path_; }

private:
    std::string path_;
};

inline Bytes gzip(const Bytes& body) {
    z_stream stream{};
    deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    Bytes packed(deflateBound(&stream, body.size()) + 64);
    Bytes input = body;
    stream.next_in = input.data();
    stream.avail_in = static_cast<unsigned>(input.size());
    stream.next_out = packed.data();
    stream.avail_out = static_cast<unsigned>(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

}  // namespace spantape::test
