// SPDX-License-Identifier: AGPL-3.0-or-later
// INVITE, 100, 180, 200, ACK, BYE, 200 (RFC 3261 §24.2's basic call) with SDP offer and answer (RFC 3264).
#include "tools/gen/call.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "capture/base/address.h"
#include "tools/gen/known_audio.h"

namespace spantape::gen {
namespace {

constexpr std::uint32_t kCallerNetwork = 10u << 24 | 16u << 16;  // 10.16.0.0/12: a million calls
constexpr std::uint32_t kCalleeNetwork = 10u << 24 | 32u << 16;  // 10.32.0.0/12
constexpr std::uint32_t kRtpPorts = 10000;                       // of each side, even ones

constexpr TimeNs kTryingNs = 5 * kNsPerMs;      // after the INVITE
constexpr TimeNs kRingingNs = 20 * kNsPerMs;    // after the INVITE
constexpr TimeNs kAckNs = 10 * kNsPerMs;        // after the 200
constexpr TimeNs kMediaNs = 20 * kNsPerMs;      // after the 200
constexpr TimeNs kByeNs = 30 * kNsPerMs;        // after the last packet is due
constexpr TimeNs kByeAnswerNs = 10 * kNsPerMs;  // after the BYE

// Everything that the messages of a call share.
struct Texts {
    std::string caller, callee;    // host of each
    std::string from, to, to_tag;  // header values
    std::string via;               // without branch
    std::string offer, answer;     // SDP
};

std::string sdp(const GenOptions& options, const std::string& host, std::uint16_t port, std::uint32_t session) {
    const int type = options.payload_type();
    return fmt::format(
        "v=0\r\no=gen {0} 1 IN IP4 {1}\r\ns=-\r\nc=IN IP4 {1}\r\nt=0 0\r\nm=audio {2} RTP/AVP {3}\r\n"
        "a=rtpmap:{3} {4}/{5}\r\na=ptime:{6}\r\na=sendrecv\r\n",
        session, host, port, type, options.encoding(), options.sample_rate_hz(), options.ptime_ms);
}

std::string message(const std::string& first_line, const Texts& texts, const GenCall& call, const char* branch,
                    bool with_to_tag, const char* method, int cseq, const std::string& contact,
                    const std::string& body) {
    std::string text = fmt::format(
        "{}\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{}-{}\r\nFrom: {}\r\nTo: {}{}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n",
        first_line, texts.via, call.number, branch, texts.from, texts.to, with_to_tag ? texts.to_tag : "", call.call_id,
        cseq, method);
    if (!contact.empty()) text += fmt::format("Contact: <{}>\r\n", contact);
    if (first_line.ends_with("SIP/2.0")) text += "Max-Forwards: 70\r\n";
    if (!body.empty()) text += "Content-Type: application/sdp\r\n";
    return text + fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
}

Texts texts_of(const GenOptions& options, const GenCall& call) {
    Texts texts;
    texts.caller = dotted(call.caller_sip.ip);
    texts.callee = dotted(call.callee_sip.ip);
    texts.from = fmt::format("<sip:{}@{}>;tag=c{}", call.from_user, texts.caller, call.number);
    texts.to = fmt::format("<sip:{}@{}>", call.to_user, texts.callee);
    texts.to_tag = fmt::format(";tag=d{}", call.number);
    texts.via = fmt::format("{}:{}", texts.caller, call.caller_sip.port);
    texts.offer = sdp(options, texts.caller, call.streams[0].from.port, call.number + 1);
    texts.answer = sdp(options, texts.callee, call.streams[1].from.port, call.number + 1);
    return texts;
}

void write_messages(const GenOptions& options, GenCall& call) {
    const Texts texts = texts_of(options, call);
    const std::string caller_contact = fmt::format("sip:{}@{}:5060", call.from_user, texts.caller);
    const std::string callee_contact = fmt::format("sip:{}@{}:5060", call.to_user, texts.callee);
    const std::string request_uri = fmt::format("sip:{}@{}", call.to_user, texts.callee);
    const auto add = [&](TimeNs time_ns, bool from_caller, std::string text) {
        call.messages.push_back({time_ns, from_caller, std::move(text)});
    };
    add(call.start_ns, true,
        message("INVITE " + request_uri + " SIP/2.0", texts, call, "invite", false, "INVITE", 1, caller_contact,
                texts.offer));
    add(call.start_ns + kTryingNs, false,
        message("SIP/2.0 100 Trying", texts, call, "invite", false, "INVITE", 1, "", ""));
    add(call.start_ns + kRingingNs, false,
        message("SIP/2.0 180 Ringing", texts, call, "invite", true, "INVITE", 1, callee_contact, ""));
    add(call.answer_ns, false,
        message("SIP/2.0 200 OK", texts, call, "invite", true, "INVITE", 1, callee_contact, texts.answer));
    add(call.answer_ns + kAckNs, true,
        message("ACK " + callee_contact + " SIP/2.0", texts, call, "ack", true, "ACK", 1, "", ""));
    if (call.bye_ns == 0) return;
    add(call.bye_ns, true, message("BYE " + callee_contact + " SIP/2.0", texts, call, "bye", true, "BYE", 2, "", ""));
    add(call.bye_ns + kByeAnswerNs, false, message("SIP/2.0 200 OK", texts, call, "bye", true, "BYE", 2, "", ""));
}

Peer rtp_peer(std::uint32_t network, std::uint32_t call, std::uint16_t first_port) {
    return {network + 1 + call, static_cast<std::uint16_t>(first_port + 2 * (call % kRtpPorts))};
}

TimeNs answer_of(const GenOptions& options, TimeNs start_ns) {
    return start_ns + std::max<TimeNs>(options.ring_ms * kNsPerMs, kRingingNs + kTryingNs);
}

}  // namespace

double chance(std::uint32_t seed, std::uint32_t stream, std::uint32_t packet, std::uint32_t purpose) {
    const std::uint64_t mixed = mix_bits(mix_bits(std::uint64_t{seed} << 32 | stream) ^
                                         (std::uint64_t{purpose} << 32 | packet) * 0x9e3779b97f4a7c15ULL);
    return static_cast<double>(mixed >> 11) * 0x1p-53;
}

GenStream::GenStream(const GenOptions& options, std::uint32_t stream_number, const Peer& source, const Peer& sink,
                     TimeNs media_ns)
    : number(stream_number), from(source), to(sink), packet(source, sink, 12 + options.payload_bytes()) {
    const std::uint64_t mixed = mix_bits(std::uint64_t{options.seed} << 32 | number);
    ssrc = options.ssrc_base ? *options.ssrc_base + number : scramble(static_cast<std::uint32_t>(mixed));
    first_sequence = static_cast<std::uint16_t>(mixed >> 16);
    first_timestamp = static_cast<std::uint32_t>(mixed >> 32);
    // Senders do not beat in time with one another.
    first_ns =
        media_ns + static_cast<TimeNs>(chance(options.seed, number, 0, 1) * static_cast<double>(options.ptime_ns()));
}

std::uint8_t* GenStream::begin_packet(const GenOptions& options, std::uint32_t packet_number) {
    std::uint8_t* rtp = packet.payload().data();
    rtp[0] = 0x80;
    rtp[1] = static_cast<std::uint8_t>(options.payload_type() | (packet_number == 0 ? 0x80 : 0));
    put_u16(rtp + 2, static_cast<std::uint16_t>(first_sequence + packet_number));
    put_u32(rtp + 4, first_timestamp + packet_number * options.samples_per_packet());
    put_u32(rtp + 8, ssrc);
    return rtp + 12;
}

GenCall::GenCall(const GenOptions& options, std::uint32_t call_number, TimeNs first_ns)
    : number(call_number),
      call_id(fmt::format("gen-{}-{}@{}", options.seed, call_number, dotted(kCallerNetwork + 1 + call_number))),
      from_user(std::to_string(5550000000ull + call_number)),
      to_user(std::to_string(1000 + call_number)),
      caller_sip{kCallerNetwork + 1 + call_number, 5060},
      callee_sip{kCalleeNetwork + 1 + call_number, 5060},
      start_ns(first_ns),
      answer_ns(answer_of(options, first_ns)),
      streams{GenStream(options, 2 * number, rtp_peer(kCallerNetwork, number, 20000),
                        rtp_peer(kCalleeNetwork, number, 40000), answer_ns + kMediaNs),
              GenStream(options, 2 * number + 1, rtp_peer(kCalleeNetwork, number, 40000),
                        rtp_peer(kCallerNetwork, number, 20000), answer_ns + kMediaNs)} {
    const bool has_bye = chance(options.seed, 2 * number, 0, 2) * 100 >= options.no_bye_pct;
    if (has_bye) {
        const std::uint32_t packets = options.packets() + 1;
        const TimeNs media_end =
            answer_ns + kMediaNs + std::max(options.due_ns(packets, true), options.due_ns(packets, false));
        bye_ns = media_end + kByeNs + static_cast<TimeNs>(options.jitter_ms * kNsPerMs);
    }
    write_messages(options, *this);
}

}  // namespace spantape::gen
