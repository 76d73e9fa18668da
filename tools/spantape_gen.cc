// SPDX-License-Identifier: AGPL-3.0-or-later
// spantape-gen: makes calls (SIP and RTP with known audio) into a pcap file or onto an interface.
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "capture/base/clock.h"
#include "tools/gen/generator.h"

namespace spantape::gen {
namespace {

constexpr double kFileStart = 1'700'000'000;      // 2023-11-14 22:13:20 UTC: files come out the same every time
constexpr std::uint32_t kMaxCalls = 1'000'000;    // as many as there are addresses
constexpr std::uint32_t kMaxPayloadBytes = 1400;  // into one Ethernet frame

constexpr const char* kAbout =
    "Makes SIP calls with RTP in both directions: INVITE, 100, 180, 200, ACK, media, BYE, 200. Each call has "
    "addresses\n"
    "and ports of its own (caller 10.16.0.1 + call, callee 10.32.0.1 + call). The same options give the same packets.";

constexpr const char* kFormulaText =
    "The audio of stream s (2 * call for the caller's, 2 * call + 1 for the callee's), sample n (packet * samples per\n"
    "packet + place in it; lost packets count), at sample rate R, unless --audio names files:\n"
    "  T[i] = round(6000 * sin(2 * pi * i / R))\n"
    "  f1 = 300 + 10 * (s mod 97), f2 = 1300 + 10 * (s / 97 mod 101)\n"
    "  x = (n + s * 0x9e3779b1) mod 2^32, then modulo 2^32:\n"
    "      x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16\n"
    "  value = T[f1 * n mod R] + T[f2 * n mod R] + (x mod 512) - 256\n"
    "sent as it is (L16, big endian) or as G.711 by the ITU reference's encoder (tools/gen/known_audio.h).\n"
    "Exit status: 0 done, 1 failed, 2 wrong options.";

Codec codec_of(const std::string& name) {
    return name == "pcma" ? Codec::pcma : name == "l16" ? Codec::l16 : Codec::pcmu;
}

void define(CLI::App& app, GenOptions& options, bool& seconds_given) {
    app.footer(kFormulaText);
    app.add_option("--calls", options.calls, "How many calls")->check(CLI::Range(1u, kMaxCalls))->capture_default_str();
    app.add_option_function<double>(
           "--seconds",
           [&](double seconds) {
               options.seconds = seconds;
               seconds_given = true;
           },
           "Media of each call; with --audio the longest file if not given (otherwise 10)")
        ->check(CLI::Range(0.001, 86400.0));
    app.add_option_function<std::string>(
           "--codec", [&](const std::string& name) { options.codec = codec_of(name); },
           "pcmu, pcma (8 kHz) or l16 (16 kHz, payload type 96)")
        ->check(CLI::IsMember({"pcmu", "pcma", "l16"}))
        ->default_str("pcmu");
    app.add_option("--rate", options.calls_per_second, "New calls a second")
        ->check(CLI::Range(0.001, 1e6))
        ->capture_default_str();
    app.add_option("--ptime", options.ptime_ms, "Milliseconds of audio a packet")
        ->check(CLI::Range(5u, 175u))
        ->capture_default_str();
    app.add_option("--ring", options.ring_ms, "Milliseconds from INVITE to 200, at least 25")
        ->check(CLI::Range(25u, 3'600'000u))
        ->capture_default_str();
    const auto percent = CLI::Range(0.0, 100.0);
    app.add_option("--loss", options.loss_pct, "Percent of RTP packets that are not sent")->check(percent);
    app.add_option("--jitter", options.jitter_ms, "Each packet up to so many milliseconds late; order is kept")
        ->check(CLI::Range(0.0, 10'000.0));
    app.add_option("--duplicates", options.duplicates_pct, "Percent sent a second time, 0.1 ms later")->check(percent);
    app.add_option("--reorder", options.reorder_pct, "Percent sent one and a half packets late")->check(percent);
    app.add_option("--no-bye", options.no_bye_pct, "Percent of calls that end without BYE")->check(percent);
    app.add_option("--drift", options.drift_ppm,
                   "The caller's clock is slow by so many parts in a million; negative: fast")
        ->check(CLI::Range(-1000.0, 1000.0));
    app.add_option("--seed", options.seed, "Of everything that is drawn by lot")->capture_default_str();
    app.add_option("--ssrc-base", options.ssrc_base, "SSRC of stream s is this + s (otherwise drawn by lot)");
    app.add_option("--start", options.start_s,
                   "UNIX time of the first INVITE (a file: otherwise 1700000000; an interface: otherwise at once)")
        ->check(CLI::Range(0.0, 9e9));
    app.add_option("--audio", options.audio,
                   "WAV files to speak: stream s speaks file s modulo their number, then is silent")
        ->delimiter(',');
    app.add_option("--wav", options.wav_directory,
                   "Folder for the truth: call-NNNNNN-caller.wav and -callee.wav, every packet decoded, lost ones too");
    app.add_option("--manifest", options.manifest, "JSON file that says what was sent");
    auto* target = app.add_option_group("target", "one of");
    target->add_option("--out", options.out, "pcap file to write (nanoseconds, Ethernet); - is standard output");
    target->add_option("--interface", options.interface, "Send live from this interface (needs CAP_NET_RAW)");
    target->require_option(1);
}

Result<> check(const GenOptions& options) {
    if (options.payload_bytes() > kMaxPayloadBytes) {
        return fail("--ptime {}: {} at {} Hz makes {} bytes a packet, more than the {} that fit", options.ptime_ms,
                    options.encoding(), options.sample_rate_hz(), options.payload_bytes(), kMaxPayloadBytes);
    }
    if (!options.wav_directory.empty()) {
        std::error_code error;
        std::filesystem::create_directories(options.wav_directory, error);
        if (error) return fail("--wav {}: {}", options.wav_directory, error.message());
    }
    return {};
}

TimeNs start_of(const GenOptions& options) {
    if (options.start_s) return std::llround(*options.start_s * 1e6) * 1000;
    return options.interface.empty() ? static_cast<TimeNs>(kFileStart) * kNsPerSecond : wall_clock_ns() + 50 * kNsPerMs;
}

Result<> generate(GenOptions& options, bool seconds_given) {
    if (const auto checked = check(options); !checked) return checked;
    auto audio = AudioSource::open(options);
    if (!audio) return std::unexpected(audio.error());
    if (!seconds_given && audio->longest_s() > 0) {
        options.seconds = audio->longest_s();
        audio->set_seconds(options.seconds);
    }
    auto manifest = Manifest::open(options);
    if (!manifest) return std::unexpected(manifest.error());
    auto sink = options.interface.empty() ? open_pcap_sink(options.out) : open_interface_sink(options.interface);
    if (!sink) return std::unexpected(sink.error());
    const TimeNs begun_ns = monotonic_ns();
    const auto summary = Generator(options, *audio, *manifest, **sink, start_of(options)).run();
    if (!summary) return std::unexpected(summary.error());
    if (const auto finished = manifest->finish(); !finished) return finished;
    fmt::print(stderr, "{} calls, {} RTP and {} SIP packets, {} bytes in {:.2f} s", summary->calls,
               summary->rtp_packets, summary->sip_packets, summary->bytes, seconds(monotonic_ns() - begun_ns));
    if (!options.interface.empty()) fmt::print(stderr, ", {} sent more than 10 ms late", (*sink)->late());
    fmt::print(stderr, "\n");
    return {};
}

int run(int argc, char** argv) {
    CLI::App app(kAbout, "spantape-gen");
    GenOptions options;
    bool seconds_given = false;
    define(app, options, seconds_given);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    const auto done = generate(options, seconds_given);
    if (done) return 0;
    fmt::print(stderr, "spantape-gen: {}\n", done.error().message);
    return 1;
}

}  // namespace
}  // namespace spantape::gen

int main(int argc, char** argv) { return spantape::gen::run(argc, argv); }
