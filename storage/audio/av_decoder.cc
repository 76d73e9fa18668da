// SPDX-License-Identifier: AGPL-3.0-or-later
// RFC 4867 (AMR, AMR-WB), RFC 3551 §4.5.3 (G.723.1), RFC 3952 (iLBC), RFC 5574 (Speex).
#include "storage/audio/av_decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
}

namespace spantape {
namespace {

// A codec's frame as the library takes it, padded as it asks for. No frame of these codecs is longer.
struct CodecFrame {
    static constexpr std::size_t kMostBytes = 512;
    std::array<std::uint8_t, kMostBytes + AV_INPUT_BUFFER_PADDING_SIZE> bytes{};
    std::size_t size = 0;
    std::size_t samples = 0;

    void assign(std::span<const std::uint8_t> from) {
        size = std::min(from.size(), kMostBytes);
        std::memcpy(bytes.data(), from.data(), size);
        std::memset(bytes.data() + size, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    }
};

// --- AMR: a table of contents, then the frames' bits, on octets or not (RFC 4867 §4.3, §4.4)

constexpr std::array<std::uint16_t, 9> kAmrBits{95, 103, 118, 134, 148, 159, 204, 244, 39};
constexpr std::array<std::uint16_t, 10> kAmrWidebandBits{132, 177, 253, 285, 317, 365, 397, 461, 477, 40};
constexpr std::uint8_t kAmrLost = 14, kAmrNoData = 15;  // frame types without bits; 14 of AMR-WB alone
constexpr std::size_t kMostFrames = 32;  // of one payload, in any of these codecs: half a second and more

class BitReader {
public:
    explicit BitReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
    [[nodiscard]] std::size_t left() const { return bytes_.size() * 8 - at_; }
    // At most 8; 0 past the end.
    std::uint8_t take(unsigned bits) {
        std::uint8_t value = 0;
        for (; bits > 0; --bits, ++at_) {
            const bool set = at_ < bytes_.size() * 8 && (bytes_[at_ / 8] >> (7 - at_ % 8) & 1) != 0;
            value = static_cast<std::uint8_t>(value << 1 | (set ? 1 : 0));
        }
        return value;
    }
    void align() { at_ = (at_ + 7) / 8 * 8; }

private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

// The frames' types; none when it is no such payload. The reader stands at the first frame's bits.
std::vector<std::uint8_t> amr_contents(BitReader& reader, const PayloadFormat& format) {
    const bool wideband = format.encoding == Encoding::amr_wb;
    std::vector<std::uint8_t> contents;
    reader.take(format.octet_aligned ? 8 : 4);  // the mode that the sender asks for
    std::size_t bits = 0;
    for (bool more = true; more;) {
        if (reader.left() < 6 || contents.size() == kMostFrames) return {};
        more = reader.take(1) != 0;
        const std::uint8_t type = reader.take(4);
        reader.take(format.octet_aligned ? 3 : 1);  // its quality, and padding
        const bool coded = wideband ? type < kAmrWidebandBits.size() : type < kAmrBits.size();
        if (!coded && type != kAmrNoData && !(wideband && type == kAmrLost)) return {};
        if (coded) {
            const std::size_t each = wideband ? kAmrWidebandBits[type] : kAmrBits[type];
            bits += format.octet_aligned ? (each + 7) / 8 * 8 : each;
        }
        contents.push_back(type);
    }
    return bits <= reader.left() ? contents : std::vector<std::uint8_t>{};
}

template <class Visit>
void amr_frames(const PayloadFormat& format, std::span<const std::uint8_t> payload, Visit visit) {
    const bool wideband = format.encoding == Encoding::amr_wb;
    BitReader reader(payload);
    CodecFrame frame;
    frame.samples = format.clock_rate_hz / 50;
    for (const std::uint8_t type : amr_contents(reader, format)) {
        const bool coded = wideband ? type < kAmrWidebandBits.size() : type < kAmrBits.size();
        std::size_t bits = coded ? (wideband ? kAmrWidebandBits[type] : kAmrBits[type]) : 0;
        frame.bytes.fill(0);
        frame.bytes[0] = static_cast<std::uint8_t>(type << 3 | 4);  // as in a file (RFC 4867 §5.3)
        frame.size = 1;
        for (; bits > 0; bits -= std::min<std::size_t>(bits, 8)) {
            const auto count = static_cast<unsigned>(std::min<std::size_t>(bits, 8));
            frame.bytes[frame.size++] = static_cast<std::uint8_t>(reader.take(count) << (8 - count));
        }
        if (format.octet_aligned) reader.align();
        visit(frame);
    }
}

// --- the others: one frame behind the other

// Bytes of the frame at the begin; 0: none.
std::size_t frame_bytes(Encoding encoding, std::span<const std::uint8_t> payload) {
    constexpr std::array<std::size_t, 4> kG723Bytes{24, 20, 4, 1};  // by the lowest bits
    switch (encoding) {
        case Encoding::g723:
            return kG723Bytes[payload.front() & 3];
        case Encoding::ilbc:
            return payload.size() % 50 == 0 ? 50 : 38;
        default:
            return payload.size();  // Speex: one a packet
    }
}

std::size_t samples_of_frame(const PayloadFormat& format, std::size_t bytes) {
    switch (format.encoding) {
        case Encoding::g723:
            return 240;
        case Encoding::ilbc:
            return bytes == 50 ? 240 : 160;
        default:
            return format.clock_rate_hz / 50;
    }
}

template <class Visit>
void for_each_frame(const PayloadFormat& format, std::span<const std::uint8_t> payload, Visit visit) {
    if (format.encoding == Encoding::amr || format.encoding == Encoding::amr_wb)
        return amr_frames(format, payload, visit);
    CodecFrame frame;
    for (std::size_t frames = 0; !payload.empty() && frames < kMostFrames; ++frames) {
        const std::size_t bytes = frame_bytes(format.encoding, payload);
        if (bytes > payload.size() || bytes > CodecFrame::kMostBytes) return;
        frame.assign(payload.first(bytes));
        frame.samples = samples_of_frame(format, bytes);
        visit(frame);
        payload = payload.subspan(bytes);
    }
}

AVCodecID library_codec(Encoding encoding) {
    switch (encoding) {
        case Encoding::amr:
            return AV_CODEC_ID_AMR_NB;
        case Encoding::amr_wb:
            return AV_CODEC_ID_AMR_WB;
        case Encoding::g723:
            return AV_CODEC_ID_G723_1;
        case Encoding::ilbc:
            return AV_CODEC_ID_ILBC;
        case Encoding::speex:
            return AV_CODEC_ID_SPEEX;
        default:
            return AV_CODEC_ID_NONE;
    }
}

class AvDecoder : public Decoder {
public:
    explicit AvDecoder(const PayloadFormat& format)
        : format_(format), packet_(av_packet_alloc()), got_(av_frame_alloc()) {
        if (packet_ == nullptr || got_ == nullptr) throw std::bad_alloc();
    }

