// SPDX-License-Identifier: AGPL-3.0-or-later
// What spantape-gen was asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/clock.h"

namespace spantape::gen {

enum class Codec : std::uint8_t { pcmu, pcma, l16 };

struct GenOptions {
    std::uint32_t calls = 1;
    double seconds = 10;  // of media, a call
    Codec codec = Codec::pcmu;
    double calls_per_second = 10;
    std::uint32_t ptime_ms = 20;
    std::uint32_t ring_ms = 500;  // INVITE to 200
    double loss_pct = 0;
    double jitter_ms = 0;
    double duplicates_pct = 0;
    double reorder_pct = 0;
    double no_bye_pct = 0;
    double drift_ppm = 0;  // by which the caller's clock is slow
    std::uint32_t seed = 1;
    std::optional<std::uint32_t> ssrc_base;
    std::optional<double> start_s;   // UNIX time of the first INVITE
    std::vector<std::string> audio;  // WAV files
    std::string wav_directory;       // empty: none written
    std::string manifest;            // empty: none
    std::string out;                 // pcap file, or
    std::string interface;           // live

    [[nodiscard]] std::uint32_t sample_rate_hz() const { return codec == Codec::l16 ? 16000 : 8000; }
    [[nodiscard]] std::uint32_t samples_per_packet() const { return sample_rate_hz() / 1000 * ptime_ms; }
    [[nodiscard]] std::uint32_t payload_bytes() const { return samples_per_packet() * (codec == Codec::l16 ? 2 : 1); }
    [[nodiscard]] std::uint8_t payload_type() const { return codec == Codec::pcmu ? 0 : codec == Codec::pcma ? 8 : 96; }
    [[nodiscard]] const char* encoding() const {
        return codec == Codec::pcmu ? "PCMU" : codec == Codec::pcma ? "PCMA" : "L16";
    }
    [[nodiscard]] TimeNs ptime_ns() const { return ptime_ms * kNsPerMs; }
    // When a stream's packet is due after its first; of the caller's stream, by its own clock.
    [[nodiscard]] TimeNs due_ns(std::uint32_t packet, bool of_caller) const {
        const TimeNs by_the_clock = packet * ptime_ns();
        if (!of_caller || drift_ppm == 0) return by_the_clock;
        return by_the_clock + static_cast<TimeNs>(static_cast<double>(by_the_clock) * drift_ppm * 1e-6);
    }
    [[nodiscard]] std::uint32_t packets() const {
        const auto count = static_cast<std::uint32_t>(seconds * 1000 / ptime_ms + 0.5);
        return count == 0 ? 1 : count;
    }
};

// A number in [0, 1) that depends on nothing but its arguments, so that a run can be repeated.
double chance(std::uint32_t seed, std::uint32_t stream, std::uint32_t packet, std::uint32_t purpose);

}  // namespace spantape::gen
