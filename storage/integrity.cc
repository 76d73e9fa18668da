// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/integrity.h"

#include <algorithm>

#include <boost/json/array.hpp>

#include "storage/signing_key.h"

namespace spantape {

namespace {

std::vector<const RecordedStream*> by_id(const Recording& recording) {
    std::vector<const RecordedStream*> streams;
    for (const RecordedStream& stream : recording.streams) streams.push_back(&stream);
    std::ranges::sort(streams, {}, [](const RecordedStream* stream) { return stream->stream_id; });
    return streams;
}

}  // namespace

std::string audio_hash_of(const Recording& recording) {
    Sha256 hash;
    for (const RecordedStream* stream : by_id(recording)) {
        hash.add_u64(stream->stream_id);
        hash.add_u32(stream->chunks);
        hash.add_u32(static_cast<std::uint32_t>(stream->seal.size()));
        hash.add(stream->seal);
    }
    return hash.hex();
}

boost::json::object integrity_entry(const Recording& recording) {
    boost::json::array streams;
    for (const RecordedStream* stream : by_id(recording))
        streams.push_back(
            boost::json::object{{"stream_id", stream->stream_id}, {"chunks", stream->chunks}, {"seal", stream->seal}});
    return {{"what", "recording_sealed"},
            {"recording", recording.ident},
            {"state", recording.state == RecordingState::interrupted ? "interrupted" : "stored"},
            {"start_ns", recording.start_ns},
            {"stop_ns", recording.stop_ns},
            {"audio_hash", audio_hash_of(recording)},
            {"streams", std::move(streams)}};
}

boost::json::object purge_entry(const std::vector<std::uint64_t>& idents) {
    return {{"what", "purge"}, {"recordings", boost::json::array(idents.begin(), idents.end())}};
}

}  // namespace spantape
