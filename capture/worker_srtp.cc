// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker's work with SRTP: whether a stream is encrypted, with which of the keys that were told, and what its
// look-back then becomes.
//
// Labels lie: RTP/SAVP carries plain RTP, a=crypto under RTP/AVP may be answered without, and the keys may not be those
// of the leg that we see. So a stream of a session that speaks of SRTP is on trial first: it stays in its look-back
// ring, bound to nobody, until one frame authenticates. That is the first one, as a rule, and nothing is lost
// meanwhile. When kTrialFrames did not authenticate (without keys: when the ring is half full, for the answer that
// brings them may be under way), then
//   - what was only offered (RTP/AVP) is taken for plain RTP;
//   - what RTP/SAVP names is taken for SRTP without a key and not stored, for it would be played as noise; except that
//     its bytes are so uneven that no cipher can have made them: that is plain RTP with a wrong label.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "capture/worker.h"

namespace spantape {

namespace {

constexpr std::uint64_t kTrialFrames = 10;
constexpr std::size_t kFixedHeaderBytes = 12;
constexpr std::size_t kTrailerBytes = 32;  // as much as a tag and an MKI take: the MKI is the same in every packet

// Pearson's chi-squared of byte counts against even ones: 255 with a deviation of 23 for ciphertext; a few thousand
// for ten frames of G.711.
class Evenness {
public:
    void add(std::span<const std::uint8_t> bytes) {
        for (const std::uint8_t byte : bytes) ++counts_[byte];
        total_ += bytes.size();
    }
    [[nodiscard]] bool like_ciphertext() const {
        constexpr std::uint64_t kEnough = 320;
        constexpr std::uint64_t kTooUneven = 512;  // eleven deviations
        if (total_ < kEnough) return true;
        std::uint64_t squares = 0;
        for (const std::uint64_t count : counts_) squares += count * count;
        return squares * counts_.size() < (total_ + kTooUneven) * total_;
    }

private:
    std::array<std::uint64_t, 256> counts_{};
    std::uint64_t total_ = 0;
};

void put_u16(std::uint8_t* at, std::uint16_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}
void put_u32(std::uint8_t* at, std::uint32_t value) {
    put_u16(at, static_cast<std::uint16_t>(value >> 16));
    put_u16(at + 2, static_cast<std::uint16_t>(value));
}

// The fixed header that an ordinary frame had (RFC 3550 §5.1).
std::array<std::uint8_t, kFixedHeaderBytes> header_of(const RingRecord& record, std::uint32_t ssrc) {
    std::array<std::uint8_t, kFixedHeaderBytes> header{0x80};
    header[1] = static_cast<std::uint8_t>(record.payload_type | (record.marker != 0 ? 0x80 : 0));
    put_u16(header.data() + 2, record.sequence);
    put_u32(header.data() + 4, record.timestamp);
    put_u32(header.data() + 8, ssrc);
    return header;
}

// What a ring's record holds behind its header is of the length that the header tells, in each record of a frame; marks
// have nothing.
template <class Visit>
void for_each_kept(std::span<const std::byte> kept, Visit visit) {
    while (kept.size() >= sizeof(RingRecord)) {
        RingRecord record;
        std::memcpy(&record, kept.data(), sizeof record);
        const auto* payload = reinterpret_cast<const std::uint8_t*>(kept.data() + sizeof record);
        visit(record, std::span(payload, record.payload_bytes));
        kept = kept.subspan(sizeof record + record.payload_bytes);
    }
}

// There is always room: what is put back was on the ring before, and never grows.
void put_record(RecordRing& ring, const RingRecord& record, std::span<const std::uint8_t> payload) {
    std::byte* room = ring.reserve(sizeof record + payload.size());
    if (room == nullptr) std::abort();
    std::memcpy(room, &record, sizeof record);
    if (!payload.empty()) std::memcpy(room + sizeof record, payload.data(), payload.size());
    ring.commit();
}

}  // namespace

// True: `stream` may be bound to `session`; its mode is settled, and its look-back is as the writer expects it.
bool Worker::settle_srtp(Stream& stream, const MediaSession& session, CallParty sender) {
    const SrtpTerms terms = sessions_.srtp_terms(session, stream.key, sender);
    if (stream.state != StreamState::look_back) {  // of another session already, which has its own say
        if (terms.profile != SrtpProfile::clear) renew_srtp(stream, terms);
        return true;
    }
    if (terms.profile != SrtpProfile::clear) {
        stream.srtp.learn(terms.keys);
        take_look_back(stream);
        const bool proven = proves_srtp(stream);
        const bool encrypted = proven || (terms.profile == SrtpProfile::required && looks_encrypted(stream));
        put_back(stream);
        const RecordRing& ring = stream.handle.ring;
        const bool enough = stream.trial_over || ring.used_bytes() > ring.capacity_bytes() / 2 ||
                            (stream.srtp.has_keys() && stream.counters.stored >= kTrialFrames);
        stream.on_trial = !proven && !enough;
        if (stream.on_trial) return false;
        stream.srtp_mode = encrypted ? SrtpMode::required : SrtpMode::unproven;
    }
    stream.on_trial = false;
    convert_look_back(stream);
    return true;
}

// A session spoke of SRTP again: keys may have changed in mid-call, or media become plain or SRTP.
void Worker::renew_srtp(const MediaSession& session) {
    for (const std::uint32_t slot : session.streams) {
        Stream& stream = pool_.at(slot);
        if (stream.state == StreamState::bound)
            renew_srtp(stream, sessions_.srtp_terms(session, stream.key, stream.sender));
    }
}

void Worker::renew_srtp(Stream& stream, const SrtpTerms& terms) {
    if (terms.profile == SrtpProfile::clear) {
        if (stream.srtp_mode == SrtpMode::required) stream.srtp_mode = SrtpMode::ending;
        return;
    }
    stream.srtp.learn(terms.keys);
    // What is under way is plain yet.
    if (stream.srtp_mode == SrtpMode::clear || stream.srtp_mode == SrtpMode::ending)
        stream.srtp_mode = SrtpMode::unproven;
}

// What has not shown by now will not.
void Worker::finish_trial(std::uint32_t slot) {
    pool_.at(slot).trial_over = true;
    bind_new(slot);
    if (pool_.at(slot).state == StreamState::look_back) finish_stream(slot);
}

void Worker::finish_trials(std::uint64_t session) {
    const MediaSession* media = sessions_.find(session);
    if (media == nullptr || !media->secure) return;
    std::vector<std::uint32_t> slots;
    const auto gather = [&](std::uint32_t slot) {
        if (pool_.at(slot).on_trial && std::find(slots.begin(), slots.end(), slot) == slots.end())
            slots.push_back(slot);
    };
    for (const auto& watched : media->endpoints) {
        pool_.for_each_to(watched.endpoint, gather);
        pool_.for_each_from(watched.endpoint, gather);
    }
    for (const std::uint32_t slot : slots) finish_trial(slot);
}

bool Worker::decrypt(Stream& stream, const RtpHeader& header, std::span<const std::uint8_t>& payload) {
    const auto opened = stream.srtp.open(header, clear_payload_);
    if (!opened) return false;
    payload = *opened;
    stream.decrypted = true;
    if (stream.srtp_mode == SrtpMode::unproven) stream.srtp_mode = SrtpMode::required;
    return true;
}

// Moves what the look-back ring holds to kept_: the worker is at both ends of it.
void Worker::take_look_back(Stream& stream) {
    RecordRing& ring = stream.handle.ring;
    kept_.clear();
    for (auto record = ring.front(); !record.empty(); record = ring.front()) {
        kept_.insert(kept_.end(), record.begin(), record.end());
        ring.pop();
    }
    ring.reset();
}

void Worker::put_back(Stream& stream) {
    for_each_kept(kept_, [&](const RingRecord& record, std::span<const std::uint8_t> payload) {
        put_record(stream.handle.ring, record, payload);
    });
}

// The frame as it came: where it was kept, or in kept_packet_.
RtpParse Worker::parse_kept(const Stream& stream, const RingRecord& record, std::span<const std::uint8_t> payload,
                            RtpHeader& header) {
    if (record.whole_packet != 0) return parse_rtp(payload, header);
    const auto fixed = header_of(record, stream.key.ssrc);
    std::memcpy(kept_packet_.data(), fixed.data(), fixed.size());
    std::memcpy(kept_packet_.data() + fixed.size(), payload.data(), payload.size());
    return parse_rtp(std::span(kept_packet_).first(fixed.size() + payload.size()), header);
}

bool Worker::proves_srtp(Stream& stream) {
    bool proven = false;
    for_each_kept(kept_, [&](const RingRecord& record, std::span<const std::uint8_t> payload) {
        RtpHeader header;
        if (proven || record.kind != RingRecordKind::frame) return;
        parse_kept(stream, record, payload, header);
        proven = stream.srtp.open(header, clear_payload_).has_value();
    });
    return proven;
}

bool Worker::looks_encrypted(const Stream& stream) {
    Evenness evenness;
    for_each_kept(kept_, [&](const RingRecord& record, std::span<const std::uint8_t> payload) {
        RtpHeader header;
        if (record.kind != RingRecordKind::frame) return;
        parse_kept(stream, record, payload, header);
        const auto bytes = header.payload;
        evenness.add(bytes.first(bytes.size() - std::min(bytes.size(), kTrailerBytes)));
    });
    return evenness.like_ciphertext();
}

// Makes what was kept into frames as the writer expects them: payloads alone, in clear.
void Worker::convert_look_back(Stream& stream) {
    if (stream.srtp_mode == SrtpMode::clear && !stream.whole_packets) return;
    take_look_back(stream);
    std::uint64_t frames = 0;
    stream.counters.stored = stream.counters.payload_bytes = 0;
    for_each_kept(kept_, [&](RingRecord record, std::span<const std::uint8_t> bytes) {
        if (record.kind != RingRecordKind::frame) return put_record(stream.handle.ring, record, bytes);
        ++frames;
        RtpHeader header;
        std::span<const std::uint8_t> payload;
        const RtpParse parsed = parse_kept(stream, record, bytes, header);
        if (!keep_payload(stream, header, parsed == RtpParse::bad_padding, payload)) return;
        record.whole_packet = 0;
        record.payload_bytes = static_cast<std::uint16_t>(payload.size());
        put_record(stream.handle.ring, record, payload);
        if (stream.counters.stored++ == 0) stream.first_arrival_ns = record.arrival_ns;
        stream.counters.payload_bytes += payload.size();
    });
    stream.whole_packets = false;
    tally_.held -= frames - stream.counters.stored;  // those that were not kept are counted as dropped
}

}  // namespace spantape
