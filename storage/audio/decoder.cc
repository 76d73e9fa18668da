// SPDX-License-Identifier: AGPL-3.0-or-later
// spandsp: G.722, G.726, GSM, the concealment of losses for all but G.729 and Opus; bcg729: G.729; libopus: Opus;
// libavcodec: av_decoder.cc.
#include "storage/audio/decoder.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

extern "C" {
#include <bcg729/decoder.h>
}
#include <opus/opus.h>
#include <spandsp.h>

#include "storage/audio/av_decoder.h"

namespace spantape {
namespace {

constexpr std::size_t kGsmBytes = 33;
constexpr std::size_t kGsmSamples = 160;
constexpr std::size_t kG729Bytes = 10;
constexpr std::size_t kG729NoiseBytes = 2;  // Annex B: a silence descriptor, always the last of its packet
constexpr std::size_t kG729Samples = 80;
constexpr std::uint32_t kG729Hz = 8000;
constexpr std::int32_t kOpusHz = 48000;
constexpr std::size_t kOpusStep = kOpusHz / 400;  // its frames are multiples of 2.5 ms
constexpr std::size_t kOpusSilentBytes = 2;       // frames no longer than this announce that the sender is silent

// Longer losses cannot be concealed, only made up.
constexpr std::size_t longest_loss(std::uint32_t rate_hz) { return rate_hz * 12 / 100; }
// While silent, a sender of Opus tells so every 400 ms; one of G.729 only when the noise changes.
constexpr std::size_t kLongestOpusSilence = kOpusHz;
constexpr std::size_t kLongestG729Silence = std::size_t{30} * kG729Hz;

// Bytes that hold whole samples: 8 samples of 3 or 5 bits are 3 or 5 bytes.
std::size_t whole_g726_bytes(const PayloadFormat& format, std::size_t payload_bytes) {
    const std::size_t group = format.sample_bits % 2 == 1 ? format.sample_bits : 1;
    return payload_bytes / group * group;
}

template <typename State, int (*release)(State*)>
struct Release {
    void operator()(State* state) const { release(state); }
};
template <typename State, int (*release)(State*)>
using Owned = std::unique_ptr<State, Release<State, release>>;

template <typename Owner>
void check(const Owner& owner) {
    if (owner == nullptr) throw std::bad_alloc();
}

// Silence where a library gave less than was asked for.
void finish(std::span<std::int16_t> out, int written) {
    std::ranges::fill(out.subspan(std::min(out.size(), static_cast<std::size_t>(std::max(written, 0)))), 0);
}

class Stateless : public Decoder {
public:
    explicit Stateless(const PayloadFormat& format) : format_(format) {}
    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        finish(out, static_cast<int>(spantape::decode(format_, payload, out)));
    }

private:
    PayloadFormat format_;
};

class G722 : public Decoder {
public:
    G722() : state_(g722_decode_init(nullptr, 64000, 0)) { check(state_); }
    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        finish(out, g722_decode(state_.get(), out.data(), payload.data(), static_cast<int>(payload.size())));
    }

private:
    Owned<g722_decode_state_t, g722_decode_free> state_;
};

class G726 : public Decoder {
public:
    explicit G726(const PayloadFormat& format)
        : format_(format),
          state_(g726_init(nullptr, format.sample_bits * 8000, G726_ENCODING_LINEAR,
                           format.encoding == Encoding::g726 ? G726_PACKING_RIGHT : G726_PACKING_LEFT)) {
        check(state_);
    }
    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        const auto bytes = static_cast<int>(whole_g726_bytes(format_, payload.size()));
        finish(out, g726_decode(state_.get(), out.data(), payload.data(), bytes));
    }

private:
    PayloadFormat format_;
    Owned<g726_state_t, g726_free> state_;
};

