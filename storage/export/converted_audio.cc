// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings at another rate, mixed to mono, several as one.
#include <algorithm>
#include <deque>
#include <span>

#include "storage/audio/resampler.h"
#include "storage/export/audio_file.h"

namespace spantape {
namespace {

std::int16_t sum(std::span<const std::int16_t> channels) {
    std::int32_t total = 0;
    for (const std::int16_t sample : channels) total += sample;
    return static_cast<std::int16_t>(std::clamp<std::int32_t>(total, INT16_MIN, INT16_MAX));
}

// A recording at another rate, with more channels than its own, or as mono: exactly total_frames() samples of each.
class Converted final : public RecordingAudio {
public:
    static Result<std::unique_ptr<RecordingAudio>> open(std::unique_ptr<RecordingAudio> audio, AudioFormat to) {
        const AudioFormat from = audio->format();
        if (from.sample_rate_hz == to.sample_rate_hz && from.channels == to.channels) return audio;
        auto converted = std::make_unique<Converted>(std::move(audio), to);
        for (std::size_t channel = 0; channel < converted->channels_.size(); ++channel) {
            if (from.sample_rate_hz == to.sample_rate_hz) break;
            auto resampler = Resampler::open(from.sample_rate_hz, to.sample_rate_hz);
            if (!resampler) return std::unexpected(resampler.error());
            converted->resamplers_.push_back(std::move(*resampler));
        }
        return converted;
    }
    Converted(std::unique_ptr<RecordingAudio> audio, AudioFormat to)
        : audio_(std::move(audio)), to_(to), channels_(to.channels == 1 ? 1 : audio_->format().channels) {}

    AudioFormat format() const override { return to_; }
    std::uint64_t total_frames() const override {
        return audio_->total_frames() * to_.sample_rate_hz / audio_->format().sample_rate_hz;
    }
    std::uint64_t damaged_chunks() const override { return audio_->damaged_chunks(); }

    Result<std::vector<std::int16_t>> next() override {
        const std::uint64_t wanted = std::min<std::uint64_t>(to_.sample_rate_hz, total_frames() - given_);
        while (channels_.front().size() < wanted) {
            if (ended_) {  // the resampler rounds its length otherwise than we do
                for (auto& channel : channels_) channel.resize(wanted);
                break;
            }
            if (const auto pulled = pull(); !pulled) return std::unexpected(pulled.error());
        }
        std::vector<std::int16_t> samples(wanted * to_.channels);
        for (std::size_t out = 0; out < to_.channels; ++out) {
            const auto& channel = channels_[std::min(out, channels_.size() - 1)];
            for (std::size_t i = 0; i < wanted; ++i) samples[i * to_.channels + out] = channel[i];
        }
        for (auto& channel : channels_) channel.erase(channel.begin(), channel.begin() + static_cast<long>(wanted));
        given_ += wanted;
        return samples;
    }

private:
    Result<> pull() {
        const auto samples = audio_->next();
        if (!samples) return std::unexpected(samples.error());
        ended_ = samples->empty();
        for (std::size_t in = 0; in < channels_.size(); ++in) {
            one_.clear();
            const std::size_t channels = audio_->format().channels, mixed = channels / channels_.size();
            for (std::size_t i = in; i < samples->size(); i += channels)
                one_.push_back(sum(std::span(*samples).subspan(i, mixed)));
            if (resamplers_.empty()) {
                channels_[in].insert(channels_[in].end(), one_.begin(), one_.end());
            } else if (const auto done =
                           ended_ ? resamplers_[in]->finish(channels_[in]) : resamplers_[in]->push(one_, channels_[in]);
                       !done) {
                return done;
            }
        }
        return {};
    }

    std::unique_ptr<RecordingAudio> audio_;
    AudioFormat to_;
    std::vector<std::unique_ptr<Resampler>> resamplers_;  // one a channel, where the rates differ
    std::vector<std::vector<std::int16_t>> channels_;     // converted, not given yet
    std::vector<std::int16_t> one_;
    std::uint64_t given_ = 0;
    bool ended_ = false;
};

class Sequence final : public RecordingAudio {
public:
    explicit Sequence(std::vector<std::unique_ptr<RecordingAudio>> parts)
        : format_(parts.front()->format()),
          parts_(std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end())) {
        for (const auto& part : parts_) total_frames_ += part->total_frames();
    }
    AudioFormat format() const override { return format_; }
    std::uint64_t total_frames() const override { return total_frames_; }
    std::uint64_t damaged_chunks() const override { return damaged_; }
    Result<std::vector<std::int16_t>> next() override {
        while (!parts_.empty()) {
            auto samples = parts_.front()->next();
            if (!samples || !samples->empty()) return samples;
            damaged_ += parts_.front()->damaged_chunks();
            parts_.pop_front();
        }
        return std::vector<std::int16_t>();
    }

private:
    AudioFormat format_;
    std::deque<std::unique_ptr<RecordingAudio>> parts_;
    std::uint64_t total_frames_ = 0, damaged_ = 0;
};

}  // namespace

Result<std::unique_ptr<RecordingAudio>> converted(std::unique_ptr<RecordingAudio> audio, AudioFormat to) {
    return Converted::open(std::move(audio), to);
}

Result<std::unique_ptr<RecordingAudio>> one_after_the_other(std::vector<std::unique_ptr<RecordingAudio>> parts) {
    AudioFormat common{.sample_rate_hz = 0, .channels = 0};
    for (const auto& part : parts) {
        common.sample_rate_hz = std::max(common.sample_rate_hz, part->format().sample_rate_hz);
        common.channels = std::max(common.channels, part->format().channels);
    }
    for (auto& part : parts) {
        auto alike = Converted::open(std::move(part), common);
        if (!alike) return std::unexpected(alike.error());
        part = std::move(*alike);
    }
    return std::make_unique<Sequence>(std::move(parts));
}

}  // namespace spantape
