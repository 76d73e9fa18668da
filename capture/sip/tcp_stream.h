// SPDX-License-Identifier: AGPL-3.0-or-later
// One direction of a TCP connection: segments in whatever order -> its bytes in order, and gaps where a segment never
// came. Out-of-order data is kept by libtins' DataTracker, which only tcp_stream.cc knows. libtins' own StreamFollower
// is not used: it wants packet objects of its own, ends a stream where we must skip a gap, has no bound on its streams
// and takes only the handshake or the first packet for a beginning. On the signalling thread; time is capture time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "capture/base/address.h"
#include "capture/base/clock.h"

namespace Tins::TCPIP {
class DataTracker;
}

namespace spantape {

struct TcpSegment {
    TimeNs time_ns = 0;
    Endpoint source;
    Endpoint destination;
    std::uint8_t flags = 0;      // RFC 9293 §3.1: FIN 1, SYN 2, RST 4
    std::uint32_t sequence = 0;  // of the payload's first byte, or of the SYN
    std::span<const std::uint8_t> payload;
};

// What a TcpStream gives out, within take() and skip_gaps().
class TcpSink {
public:
    virtual void on_bytes(std::span<const std::uint8_t> bytes) = 0;
    virtual void on_gap(std::uint32_t lost_bytes) = 0;
    virtual void on_close() = 0;  // FIN, RST, or a new connection on the same ports; bytes of a new one may follow

protected:
    ~TcpSink() = default;
};

class TcpStream {
public:
    // How long a missing segment is waited for while nothing comes in order: a retransmission's first time-out
    // (RFC 6298 §2), and less than the media's look-back keeps.
    static constexpr TimeNs kGapWaitNs = kNsPerSecond;
    // Data older than this is no retransmission but another connection, whose SYN was not seen.
    static constexpr std::uint32_t kOldestBytes = 1u << 20;
    // A stream that is seen from the middle of a message on waits so far back for its beginning.
    static constexpr std::uint32_t kAttachBytes = 64u << 10;

    TcpStream();
    ~TcpStream();
    TcpStream(TcpStream&& other) noexcept;
    TcpStream& operator=(TcpStream&& other) noexcept;

    // begins_message: the payload can stand at the beginning of a stream that was joined in its middle.
    void take(const TcpSegment& segment, bool begins_message, TcpSink& sink);
    // Gives what waits behind the first gap, up to the next one; nothing when held_bytes() is 0.
    void skip_gap(TcpSink& sink);

    // Out-of-order data, with what keeping it costs.
    [[nodiscard]] std::size_t held_bytes() const;
    // When the first gap has been waited for long enough; only while held_bytes() is not 0.
    [[nodiscard]] TimeNs gap_due_ns() const { return waiting_since_ns_ + kGapWaitNs; }

private:
    void begin(std::uint32_t sequence);
    void on_syn(std::uint32_t first, TcpSink& sink);
    void join(std::uint32_t sequence, bool begins_message);
    void add(std::uint32_t first, const TcpSegment& segment, bool begins_message, TcpSink& sink);
    void hold(std::uint32_t first, const TcpSegment& segment, TcpSink& sink);
    void close(TcpSink& sink);
    void close_at_end(TcpSink& sink);
    void give_ordered(TcpSink& sink);
    void resume(TcpSink& sink);
    [[nodiscard]] bool is_of_another(std::uint32_t first) const;
    [[nodiscard]] bool near(std::uint32_t sequence) const;

    std::unique_ptr<Tins::TCPIP::DataTracker> tracker_;  // only while something is out of order
    std::uint32_t expected_ = 0;                         // sequence number of the next byte
    std::optional<std::uint32_t> start_;                 // of the first byte, where the SYN was seen
    std::optional<std::uint32_t> end_;                   // of the byte after the last, where a FIN was seen
    TimeNs waiting_since_ns_ = 0;
    bool begun_ = false;
    bool closed_ = false;
    bool joining_ = false;  // expected_ is a guess: the first gap is none
};

}  // namespace spantape
