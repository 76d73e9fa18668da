// SPDX-License-Identifier: AGPL-3.0-or-later
// SRTP (RFC 3711; RFC 6188 and 7714 for the longer keys and GCM), the receiving side: authenticates and decrypts RTP.
// AES and HMAC-SHA1 are OpenSSL's; the framing is ours and not libsrtp2's, because Debian's libsrtp2 does its
// cryptography in NSS, which takes 14 allocations and 32 locks a packet and 28 KiB a stream. libsrtp2 is what this is
// tested against. A recorder also asks other things than a phone does: which key of several, at which roll-over count,
// and what of a stream that began again. One worker owns all of it; nothing is allocated per packet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "capture/rtp/frame.h"
#include "capture/rtp/srtp_key.h"

namespace spantape {

// The session keys of one master key (RFC 3711 §4.3, key derivation rate 0). They do not depend on the SSRC: all
// streams of one sender share them.
class SrtpContext {
public:
    // One, but two for AES-192: derived as RFC 6188 says, and as libsrtp2 and all that is built on it does. None when
    // OpenSSL refuses (out of memory).
    static std::vector<std::shared_ptr<SrtpContext>> make(const SrtpKey& key);
    ~SrtpContext();
    SrtpContext(const SrtpContext&) = delete;
    SrtpContext& operator=(const SrtpContext&) = delete;

    // Authenticates the packet as number roll_over_count * 2^16 + its sequence number, and decrypts it into `out`,
    // which must hold packet.size() bytes. The payload, still with its padding, or nothing: it does not authenticate.
    std::optional<std::span<std::uint8_t>> open(const RtpHeader& header, std::uint32_t roll_over_count,
                                                std::span<std::uint8_t> out);

    [[nodiscard]] const SrtpKey& key() const;
    // What SRTP adds to a packet: tag and MKI.
    [[nodiscard]] std::size_t trailer_bytes() const;

private:
    struct State;
    explicit SrtpContext(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};
using SrtpContexts = std::vector<std::shared_ptr<SrtpContext>>;

// Where one stream is: its key among those that may be its, and its packet index. Duplicates are the sequence
// tracker's to find, before: what comes here again is decrypted again.
class SrtpStream {
public:
    // Keys that it may use as well, newest last; those it knows already are passed over.
    void learn(const SrtpContexts& contexts);
    [[nodiscard]] bool has_keys() const { return !contexts_.empty(); }

    // The payload in clear, without padding, in `out` (of at least the packet's size). Nothing: no known key
    // authenticates the packet, or the padding within is malformed. Tries first what worked last, at the index that
    // follows from the sequence number (RFC 3711 §3.3.1); then the count of before and none (a stream that began
    // again), the other keys; and, some packets into a stream that we joined late, counts up to kMaxRollOvers.
    std::optional<std::span<const std::uint8_t>> open(const RtpHeader& header, std::span<std::uint8_t> out);

    // Of the key that authenticated last; 0 before.
    [[nodiscard]] std::size_t trailer_bytes() const { return proven_ ? contexts_[active_]->trailer_bytes() : 0; }

    static constexpr std::uint32_t kMaxRollOvers = 64;  // 23 hours of 20 ms packets

private:
    using Opened = std::optional<std::span<std::uint8_t>>;
    Opened open_with(std::size_t which, std::uint32_t count, const RtpHeader& header, std::span<std::uint8_t> out);
    Opened search(const RtpHeader& header, std::span<std::uint8_t> out);
    [[nodiscard]] std::uint32_t guess_count(std::uint16_t sequence) const;

    SrtpContexts contexts_;
    std::size_t active_ = 0;      // index of the key that authenticated last
    bool proven_ = false;         // some packet has authenticated
    std::uint32_t count_ = 0;     // roll-over count of highest_
    std::uint16_t highest_ = 0;   // sequence number
    std::uint32_t failures_ = 0;  // since a packet authenticated or a key was learned
};

}  // namespace spantape
