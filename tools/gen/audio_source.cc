// SPDX-License-Identifier: AGPL-3.0-or-later
// Known audio or speech from files, encoded by table.
#include "tools/gen/audio_source.h"

#include <sndfile.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "storage/audio/codec.h"
#include "storage/audio/resampler.h"
#include "storage/export/wav.h"

namespace spantape::gen {
namespace {

Result<std::vector<std::int16_t>> read_file(const std::string& path, std::uint32_t rate_hz) {
    SF_INFO info{};
    const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open(path.c_str(), SFM_READ, &info), sf_close);
    if (!file) return fail("{}: cannot be read as audio: {}", path, sf_strerror(nullptr));
    const auto channels = static_cast<std::size_t>(info.channels);
    std::vector<std::int16_t> mixed;
    std::vector<std::int16_t> block(4096 * channels);
    for (sf_count_t got = 0; (got = sf_readf_short(file.get(), block.data(), 4096)) > 0;) {
        for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
            int sum = 0;
            for (std::size_t channel = 0; channel < channels; ++channel) sum += block[i * channels + channel];
            mixed.push_back(static_cast<std::int16_t>(sum / info.channels));
        }
    }
    if (static_cast<std::uint32_t>(info.samplerate) == rate_hz) return mixed;
    auto resampler = Resampler::open(static_cast<std::uint32_t>(info.samplerate), rate_hz);
    if (!resampler) return fail("{}: {}", path, resampler.error().message);
    std::vector<std::int16_t> out;
    auto done = (*resampler)->push(mixed, out);
    if (done) done = (*resampler)->finish(out);
    if (!done) return fail("{}: {}", path, done.error().message);
    return out;
}

}  // namespace

AudioSource::AudioSource(const GenOptions& options) : options_(options), known_(options.sample_rate_hz()) {
    if (options.codec == Codec::l16) return;
    codes_.resize(65536);
    for (std::size_t i = 0; i < codes_.size(); ++i) {
        const auto sample = static_cast<std::int16_t>(static_cast<std::uint16_t>(i));
        codes_[i] = options.codec == Codec::pcmu ? mulaw_code(sample) : alaw_code(sample);
    }
}

Result<AudioSource> AudioSource::open(const GenOptions& options) {
    AudioSource source(options);
    for (const auto& path : options.audio) {
        auto samples = read_file(path, options.sample_rate_hz());
        if (!samples) return std::unexpected(samples.error());
        source.speech_.push_back(std::move(*samples));
    }
    return source;
}

double AudioSource::longest_s() const {
    std::size_t longest = 0;
    for (const auto& samples : speech_) longest = std::max(longest, samples.size());
    return static_cast<double>(longest) / options_.sample_rate_hz();
}

std::string AudioSource::file_of(std::uint32_t stream) const {
    return speech_.empty() ? std::string() : options_.audio[stream % options_.audio.size()];
}

template <class Put>
void AudioSource::samples(std::uint32_t stream, std::uint32_t packet, Put put) const {
    const std::uint32_t count = options_.samples_per_packet();
    const std::uint64_t first = std::uint64_t{packet} * count;
    if (speech_.empty()) return known_.samples(stream, first, count, put);
    const auto& speech = speech_[stream % speech_.size()];
    for (std::uint64_t n = first; n < first + count; ++n) put(n < speech.size() ? speech[n] : std::int16_t{0});
}

void AudioSource::payload(std::uint32_t stream, std::uint32_t packet, std::uint8_t* out) const {
    if (options_.codec == Codec::l16) {
        samples(stream, packet, [&](std::int16_t sample) {
            *out++ = static_cast<std::uint8_t>(sample >> 8 & 0xff);
            *out++ = static_cast<std::uint8_t>(sample & 0xff);
        });
    } else {
        samples(stream, packet, [&](std::int16_t sample) { *out++ = codes_[static_cast<std::uint16_t>(sample)]; });
    }
}

Result<> AudioSource::write_wav(std::uint32_t stream, const std::string& path) const {
    std::ofstream file(path, std::ios::binary);
    const std::uint64_t frames = std::uint64_t{options_.packets()} * options_.samples_per_packet();
    const std::string header = wav_header({options_.sample_rate_hz(), 1}, frames);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    const Encoding encoding = options_.codec == Codec::pcmu   ? Encoding::pcmu
                              : options_.codec == Codec::pcma ? Encoding::pcma
                                                              : Encoding::l16;
    std::vector<std::uint8_t> payload_bytes(options_.payload_bytes());
    std::vector<std::int16_t> decoded(options_.samples_per_packet());
    for (std::uint32_t packet = 0; packet < options_.packets(); ++packet) {
        payload(stream, packet, payload_bytes.data());
        decode({encoding, options_.sample_rate_hz(), 1}, payload_bytes, decoded);
        // 16-bit samples lie in memory as WAV wants them: little endian.
        file.write(reinterpret_cast<const char*>(decoded.data()), static_cast<std::streamsize>(decoded.size() * 2));
    }
    file.close();
    if (!file) return fail("{}: cannot be written: {}", path, std::strerror(errno));
    return {};
}

}  // namespace spantape::gen