    void decode(std::span<const std::uint8_t> payload, std::span<std::int16_t> out) override {
        std::ranges::fill(out, 0);
        for_each_frame(format_, payload, [&](CodecFrame& frame) {
            const std::size_t samples = std::min(frame.samples, out.size());
            decode_frame(frame, out.first(samples));
            out = out.subspan(samples);
        });
    }

private:
    struct Free {
        void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
        void operator()(AVPacket* packet) const { av_packet_free(&packet); }
        void operator()(AVFrame* frame) const { av_frame_free(&frame); }
    };

    // With the first frame, which tells which of iLBC's two it is. False: the library has no such decoder.
    bool open(std::size_t frame_bytes) {
        if (tried_) return context_ != nullptr;
        tried_ = true;
        const AVCodec* codec = avcodec_find_decoder(library_codec(format_.encoding));
        if (codec == nullptr) return false;
        context_.reset(avcodec_alloc_context3(codec));
        if (context_ == nullptr) throw std::bad_alloc();
        context_->sample_rate = static_cast<int>(format_.clock_rate_hz);
        context_->ch_layout = AV_CHANNEL_LAYOUT_MONO;
        context_->block_align = static_cast<int>(frame_bytes);
        if (avcodec_open2(context_.get(), codec, nullptr) < 0) context_.reset();
        return context_ != nullptr;
    }

    void decode_frame(CodecFrame& frame, std::span<std::int16_t> out) {
        if (!open(frame.size)) return;
        packet_->data = frame.bytes.data();
        packet_->size = static_cast<int>(frame.size);
        if (avcodec_send_packet(context_.get(), packet_.get()) < 0) return;
        if (avcodec_receive_frame(context_.get(), got_.get()) < 0) return;
        const std::size_t samples = std::min(out.size(), static_cast<std::size_t>(std::max(got_->nb_samples, 0)));
        const std::uint8_t* data = got_->data[0];
        switch (static_cast<AVSampleFormat>(got_->format)) {  // of one channel: planar or not is the same
            case AV_SAMPLE_FMT_S16:
            case AV_SAMPLE_FMT_S16P:
                std::memcpy(out.data(), data, samples * sizeof(std::int16_t));
                break;
            case AV_SAMPLE_FMT_FLT:
            case AV_SAMPLE_FMT_FLTP:
                for (std::size_t i = 0; i < samples; ++i) {
                    float sample = 0;
                    std::memcpy(&sample, data + i * sizeof sample, sizeof sample);
                    if (std::isnan(sample)) sample = 0;
                    out[i] = static_cast<std::int16_t>(std::lrint(std::clamp(sample * 32768.0F, -32768.0F, 32767.0F)));
                }
                break;
            default:
                break;
        }
        av_frame_unref(got_.get());
    }

    PayloadFormat format_;
    bool tried_ = false;
    std::unique_ptr<AVCodecContext, Free> context_;
    std::unique_ptr<AVPacket, Free> packet_;
    std::unique_ptr<AVFrame, Free> got_;
};

}  // namespace

bool is_av_codec(Encoding encoding) { return library_codec(encoding) != AV_CODEC_ID_NONE; }

std::size_t av_frame_samples(const PayloadFormat& format, std::span<const std::uint8_t> payload) {
    std::size_t samples = 0;
    for_each_frame(format, payload, [&](const CodecFrame& frame) { samples += frame.samples; });
    return samples;
}

std::unique_ptr<Decoder> make_av_decoder(const PayloadFormat& format) {
    static const bool quiet = [] {
        av_log_set_level(AV_LOG_QUIET);  // damaged frames are silence, not lines on standard error
        return true;
    }();
    static_cast<void>(quiet);
    return std::make_unique<AvDecoder>(format);
}

}  // namespace spantape
