// SPDX-License-Identifier: AGPL-3.0-or-later
// The event loop of the generator, and what becomes of each RTP packet.
#include "tools/gen/generator.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

namespace spantape::gen {
namespace {

// Purposes of chance(): each decision has its own.
constexpr std::uint32_t kLoss = 10, kJitter = 11, kReorder = 12, kDuplicate = 13;

constexpr TimeNs kDuplicateNs = 100'000;  // a mirror's second copy
constexpr TimeNs kSpacingNs = 10'000;     // jitter alone does not reorder

}  // namespace

void Generator::schedule(Kind kind, TimeNs time_ns, GenCall* call, std::uint32_t number, std::uint8_t stream) {
    if (call != nullptr) ++call->outstanding;
    events_.push({time_ns, order_++, call, number, stream, kind});
}

Result<GenSummary> Generator::run() {
    schedule(Kind::call, start_ns_, nullptr, 0);
    while (!events_.empty()) {
        const Event event = events_.top();
        events_.pop();
        if (const auto handled = handle(event); !handled) return std::unexpected(handled.error());
        if (event.call != nullptr) end_event(*event.call);
    }
    if (const auto finished = sink_.finish(); !finished) return std::unexpected(finished.error());
    return summary_;
}

Result<> Generator::handle(const Event& event) {
    switch (event.kind) {
        case Kind::call:
            return begin_call(event.number);
        case Kind::sip:
            return send_sip(*event.call, event.number);
        case Kind::due:
            return packet_due(event);
        case Kind::send:
        case Kind::duplicate:
            return send_rtp(event);
    }
    return {};
}

void Generator::end_event(GenCall& call) {
    if (--call.outstanding > 0) return;
    manifest_.add(call, audio_);
    calls_.erase(call.number);
}

Result<> Generator::begin_call(std::uint32_t number) {
    const auto start_of = [&](std::uint32_t call) {
        return start_ns_ + static_cast<TimeNs>(call / options_.calls_per_second * static_cast<double>(kNsPerSecond));
    };
    auto& slot = calls_[number];
    slot = std::make_unique<GenCall>(options_, number, start_of(number));
    GenCall& call = *slot;
    schedule(Kind::sip, call.start_ns, &call, 0);
    for (std::uint8_t stream = 0; stream < 2; ++stream) {
        schedule(Kind::due, call.streams[stream].first_ns, &call, 0, stream);
    }
    ++summary_.calls;
    if (number + 1 < options_.calls) schedule(Kind::call, start_of(number + 1), nullptr, number + 1);
    return options_.wav_directory.empty() ? Result<>{} : write_wavs(call);
}

Result<> Generator::write_wavs(const GenCall& call) const {
    for (std::uint32_t side = 0; side < 2; ++side) {
        const auto path =
            fmt::format("{}/call-{:06}-{}.wav", options_.wav_directory, call.number, side == 0 ? "caller" : "callee");
        if (const auto written = audio_.write_wav(call.streams[side].number, path); !written) return written;
    }
    return {};
}

Result<> Generator::send_sip(GenCall& call, std::uint32_t number) {
    const SipMessage& message = call.messages[number];
    const Peer& from = message.from_caller ? call.caller_sip : call.callee_sip;
    const Peer& to = message.from_caller ? call.callee_sip : call.caller_sip;
    PacketBuffer packet(from, to, message.text.size());
    std::ranges::copy(message.text, packet.payload().begin());
    if (number + 1 < call.messages.size()) schedule(Kind::sip, call.messages[number + 1].time_ns, &call, number + 1);
    const auto bytes = packet.finished(identification_++);
    ++summary_.sip_packets;
    summary_.bytes += bytes.size();
    return sink_.put(message.time_ns, bytes);
}

Result<> Generator::packet_due(const Event& event) {
    GenCall& call = *event.call;
    GenStream& stream = call.streams[event.stream];
    const std::uint32_t next = event.number + 1;
    if (next < options_.packets()) {
        schedule(Kind::due, stream.first_ns + options_.due_ns(next, event.stream == 0), &call, next, event.stream);
    }
    if (plain_) return send_rtp(event);
    if (chance(options_.seed, stream.number, event.number, kLoss) * 100 < options_.loss_pct) {
        stream.lost.push_back(event.number);
    } else {
        delay_packet(call, event.stream, event.number, event.time_ns);
    }
    return {};
}

void Generator::delay_packet(GenCall& call, std::uint8_t stream_index, std::uint32_t packet, TimeNs due_ns) {
    GenStream& stream = call.streams[stream_index];
    const auto happens = [&](std::uint32_t purpose, double percent) {
        return chance(options_.seed, stream.number, packet, purpose) * 100 < percent;
    };
    const double jitter_ns = chance(options_.seed, stream.number, packet, kJitter) * options_.jitter_ms * kNsPerMs;
    TimeNs time_ns = std::max(due_ns + static_cast<TimeNs>(jitter_ns), stream.last_ns + kSpacingNs);
    if (happens(kReorder, options_.reorder_pct)) {
        ++stream.reordered;
        time_ns += options_.ptime_ns() * 3 / 2;  // overtaken by the next one
    } else {
        stream.last_ns = time_ns;
    }
    schedule(Kind::send, time_ns, &call, packet, stream_index);
    if (happens(kDuplicate, options_.duplicates_pct)) {
        schedule(Kind::duplicate, time_ns + kDuplicateNs, &call, packet, stream_index);
    }
}

Result<> Generator::send_rtp(const Event& event) {
    GenStream& stream = event.call->streams[event.stream];
    audio_.payload(stream.number, event.number, stream.begin_packet(options_, event.number));
    ++(event.kind == Kind::duplicate ? stream.duplicates : stream.sent);
    const auto bytes = stream.packet.finished(identification_++);
    ++summary_.rtp_packets;
    summary_.bytes += bytes.size();
    return sink_.put(event.time_ns, bytes);
}

}  // namespace spantape::gen
