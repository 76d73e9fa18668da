// SPDX-License-Identifier: AGPL-3.0-or-later
// Live monitoring (LIVE, GET /live/DEVICEID): what is recorded on a device now, as it comes, as a WAV file without an
// end that is known.
#include <map>
#include <memory>

#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"
#include "storage/audio/codec.h"
#include "storage/audio/live_mix.h"
#include "storage/audio/redundancy.h"
#include "storage/export/wav.h"

namespace spantape::api {

namespace {

constexpr std::uint32_t kNarrowHz = 8000, kWideHz = 16000;
constexpr std::uint64_t kNoEnd = 0x7fff'0000 / 4;  // frames: what players take for "until it ends"; 18 hours at 8 kHz
constexpr std::size_t kMostListeners = 50;         // each takes some hundredths of the control thread

// Wide when somebody offered to speak so; the file's rate cannot change.
std::uint32_t rate_of(const Recording& recording) {
    for (const RecordedStream& stream : recording.streams) {
        const PayloadTable table = payload_table(stream.payloads);
        for (const PayloadMapping& mapping : stream.payloads)
            if (const auto& format = table[mapping.payload_type & 0x7f];
                format.audible() && format.sample_rate_hz() > kNarrowHz)
                return kWideHz;
    }
    return kNarrowHz;
}

class Listener {
public:
    Listener(CallControl& control, std::function<TimeNs()> now, Recording recording)
        : control_(control),
          now_(std::move(now)),
          ident_(recording.ident),
          rate_hz_(rate_of(recording)),
          tap_(std::make_shared<LiveTap>(recording.session_id, now_())),
          mix_(rate_hz_, now_()) {
        ++listeners_;
        learn(recording);
    }
    ~Listener() {
        tap_->leave();
        --listeners_;
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] static std::size_t listeners() { return listeners_; }
    [[nodiscard]] const std::shared_ptr<LiveTap>& tap() const { return tap_; }

    // What came since; nothing when the recording is over.
    std::optional<std::string> next() {
        const TimeNs now_ns = now_();
        if (now_ns - looked_ns_ >= kLookNs) look(now_ns);
        while (const auto heard = tap_->front()) {
            const auto known = streams_.find(heard->stream_id);
            if (known != streams_.end())
                for_each_audio_frame(heard->frame, known->second.formats,
                                     [&](const StoredFrame& frame, const PayloadFormat& format) {
                                         mix_.push(heard->stream_id, known->second.side, format, frame);
                                     });
            tap_->pop();
        }
        if (over_ns_ != 0 && now_ns - over_ns_ > 2 * LiveMix::kDelayNs) return std::nullopt;
        auto samples = mix_.render(now_ns);
        if (!samples) return std::nullopt;
        std::string bytes;
        if (!std::exchange(begun_, true)) bytes = wav_header({rate_hz_, LiveMix::kChannels}, kNoEnd);
        bytes.append(reinterpret_cast<const char*>(samples->data()), samples->size() * sizeof(std::int16_t));
        return bytes;
    }

private:
    static constexpr TimeNs kLookNs = 200 * kNsPerMs;
    struct Stream {
        Side side = Side::device;
        PayloadTable formats{};
    };

    void look(TimeNs now_ns) {
        looked_ns_ = now_ns;
        const auto recording = control_.active_recording(ident_);
        if (recording && recording->stop_ns == 0) return learn(*recording);
        if (over_ns_ == 0) over_ns_ = now_ns;
    }
    void learn(const Recording& recording) {
        for (const RecordedStream& stream : recording.streams)
            if (!stream.relay_copy) streams_[stream.stream_id] = {stream.side, payload_table(stream.payloads)};
    }

    static inline std::size_t listeners_ = 0;  // of the control thread

    CallControl& control_;
    std::function<TimeNs()> now_;
    std::uint64_t ident_;
    std::uint32_t rate_hz_;
    std::shared_ptr<LiveTap> tap_;
    LiveMix mix_;
    std::map<std::uint64_t, Stream> streams_;
    TimeNs looked_ns_ = 0, over_ns_ = 0;
    bool begun_ = false;
};

}  // namespace

void Functions::live(const FunctionCall& call, Done done) {
    if (!call.client.web)
        return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED, "LIVE is a function of the WebAPI"));
    const auto found = context_.control.matching_devices(device_address(call.parameters));
    if (found.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, "no such device"));
    for (const Device* device : found) {
        for (auto each = device->calls.rbegin(); each != device->calls.rend(); ++each) {
            const ActiveRecording* recording = (*each)->recording_now();
            if (recording == nullptr) continue;
            const std::uint64_t ident = recording->fields.ident;
            auto document = context_.control.active_recording(ident);
            if (!document) continue;
            if (!access_.visibility(call.caller).sees(*document)) return done(not_visible(ident));
            if (Listener::listeners() >= kMostListeners)
                return done(refused(ResultCode::API_COMMAND_QUEUE_FULL, "too many listen already"));
            auto listener = std::make_shared<Listener>(context_.control, context_.now, std::move(*document));
            context_.outputs.command_writer(Listen{listener->tap()});
            Reply reply;
            reply.recordings = {ident};
            reply.live = LiveAnswer{"audio/wav", [listener] { return listener->next(); }};
            return done(std::move(reply));
        }
    }
    done(refused(ResultCode::API_FILE_NOT_FOUND, "nothing is recorded there now"));
}

}  // namespace spantape::api
