// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/encoded_file.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/dict.h>
#include <libavutil/log.h>
}

namespace spantape {
namespace {

constexpr int kPageBytes = 1 << 15;

struct Recipe {
    const char *name, *encoder, *muxer;
    AVSampleFormat samples;
    bool mono, lossless;
    const char* muxer_options;
};

// By Encoding. The Xing frame of MP3 tells what is known only at the end; at a constant bit rate it is not needed. A
// fragmented MP4 file has its index in pieces; delay_moov makes room for the encoder's delay in the first.
constexpr std::array kRecipes{
    Recipe{"MP3", "libmp3lame", "mp3", AV_SAMPLE_FMT_S16P, true, false, "write_xing=0"},
    Recipe{"M4A", "aac", "ipod", AV_SAMPLE_FMT_FLTP, true, false,
           "movflags=empty_moov+default_base_moof+delay_moov:frag_duration=2000000"},
    Recipe{"FLAC", "flac", "flac", AV_SAMPLE_FMT_S16, false, true, ""},
    Recipe{"Ogg", "libopus", "ogg", AV_SAMPLE_FMT_S16, false, false, ""},
};

// Each rate is one of MP3, AAC and Opus, each bit rate one of MPEG layer 3 at that rate.
std::int64_t bit_rate_of_channel(std::uint32_t rate_hz) {
    switch (rate_hz) {
        case 8000:
            return 32'000;
        case 16'000:
            return 48'000;
        case 24'000:
        case 48'000:
            return 64'000;
        default:
            return 0;
    }
}

AudioFormat format_for(const Recipe& recipe, AudioFormat own) {
    if (recipe.mono) own.channels = 1;
    if (!recipe.lossless && bit_rate_of_channel(own.sample_rate_hz) == 0) own.sample_rate_hz = 48'000;
    return own;
}

// How many samples there are stands in FLAC's header, which the encoder writes before it knows
// (RFC 9639 §8.2: 36 bits, from the middle of byte 13 on).
void tell_flac_total(std::span<std::uint8_t> stream_info, std::uint64_t frames) {
    if (stream_info.size() < 18 || frames >> 36 != 0) return;
    stream_info[13] = static_cast<std::uint8_t>((stream_info[13] & 0xf0) | frames >> 32);
    for (std::size_t i = 0; i < 4; ++i) stream_info[14 + i] = static_cast<std::uint8_t>(frames >> (24 - 8 * i));
}

struct Free {
    void operator()(AVCodecContext* encoder) const { avcodec_free_context(&encoder); }
    void operator()(AVFormatContext* muxer) const { avformat_free_context(muxer); }
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
    void operator()(AVFrame* frame) const { av_frame_free(&frame); }
    void operator()(AVIOContext* io) const {
        av_freep(static_cast<void*>(&io->buffer));
        avio_context_free(&io);
    }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

class EncodedFile final : public ExportedFile {
public:
    EncodedFile(const Recipe& recipe, std::unique_ptr<RecordingAudio> audio)
        : recipe_(recipe), audio_(std::move(audio)) {}

    Result<> open() {
        if (auto encoder = open_encoder(); !encoder) return encoder;
        return open_muxer();
    }

    std::optional<std::uint64_t> bytes() const override { return std::nullopt; }

    Result<std::string> next() override {
        while (collected_.empty() && !closed_)
            if (const auto stepped = step(); !stepped) return std::unexpected(stepped.error());
        return std::exchange(collected_, {});
    }

private:
    static int collect(void* self, std::uint8_t* bytes, int count) {
        static_cast<EncodedFile*>(self)->collected_.append(reinterpret_cast<const char*>(bytes),
                                                           static_cast<std::size_t>(count));
        return count;
    }

    [[nodiscard]] Result<> check(int code) const {
        if (code >= 0) return {};
        std::array<char, AV_ERROR_MAX_STRING_SIZE> why{};
        av_strerror(code, why.data(), why.size());
        return fail("{}: {}", recipe_.name, why.data());
    }

    Result<> open_encoder() {
        const AVCodec* codec = avcodec_find_encoder_by_name(recipe_.encoder);
        if (codec == nullptr) return fail("{}: libavcodec has no encoder {} here", recipe_.name, recipe_.encoder);
        encoder_.reset(avcodec_alloc_context3(codec));
        muxer_.reset(new_muxer());
        if (!encoder_ || !muxer_) return fail("{}: cannot be written here", recipe_.name);
        const AudioFormat format = audio_->format();
        encoder_->sample_rate = static_cast<int>(format.sample_rate_hz);
        av_channel_layout_default(&encoder_->ch_layout, format.channels);
        encoder_->sample_fmt = recipe_.samples;
        encoder_->time_base = {1, encoder_->sample_rate};
        if (!recipe_.lossless) encoder_->bit_rate = bit_rate_of_channel(format.sample_rate_hz) * format.channels;
        if ((muxer_->oformat->flags & AVFMT_GLOBALHEADER) != 0) encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
        return check(avcodec_open2(encoder_.get(), codec, nullptr));
    }

    AVFormatContext* new_muxer() const {
        AVFormatContext* muxer = nullptr;
        avformat_alloc_output_context2(&muxer, nullptr, recipe_.muxer, nullptr);
        return muxer;
    }

