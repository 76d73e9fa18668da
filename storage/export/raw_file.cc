// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/raw_file.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

namespace spantape {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;
constexpr std::uint32_t kMagicNs = 0xa1b23c4d;
constexpr std::uint32_t kSnapBytes = 65'535;
constexpr std::uint32_t kLinkTypeRaw = 101;
constexpr std::uint8_t kUdp = 17;

// In network byte order.
class Bytes {
public:
    Bytes& u8(std::size_t value) {
        text_.push_back(static_cast<char>(value & 0xff));
        return *this;
    }
    Bytes& u16(std::size_t value) { return u8(value >> 8).u8(value); }
    Bytes& u32(std::size_t value) { return u16(value >> 16).u16(value); }
    Bytes& add(std::span<const std::uint8_t> bytes) {
        text_.append(bytes.begin(), bytes.end());
        return *this;
    }
    void set_u16(std::size_t at, std::uint16_t value) {
        text_[at] = static_cast<char>(value >> 8);
        text_[at + 1] = static_cast<char>(value & 0xff);
    }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
};

// RFC 1071.
std::uint16_t checksum(std::string_view bytes) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

// The host's byte order, as the magic number tells.
void add_u32(std::string& to, std::uint32_t value) { to.append(reinterpret_cast<const char*>(&value), sizeof value); }

std::string file_header() {
    std::string header;
    for (const std::uint32_t word : {kMagicNs, 2u | 4u << 16, 0u, 0u, kSnapBytes, kLinkTypeRaw}) add_u32(header, word);
    return header;
}

struct Frame {
    TimeNs arrival_ns = 0;
    std::string rtp;
};

std::string rtp_of(const StoredFrame& frame, std::uint32_t ssrc) {
    constexpr std::size_t kVersion = 0x80;
    Bytes packet;
    packet.u8(kVersion).u8(frame.payload_type | (frame.marker ? 0x80 : 0)).u16(frame.sequence).u32(frame.timestamp);
    packet.u32(ssrc).add(frame.payload);
    return packet.text();
}

std::span<const std::uint8_t> address_bytes(const IpAddress& address) {
    return std::span(address.bytes).subspan(address.is_v4() ? 12 : 0);
}

std::string udp_of(const FlowKey& flow, const std::string& rtp) {
    constexpr std::size_t kHeaderBytes = 8, kChecksumAt = 6;
    const std::size_t bytes = kHeaderBytes + rtp.size();
    Bytes udp;
    udp.u16(flow.source.port).u16(flow.destination.port).u16(bytes).u16(0);
    udp.add(std::span(reinterpret_cast<const std::uint8_t*>(rtp.data()), rtp.size()));
    Bytes pseudo;  // RFC 768, RFC 8200 section 8.1: the sums are the same
    pseudo.add(address_bytes(flow.source.ip)).add(address_bytes(flow.destination.ip)).u32(bytes).u32(kUdp);
    const std::uint16_t sum = checksum(pseudo.text() + udp.text());
    udp.set_u16(kChecksumAt, sum == 0 ? 0xffff : sum);
    return udp.text();
}

std::string packet_of(const FlowKey& flow, const std::string& rtp) {
    const std::string udp = udp_of(flow, rtp);
    Bytes ip;
    if (flow.source.ip.is_v4()) {
        constexpr std::size_t kHeaderBytes = 20, kChecksumAt = 10;
        ip.u8(0x45).u8(0).u16(kHeaderBytes + udp.size()).u32(0x4000).u8(64).u8(kUdp).u16(0);
        ip.add(address_bytes(flow.source.ip)).add(address_bytes(flow.destination.ip));
        ip.set_u16(kChecksumAt, checksum(ip.text()));
    } else {
        ip.u32(0x60000000).u16(udp.size()).u8(kUdp).u8(64);
        ip.add(address_bytes(flow.source.ip)).add(address_bytes(flow.destination.ip));
    }
    return ip.text() + udp;
}

// One stream's packets, a chunk at a time.
class RawStream {
public:
    RawStream(const FlowKey& flow, std::unique_ptr<StreamChunks> chunks, TimeNs from_ns, TimeNs to_ns)
        : flow_(flow), chunks_(std::move(chunks)), from_ns_(from_ns), to_ns_(to_ns) {}

    [[nodiscard]] const FlowKey& flow() const { return flow_; }
    // nullptr at the end.
    const Frame* front() {
        const auto keep = [this](const StoredFrame& frame) {
            if (frame.arrival_ns >= from_ns_ && frame.arrival_ns <= to_ns_)
                frames_.push_back({frame.arrival_ns, rtp_of(frame, flow_.ssrc)});
        };
        while (frames_.empty() && !ended_) ended_ = chunks_->next(keep) == StreamChunks::Step::end;
        return frames_.empty() ? nullptr : &frames_.front();
    }
    void pop() { frames_.pop_front(); }

private:
    FlowKey flow_;
    std::unique_ptr<StreamChunks> chunks_;
    TimeNs from_ns_, to_ns_;
    std::deque<Frame> frames_;
    bool ended_ = false;
};

class RawFile final : public ExportedFile {
public:
    RawFile(std::unique_ptr<ChunkSource> chunks, std::vector<RawStream> streams)
        : chunks_(std::move(chunks)), streams_(std::move(streams)) {}

    std::optional<std::uint64_t> bytes() const override { return std::nullopt; }

    Result<std::string> next() override {
        std::string piece = std::exchange(header_, {});
        while (piece.size() < kPieceBytes) {
            RawStream* earliest = nullptr;
            for (RawStream& stream : streams_)
                if (const Frame* frame = stream.front();
                    frame != nullptr && (earliest == nullptr || frame->arrival_ns < earliest->front()->arrival_ns))
                    earliest = &stream;
            if (earliest == nullptr) break;
            const Frame& frame = *earliest->front();
            const std::string packet = packet_of(earliest->flow(), frame.rtp);
            const auto bytes = static_cast<std::uint32_t>(packet.size());
            add_u32(piece, static_cast<std::uint32_t>(frame.arrival_ns / kNsPerSecond));
            add_u32(piece, static_cast<std::uint32_t>(frame.arrival_ns % kNsPerSecond));
            add_u32(piece, bytes);
            add_u32(piece, bytes);
            piece += packet;
            earliest->pop();
        }
        return piece;
    }

private:
    std::unique_ptr<ChunkSource> chunks_;  // the streams read through it
    std::vector<RawStream> streams_;
    std::string header_ = file_header();
};

}  // namespace

Result<std::unique_ptr<ExportedFile>> raw_file(std::unique_ptr<ChunkSource> chunks,
                                               const std::vector<Recording>& recordings, TimeNs now_ns) {
    std::vector<RawStream> streams;
    for (const Recording& recording : recordings) {
        const TimeNs stop_ns = recording.stop_ns != 0 ? recording.stop_ns : now_ns;
        for (const RecordedStream& stream : recording.streams) {
            auto stored = chunks->open(stream.stream_id, recording.start_ns, stop_ns);
            if (!stored) return std::unexpected(stored.error());
            streams.emplace_back(stream.flow, std::move(*stored), recording.start_ns, stop_ns);
        }
    }
    return std::make_unique<RawFile>(std::move(chunks), std::move(streams));
}

}  // namespace spantape
