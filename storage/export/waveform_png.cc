// SPDX-License-Identifier: AGPL-3.0-or-later
// The picture of a waveform, by libavcodec's PNG encoder.
#include <algorithm>
#include <memory>

#include "storage/export/waveform.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
}

namespace spantape {
namespace {

struct Colour {
    std::uint8_t red, green, blue;
};
constexpr Colour kPaper{255, 255, 255}, kSilent{232, 232, 232}, kDark{56, 56, 60}, kLine{170, 170, 170},
    kLost{214, 39, 40}, kDevice{31, 119, 180}, kFar{44, 140, 70};

struct Free {
    void operator()(AVCodecContext* encoder) const { avcodec_free_context(&encoder); }
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
    void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

class Canvas {
public:
    explicit Canvas(AVFrame& frame) : frame_(frame) {}
    // Rows [from, to) of a column.
    void fill(std::size_t column, std::size_t from, std::size_t to, Colour colour) {
        for (std::size_t row = from; row < to; ++row) {
            std::uint8_t* pixel = frame_.data[0] + row * static_cast<std::size_t>(frame_.linesize[0]) + 3 * column;
            pixel[0] = colour.red, pixel[1] = colour.green, pixel[2] = colour.blue;
        }
    }

private:
    AVFrame& frame_;
};

bool is_dark(const Waveform& waveform, std::size_t column) {
    const auto columns = static_cast<double>(waveform.sides[0].size());
    const double from_s = waveform.seconds * static_cast<double>(column) / columns;
    const double to_s = waveform.seconds * static_cast<double>(column + 1) / columns;
    return std::ranges::any_of(waveform.blackouts, [&](const Waveform::Blackout& blackout) {
        return blackout.from_s < to_s && blackout.to_s > from_s;
    });
}

// One side, in rows [top, top + height).
void draw(Canvas& canvas, const Waveform& waveform, std::size_t side, std::size_t top, std::size_t height) {
    constexpr double kFull = 32'768;
    const std::size_t mark = std::max<std::size_t>(height / 16, 2);
    const auto row_of = [&](double sample) {
        const auto row = (1 - sample / kFull) / 2 * static_cast<double>(height - 1);
        return top + static_cast<std::size_t>(row);
    };
    const auto& columns = waveform.sides[side];
    for (std::size_t at = 0; at < columns.size(); ++at) {
        const Waveform::Column& column = columns[at];
        const bool dark = is_dark(waveform, at);
        canvas.fill(at, top, top + height, dark ? kDark : column.heard ? kPaper : kSilent);
        canvas.fill(at, row_of(0), row_of(0) + 1, kLine);
        if (column.heard) canvas.fill(at, row_of(column.high), row_of(column.low) + 1, side == 0 ? kDevice : kFar);
        if (column.lost != 0)
            canvas.fill(at, side == 0 ? top : top + height - mark, side == 0 ? top + mark : top + height, kLost);
    }
}

}  // namespace

Result<std::string> waveform_png(const Waveform& waveform, std::size_t height) {
    const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    if (codec == nullptr) return fail("libavcodec has no PNG encoder");
    const Owned<AVCodecContext> encoder(avcodec_alloc_context3(codec));
    const Owned<AVFrame> frame(av_frame_alloc());
    const Owned<AVPacket> packet(av_packet_alloc());
    if (!encoder || !frame || !packet) return fail("no memory for a picture");
    encoder->width = frame->width = static_cast<int>(waveform.sides[0].size());
    encoder->height = frame->height = static_cast<int>(height);
    encoder->pix_fmt = AV_PIX_FMT_RGB24;
    frame->format = AV_PIX_FMT_RGB24;
    encoder->time_base = {1, 1};
    if (avcodec_open2(encoder.get(), codec, nullptr) < 0 || av_frame_get_buffer(frame.get(), 0) < 0)
        return fail("no picture of {} by {} pixels can be made", frame->width, height);
    Canvas canvas(*frame);
    const std::size_t half = height / 2;
    draw(canvas, waveform, 0, 0, half);
    draw(canvas, waveform, 1, half, height - half);
    for (std::size_t at = 0; at < waveform.sides[0].size(); ++at) canvas.fill(at, half, half + 1, kLine);
    if (avcodec_send_frame(encoder.get(), frame.get()) < 0 || avcodec_send_frame(encoder.get(), nullptr) < 0 ||
        avcodec_receive_packet(encoder.get(), packet.get()) < 0)
        return fail("the picture cannot be encoded");
    return std::string(reinterpret_cast<const char*>(packet->data), static_cast<std::size_t>(packet->size));
}

}  // namespace spantape