class Gsm : public Decoder {
public:
    Gsm() : state_(gsm0610_init(nullptr, GSM0610_PACKING_VOIP)) { check(state_); }
    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        const auto bytes = static_cast<int>(payload.size() / kGsmBytes * kGsmBytes);
        finish(out, gsm0610_decode(state_.get(), out.data(), payload.data(), bytes));
    }

private:
    Owned<gsm0610_state_t, gsm0610_free> state_;
};

class G729 : public Decoder {
public:
    G729() : state_(initBcg729DecoderChannel()) { check(state_); }

    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        for (std::size_t at = 0; at < out.size(); at += kG729Samples) {
            const std::size_t bytes = std::min(payload.size(), kG729Bytes);
            in_noise_ = bytes < kG729Bytes;
            bcg729Decoder(state_.get(), payload.data(), static_cast<std::uint8_t>(bytes), 0, in_noise_ ? 1 : 0, 0,
                          out.data() + at);
            payload = payload.subspan(bytes);
        }
    }

    std::vector<std::int16_t> fill(const Gap& gap, std::span<const std::uint8_t> /*next*/) override {
        if (gap.lost ? gap.samples > longest_loss(kG729Hz) : !in_noise_) return {};
        const std::size_t samples = std::min(gap.samples, kLongestG729Silence) / kG729Samples * kG729Samples;
        std::vector<std::int16_t> out(samples);
        for (std::size_t at = 0; at < samples; at += kG729Samples)
            bcg729Decoder(state_.get(), nullptr, 0, 1, 0, 0, out.data() + at);
        return out;
    }

private:
    struct Close {
        void operator()(bcg729DecoderChannelContextStruct* state) const { closeBcg729DecoderChannel(state); }
    };
    std::unique_ptr<bcg729DecoderChannelContextStruct, Close> state_;
    bool in_noise_ = false;
};

class Opus : public Decoder {
public:
    Opus() : state_(opus_decoder_create(kOpusHz, 1, nullptr)) { check(state_); }

    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        in_silence_ = payload.size() <= kOpusSilentBytes;
        finish(out, opus_decode(state_.get(), payload.data(), static_cast<opus_int32>(payload.size()), out.data(),
                                static_cast<int>(out.size()), 0));
    }

    // The frame after a loss may carry the one before it; libopus conceals what else there is.
    std::vector<std::int16_t> fill(const Gap& gap, std::span<const std::uint8_t> next) override {
        const std::size_t longest = longest_loss(kOpusHz);
        if (gap.lost ? gap.samples > longest : !in_silence_) return {};
        std::vector<std::int16_t> out(std::min(gap.samples, kLongestOpusSilence) / kOpusStep * kOpusStep);
        for (std::size_t at = 0; at < out.size(); at += longest) {
            const std::span<std::int16_t> part(out.data() + at, std::min(longest, out.size() - at));
            conceal(part, gap.lost ? next : std::span<const std::uint8_t>());
        }
        return out;
    }

private:
    void conceal(std::span<std::int16_t> out, std::span<const std::uint8_t> next) {
        finish(out, opus_decode(state_.get(), next.data(), static_cast<opus_int32>(next.size()), out.data(),
                                static_cast<int>(out.size()), next.empty() ? 0 : 1));
    }

    struct Destroy {
        void operator()(OpusDecoder* state) const { opus_decoder_destroy(state); }
    };
    std::unique_ptr<OpusDecoder, Destroy> state_;
    bool in_silence_ = false;
};

// A codec that knows nothing to put into a gap: the voice goes on at its pitch, fading within 50 ms, and what follows
// is blended in (spandsp's concealment, after G.711 Appendix I). What was heard is left as it is.
class Concealed : public Decoder {
public:
    // Its pitch search is made for these.
    static constexpr std::uint32_t kFastestHz = 16000;

