// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/exports.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/protocol/xml_text.h"
#include "storage/audio/chunk_source.h"
#include "storage/export/raw_file.h"

namespace spantape::api {

namespace {

constexpr std::size_t kMostRecordings = 1000;  // in one export

std::unexpected<NoExport> none(ResultCode code, std::string message) {
    return std::unexpected(NoExport{code, std::move(message)});
}

// The newest that is visible.
template <class NotFound>
ExportResult<Recording> first_found(const ExportSource& source, RecordingQuery query, NotFound not_found) {
    query.limit = 1;
    source.visible.restrict(query);
    auto found = source.index.search(query);
    if (!found) return none(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message);
    if (found->empty()) return not_found();
    return std::move(found->front());
}

// Names that the manual allows as UNIQUEFIELD, of what no recording has here or what names none.
constexpr std::string_view kNotKept[] = {
    "audio_hash",     "audio_size",  "coreident",   "filename_video", "isrecording", "isrecordingvideo",
    "istrunk",        "listenedto",  "locked",      "maxrecordtime",  "medialabel",  "maxrecordsilence",
    "overridden",     "qa_forms",    "qa_group_id", "qa_pos_score",   "qa_score",    "recording_type",
    "screen_capture", "starttime",   "stoptime",    "video_hash",     "video_size",  "wrap_duration",
    "agentinitiated", "ctiinitiated"};

}  // namespace

ExportResult<Recording> recording_by_field(const ExportSource& source, std::string field, const std::string& id) {
    std::ranges::transform(field, field.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto not_found = [&] {
        return none(ResultCode::API_FILE_NOT_FOUND, fmt::format("there is no recording whose {} is '{}'", field, id));
    };
    if (std::ranges::find(kNotKept, field) != std::end(kNotKept)) return not_found();
    // manual, SESSIONID: "based on the call and device".
    const std::size_t dash = field == "sessionid" ? id.rfind('-') : std::string::npos;
    if (field == "sessionid" && dash == std::string::npos) return not_found();
    if (dash != std::string::npos) {
        RecordingQuery query{.equal = {{"device_id", id.substr(0, dash)}, {"globalid", id.substr(dash + 1)}}};
        return first_found(source, std::move(query), not_found);
    }
    if (!column(Recording{}, field).known)
        return none(ResultCode::API_INVALID_MESSAGE_FORMAT,
                    fmt::format("UNIQUEFIELD '{}' is no field of recordings", field));
    if (field == "ident") {
        const auto number = parse_integer(id);
        if (!number)
            return none(ResultCode::API_INVALID_MESSAGE_FORMAT, fmt::format("UNIQUEID must be a number, is '{}'", id));
        auto found = recordings_by_ident(source, id);
        if (!found) return std::unexpected(found.error());
        return std::move(found->front());
    }
    constexpr std::string_view kServed = "/recordings/";
    const bool served = field == "filename" && id.starts_with(kServed) && !source.recording_path.empty();
    RecordingQuery query;
    query.equal.emplace_back(field, served ? source.recording_path + id.substr(kServed.size() - 1) : id);
    return first_found(source, std::move(query), not_found);
}

ExportResult<std::vector<Recording>> recordings_by_ident(const ExportSource& source, const std::string& idents) {
    std::vector<Recording> recordings;
    for (std::size_t at = 0; at <= idents.size();) {
        const std::size_t comma = std::min(idents.find(',', at), idents.size());
        std::string text = idents.substr(at, comma - at);
        text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
        text.erase(text.find_last_not_of(' ') + 1);
        at = comma + 1;
        if (text.empty() && comma == idents.size() && !recordings.empty()) break;  // a comma behind the last
        const auto ident = parse_integer(text);
        if (!ident || *ident <= 0)
            return none(ResultCode::API_INVALID_MESSAGE_FORMAT,
                        fmt::format("IDENT must be record numbers, separated by commas; '{}' is none", text));
        if (recordings.size() == kMostRecordings)
            return none(ResultCode::API_INVALID_MESSAGE_FORMAT,
                        fmt::format("IDENT names more than {} recordings", kMostRecordings));
        auto found = source.index.recording(static_cast<std::uint64_t>(*ident));
        if (!found) return none(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message);
        if (!*found) return none(ResultCode::API_FILE_NOT_FOUND, fmt::format("there is no recording {}", *ident));
        if (!source.visible.sees(**found)) {
            Reply hidden = not_visible((*found)->ident);
            return none(hidden.code, std::move(hidden.message));
        }
        recordings.push_back(std::move(**found));
    }
    return recordings;
}

namespace {

// <RECORDINGS>, with the manual's columns of each.
std::string fields_document(const std::vector<Recording>& recordings) {
    std::string document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<RECORDINGS>\n";
    for (const Recording& recording : recordings) {
        document += "<RECORDING>\n";
        for (const std::string_view name : column_names()) {
            std::string tag(name);
            std::ranges::transform(tag, tag.begin(), [](unsigned char c) { return std::toupper(c); });
            document += fmt::format("<{}>", tag);
            append_escaped(document, column(recording, name).value);
            document += fmt::format("</{}>\n", tag);
        }
        document += "</RECORDING>\n";
    }
    return document + "</RECORDINGS>\n";
}

Result<std::unique_ptr<RecordingAudio>> open_audio(const ExportSource& source, const std::vector<Recording>& recordings,
                                                   TimeNs now_ns) {
    std::vector<std::unique_ptr<RecordingAudio>> parts;
    for (const Recording& recording : recordings) {
        auto audio = RecordingAudio::open(source.index, source.segments, recording, now_ns);
        if (!audio) return std::unexpected(audio.error());
        parts.push_back(std::move(*audio));
    }
    if (parts.size() == 1) return std::move(parts.front());
    return one_after_the_other(std::move(parts));
}

}  // namespace

Result<std::unique_ptr<ExportedFile>> open_export(const ExportSource& source, const std::vector<Recording>& recordings,
                                                  const ExportWish& wish, TimeNs now_ns) {
    if (wish.format == MediaFormat::raw)
        return raw_file(stored_chunks(source.index, source.segments), recordings, now_ns);
    auto audio = open_audio(source, recordings, now_ns);
    if (!audio) return std::unexpected(audio.error());
    if (wish.format == MediaFormat::cav)
        return cav_file(fields_document(recordings), wav_file(std::move(*audio)), wish.seal);
    return open_audio_file(wish.format, std::move(*audio), source.vox);
}

std::string export_name(const Recording& recording, MediaFormat format) {
    const std::size_t slash = recording.filename.rfind('/');
    std::string name =
        slash == std::string::npos ? fmt::to_string(recording.ident) : recording.filename.substr(slash + 1);
    if (name.ends_with(".wav")) name.resize(name.size() - 4);  // FILENAME is of a WAV file
    return fmt::format("{}.{}", name, media_kind(format).suffix);
}

std::string combined_export_name(const std::vector<Recording>& recordings, MediaFormat format) {
    if (recordings.size() == 1) return export_name(recordings.front(), format);
    return fmt::format("recordings-{}-{}.{}", recordings.front().ident, recordings.back().ident,
                       media_kind(format).suffix);
}

}  // namespace spantape::api
