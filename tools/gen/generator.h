// SPDX-License-Identifier: AGPL-3.0-or-later
// Makes the calls: a heap of what is due next over the calls that are up, so that memory goes with the calls at
// once, not with their number or length.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "tools/gen/audio_source.h"
#include "tools/gen/call.h"
#include "tools/gen/manifest.h"
#include "tools/gen/sink.h"

namespace spantape::gen {

struct GenSummary {
    std::uint64_t calls = 0;
    std::uint64_t rtp_packets = 0;  // put out, duplicates included
    std::uint64_t sip_packets = 0;
    std::uint64_t bytes = 0;
};

class Generator {
public:
    // All must outlive it. start_ns: of the first INVITE.
    Generator(const GenOptions& options, const AudioSource& audio, Manifest& manifest, PacketSink& sink,
              TimeNs start_ns)
        : options_(options),
          audio_(audio),
          manifest_(manifest),
          sink_(sink),
          start_ns_(start_ns),
          plain_(options.loss_pct == 0 && options.jitter_ms == 0 && options.duplicates_pct == 0 &&
                 options.reorder_pct == 0) {}

    Result<GenSummary> run();

private:
    enum class Kind : std::uint8_t { call, sip, due, send, duplicate };
    struct Event {
        TimeNs time_ns = 0;
        std::uint64_t order = 0;  // among those of one time
        GenCall* call = nullptr;
        std::uint32_t number = 0;  // of the call, message or packet
        std::uint8_t stream = 0;   // 0 or 1
        Kind kind = Kind::call;
        bool operator>(const Event& other) const {
            return time_ns != other.time_ns ? time_ns > other.time_ns : order > other.order;
        }
    };

    void schedule(Kind kind, TimeNs time_ns, GenCall* call, std::uint32_t number, std::uint8_t stream = 0);
    Result<> handle(const Event& event);
    Result<> begin_call(std::uint32_t number);
    Result<> send_sip(GenCall& call, std::uint32_t number);
    Result<> packet_due(const Event& event);
    void delay_packet(GenCall& call, std::uint8_t stream, std::uint32_t packet, TimeNs due_ns);
    Result<> send_rtp(const Event& event);
    Result<> write_wavs(const GenCall& call) const;
    void end_event(GenCall& call);

    const GenOptions& options_;
    const AudioSource& audio_;
    Manifest& manifest_;
    PacketSink& sink_;
    TimeNs start_ns_;
    bool plain_;  // every packet goes out when it is due
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::map<std::uint32_t, std::unique_ptr<GenCall>> calls_;  // those that are up
    std::uint64_t order_ = 0;
    std::uint16_t identification_ = 0;
    GenSummary summary_;
};

}  // namespace spantape::gen