    Concealed(std::unique_ptr<Decoder> codec, std::uint32_t rate_hz)
        : codec_(std::move(codec)), longest_(longest_loss(rate_hz)), state_(plc_init(nullptr)) {
        check(state_);
    }
    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        codec_->decode(payload, out);
        if (concealing_) plc_rx(state_.get(), out.data(), static_cast<int>(out.size()));
        concealing_ = false;
        remember(out);
    }
    std::vector<std::int16_t> fill(const Gap& gap, std::span<const std::uint8_t> /*next*/) override {
        if (!gap.lost || gap.samples > longest_) return {};
        // It hears the history anew, whole: where it had it in two parts, its copy of them overlaps.
        if (!concealing_) {
            plc_init(state_.get());
            std::array<std::int16_t, PLC_HISTORY_LEN> heard = heard_;
            plc_rx(state_.get(), heard.data(), static_cast<int>(heard.size()));
            concealing_ = true;
        }
        // It writes a quarter of a pitch period even where less was asked for.
        std::vector<std::int16_t> out(std::max<std::size_t>(gap.samples, PLC_PITCH_MIN));
        plc_fillin(state_.get(), out.data(), static_cast<int>(gap.samples));
        out.resize(gap.samples);
        remember(out);
        return out;
    }

private:
    void remember(std::span<const std::int16_t> samples) {
        const auto latest = samples.last(std::min(samples.size(), heard_.size()));
        std::shift_left(heard_.begin(), heard_.end(), static_cast<std::ptrdiff_t>(latest.size()));
        std::ranges::copy(latest, heard_.end() - static_cast<std::ptrdiff_t>(latest.size()));
    }

    std::unique_ptr<Decoder> codec_;
    std::size_t longest_;
    Owned<plc_state_t, plc_free> state_;
    std::array<std::int16_t, PLC_HISTORY_LEN> heard_{};
    bool concealing_ = false;  // the frame to come is blended in
};

std::unique_ptr<Decoder> make_codec(const PayloadFormat& format) {
    switch (format.encoding) {
        case Encoding::g722:
            return std::make_unique<G722>();
        case Encoding::g726:
        case Encoding::g726_aal2:
            return std::make_unique<G726>(format);
        case Encoding::gsm:
            return std::make_unique<Gsm>();
        default:
            if (is_av_codec(format.encoding)) return make_av_decoder(format);
            return std::make_unique<Stateless>(format);
    }
}

std::size_t opus_samples(std::span<const std::uint8_t> payload) {
    if (payload.empty()) return 0;
    const int samples = opus_packet_get_nb_samples(payload.data(), static_cast<opus_int32>(payload.size()), kOpusHz);
    return static_cast<std::size_t>(std::max(samples, 0));
}

}  // namespace

std::size_t frame_samples(const PayloadFormat& format, std::span<const std::uint8_t> payload) {
    switch (format.encoding) {
        case Encoding::g722:
            return 2 * payload.size();
        case Encoding::g726:
        case Encoding::g726_aal2:
            return whole_g726_bytes(format, payload.size()) * 8 / format.sample_bits;
        case Encoding::gsm:
            return payload.size() / kGsmBytes * kGsmSamples;
        case Encoding::g729: {
            const bool noise = payload.size() % kG729Bytes == kG729NoiseBytes;
            return (payload.size() / kG729Bytes + (noise ? 1 : 0)) * kG729Samples;
        }
        case Encoding::opus:
            return opus_samples(payload);
        case Encoding::amr:
        case Encoding::amr_wb:
        case Encoding::g723:
        case Encoding::ilbc:
        case Encoding::speex:
            return av_frame_samples(format, payload);
        default:
            return decoded_samples(format, payload.size());
    }
}

std::unique_ptr<Decoder> make_decoder(const PayloadFormat& format) {
    if (format.encoding == Encoding::g729) return std::make_unique<G729>();
    if (format.encoding == Encoding::opus) return std::make_unique<Opus>();
    auto codec = make_codec(format);
    const std::uint32_t rate_hz = format.sample_rate_hz();
    if (rate_hz > Concealed::kFastestHz) return codec;
    return std::make_unique<Concealed>(std::move(codec), rate_hz);
}

}  // namespace spantape