    Result<> open_muxer() {
        auto* page = static_cast<std::uint8_t*>(av_malloc(kPageBytes));
        io_.reset(avio_alloc_context(page, kPageBytes, 1, this, nullptr, &EncodedFile::collect, nullptr));
        packet_.reset(av_packet_alloc());
        AVStream* stream = avformat_new_stream(muxer_.get(), nullptr);
        if (page == nullptr || !io_ || !packet_ || stream == nullptr) return fail("{}: no memory", recipe_.name);
        muxer_->pb = io_.get();
        muxer_->flags |= AVFMT_FLAG_CUSTOM_IO;
        stream->time_base = encoder_->time_base;
        if (auto copied = check(avcodec_parameters_from_context(stream->codecpar, encoder_.get())); !copied)
            return copied;
        if (encoder_->codec_id == AV_CODEC_ID_FLAC)
            tell_flac_total({stream->codecpar->extradata, static_cast<std::size_t>(stream->codecpar->extradata_size)},
                            audio_->total_frames());
        AVDictionary* options = nullptr;
        av_dict_parse_string(&options, recipe_.muxer_options, "=", ":", 0);
        const int written = avformat_write_header(muxer_.get(), &options);
        av_dict_free(&options);
        return check(written);
    }

    // A second of audio, or the end.
    Result<> step() {
        const auto samples = audio_->next();
        if (!samples) return std::unexpected(samples.error());
        waiting_.insert(waiting_.end(), samples->begin(), samples->end());
        const bool at_end = samples->empty();
        const std::size_t channels = audio_->format().channels;
        const std::size_t block = channels * static_cast<std::size_t>(std::max(encoder_->frame_size, 1));
        std::span<const std::int16_t> rest(waiting_);
        while (rest.size() >= block || (at_end && !rest.empty())) {
            const auto now = rest.first(std::min(block, rest.size()));
            if (auto encoded = encode(now); !encoded) return encoded;
            rest = rest.subspan(now.size());
        }
        waiting_.erase(waiting_.begin(), waiting_.end() - static_cast<std::ptrdiff_t>(rest.size()));
        return at_end ? close() : Result<>();
    }

    Result<> close() {
        closed_ = true;
        if (auto ended = check(avcodec_send_frame(encoder_.get(), nullptr)); !ended) return ended;
        if (auto drained = drain(); !drained) return drained;
        const int written = av_write_trailer(muxer_.get());
        avio_flush(io_.get());
        return check(written);
    }

    Result<> encode(std::span<const std::int16_t> samples) {
        const Owned<AVFrame> frame(av_frame_alloc());
        if (!frame) return fail("{}: no memory", recipe_.name);
        frame->nb_samples = static_cast<int>(samples.size() / audio_->format().channels);
        frame->format = encoder_->sample_fmt;
        frame->sample_rate = encoder_->sample_rate;
        frame->pts = given_;
        if (auto copied = check(av_channel_layout_copy(&frame->ch_layout, &encoder_->ch_layout)); !copied)
            return copied;
        if (auto made = check(av_frame_get_buffer(frame.get(), 0)); !made) return made;
        fill(*frame, samples);
        given_ += frame->nb_samples;
        if (auto sent = check(avcodec_send_frame(encoder_.get(), frame.get())); !sent) return sent;
        return drain();
    }

    // Planar kinds are of mono recipes: one plane, as it comes.
    void fill(const AVFrame& frame, std::span<const std::int16_t> samples) const {
        if (recipe_.samples == AV_SAMPLE_FMT_FLTP) {
            constexpr float kFullScale = 32'768;
            std::ranges::transform(samples, reinterpret_cast<float*>(frame.data[0]),
                                   [](std::int16_t sample) { return static_cast<float>(sample) / kFullScale; });
        } else {
            std::ranges::copy(samples, reinterpret_cast<std::int16_t*>(frame.data[0]));
        }
    }

    Result<> drain() {
        for (;;) {
            const int got = avcodec_receive_packet(encoder_.get(), packet_.get());
            if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return {};
            if (auto encoded = check(got); !encoded) return encoded;
            av_packet_rescale_ts(packet_.get(), encoder_->time_base, muxer_->streams[0]->time_base);
            packet_->stream_index = 0;
            if (auto written = check(av_write_frame(muxer_.get(), packet_.get())); !written) return written;
            av_packet_unref(packet_.get());
        }
    }

    const Recipe& recipe_;
    std::unique_ptr<RecordingAudio> audio_;
    Owned<AVCodecContext> encoder_;
    Owned<AVIOContext> io_;  // outlives the muxer
    Owned<AVFormatContext> muxer_;
    Owned<AVPacket> packet_;
    std::vector<std::int16_t> waiting_;  // less than a block of the encoder
    std::int64_t given_ = 0;             // samples of a channel
    std::string collected_;
    bool closed_ = false;
};

}  // namespace

Result<std::unique_ptr<ExportedFile>> encoded_file(Encoding encoding, std::unique_ptr<RecordingAudio> audio) {
    av_log_set_level(AV_LOG_QUIET);  // what fails is in the codes that come back
    const Recipe& recipe = kRecipes[static_cast<std::size_t>(encoding)];
    const AudioFormat format = format_for(recipe, audio->format());
    auto suitable = converted(std::move(audio), format);
    if (!suitable) return std::unexpected(suitable.error());
    auto file = std::make_unique<EncodedFile>(recipe, std::move(*suitable));
    if (const auto opened = file->open(); !opened) return std::unexpected(opened.error());
    return file;
}

}  // namespace spantape
