// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: CALLLIST; Uptivity WebAPI Service, Export a Recorded Audio File.
#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"
#include "storage/audio/playout.h"
#include "storage/export/wav.h"

namespace spantape::api {

namespace {

constexpr std::int64_t kDefaultCalls = 1000;
constexpr std::int64_t kMostCalls = 100'000;

Element leaf(std::string name, std::string text) { return {std::move(name), std::move(text), {}}; }

Element search_result(const Recording& recording, std::size_t number) {
    Element result{"SEARCHRESULT", {}, {}};
    auto& out = result.children;
    out.push_back(leaf("CALLNUMBER", fmt::to_string(number)));
    out.push_back(leaf("DEVICEID", recording.device_id));
    out.push_back(leaf("DEVICEALIAS", recording.device_alias));
    out.push_back(leaf("ANI", recording.ani));
    out.push_back(leaf("DNIS", recording.dnis));
    out.push_back(leaf("CALLTYPE", recording.direction));
    out.push_back(leaf("GROUP", recording.group));
    out.push_back(leaf("GATE", recording.gate));
    for (std::size_t i = 0; i < recording.user.size(); ++i)
        out.push_back(leaf(fmt::format("USER{}", i + 1), recording.user[i]));
    out.push_back(leaf("RECORDID", fmt::to_string(recording.ident)));
    out.push_back(leaf("RECORDINGTIME", fmt::to_string(recording.start_ns / kNsPerSecond)));
    out.push_back(leaf("DURATION", fmt::to_string(std::llround(seconds(recording.duration_ns())))));
    out.push_back(leaf("AGENTFIRSTNAME", ""));  // the directory of agents is not built yet
    out.push_back(leaf("AGENTLASTNAME", ""));
    out.push_back(leaf("CRM_USER", recording.crm_user));
    out.push_back(leaf("SYS_USER", recording.sys_user));
    return result;
}

// Filters of CALLLIST, or the parameter that is wrong.
Result<RecordingQuery> call_list_query(const Request& request) {
    RecordingQuery query;
    const auto equal = [&](const char* parameter, const char* field) {
        if (const auto value = request.text(parameter); !value.empty())
            query.equal.emplace_back(field, std::string(value));
    };
    equal("DEVICEID", "device_id");
    equal("CRM_USER", "crm_user");
    equal("SYS_USER", "sys_user");
    equal("DEVICEALIAS", "device_alias");
    equal("GROUP", "sgroup");
    equal("GATE", "gate");
    equal("ANI", "ani");
    equal("DNIS", "dnis");
    for (int number = 1; number <= 15; ++number)
        equal(fmt::format("USER{}", number).c_str(), fmt::format("user{}", number).c_str());
    for (const char* name : {"CALLDIRECTION", "CALLTYPE"}) {
        const std::string_view value = request.text(name);
        if (value.empty()) continue;
        const char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(value[0])));
        if (value.size() == 1 && std::string_view("IO?").find(letter) != std::string_view::npos)
            query.equal.emplace_back("calldirection", std::string(1, letter));
        else if (std::string_view(name) != "CALLTYPE" || !parse_integer(value))  // a number in CALLTYPE is ignored
            return fail("{} must be I, O or ?, is '{}'", name, value);
    }
    std::int64_t count = kDefaultCalls;
    for (const char* name : {"CALLCOUNT", "CALLDATATESTART", "CALLDATATEEND"}) {
        const std::string_view value = request.text(name);
        if (value.empty()) continue;
        const auto number = parse_integer(value);
        constexpr std::int64_t kMostSeconds = INT64_MAX / kNsPerSecond - 1;
        if (!number || *number < 0 || *number > kMostSeconds) return fail("{} must be a number, is '{}'", name, value);
        if (std::string_view(name) == "CALLCOUNT")
            count = std::min(*number, kMostCalls);
        else if (std::string_view(name) == "CALLDATATESTART")
            query.from_ns = *number * kNsPerSecond;
        else
            query.to_ns = *number * kNsPerSecond + (kNsPerSecond - 1);
    }
    query.limit = static_cast<std::size_t>(count);
    return query;
}

struct Found {
    ResultCode code = ResultCode::API_OK;
    std::string message;
    std::optional<FileAnswer> file;
};

Found failed(ResultCode code, std::string message) { return {code, std::move(message), std::nullopt}; }

// On the pool: finds the recording and opens its audio.
Found open_export(const Index& index, const std::string& segments, const std::string& field, const std::string& id,
                  TimeNs now_ns) {
    std::optional<Recording> recording;
    if (field == "ident") {
        const auto number = parse_integer(id);
        if (!number)
            return failed(ResultCode::API_INVALID_MESSAGE_FORMAT,
                          fmt::format("UNIQUEID must be a number, is '{}'", id));
        auto found = index.recording(static_cast<std::uint64_t>(*number));
        if (!found) return failed(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message);
        recording = std::move(*found);
    } else {
        RecordingQuery query;
        query.equal.emplace_back(field, id);
        query.limit = 1;
        auto found = index.search(query);
        if (!found) return failed(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message);
        if (!found->empty()) recording = std::move(found->front());
    }
    if (!recording)
        return failed(ResultCode::API_FILE_NOT_FOUND, fmt::format("there is no recording whose {} is '{}'", field, id));
    auto opened = RecordingAudio::open(index, segments, *recording, now_ns);
    if (!opened) return failed(ResultCode::API_FILE_NOT_FOUND, opened.error().message);

    const std::shared_ptr<RecordingAudio> audio = std::move(*opened);
    Found found;
    const std::size_t slash = recording->filename.rfind('/');
    found.file = FileAnswer{.content_type = "audio/wav",
                            .name = slash == std::string::npos ? fmt::format("{}.wav", recording->ident)
                                                               : recording->filename.substr(slash + 1),
                            .bytes = wav_bytes(audio->format(), audio->total_frames()),
                            .read = [audio, header_sent = false]() mutable -> Result<std::string> {
                                if (!header_sent) {
                                    header_sent = true;
                                    return wav_header(audio->format(), audio->total_frames());
                                }
                                auto samples = audio->next();
                                if (!samples) return std::unexpected(samples.error());
                                return std::string(reinterpret_cast<const char*>(samples->data()),
                                                   samples->size() * sizeof(std::int16_t));
                            }};
    return found;
}

}  // namespace

void Functions::call_list(const Request& request, const Client& /*client*/, Done done) {
    auto query = call_list_query(request);
    if (!query) return done(refused(ResultCode::API_INVALID_MESSAGE_FORMAT, query.error().message));
    on_pool([this, query = std::move(*query)] { return context_.index.search(query); },
            [done = std::move(done)](auto found) mutable {
                if (!found) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message));
                Reply reply;
                reply.body.push_back(leaf("TYPE", "CALLLIST"));
                for (std::size_t i = 0; i < found->size(); ++i) reply.body.push_back(search_result((*found)[i], i + 1));
                done(std::move(reply));
            });
}

void Functions::export_audio(const Request& request, const Client& client, Done done) {
    if (!client.web) return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED, "EXPORT is a function of the WebAPI"));
    std::string field(request.text("UNIQUEFIELD"));
    std::transform(field.begin(), field.end(), field.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::string id(request.text("UNIQUEID"));
    std::string format(request.text("MEDIA_FORMAT"));
    std::transform(format.begin(), format.end(), format.begin(), [](unsigned char c) { return std::tolower(c); });
    for (const char* name : {"UNIQUEFIELD", "UNIQUEID", "MEDIA_FORMAT"})
        if (request.text(name).empty())
            return done(refused(ResultCode::API_INVALID_MESSAGE_FORMAT, fmt::format("{} is required", name)));
    if (!column(Recording{}, field).known)
        return done(refused(ResultCode::API_INVALID_MESSAGE_FORMAT,
                            fmt::format("UNIQUEFIELD '{}' is no field of recordings", field)));
    if (format == "mp3" || format == "m4a" || format == "cav" || format == "vox")
        return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED,
                            fmt::format("MEDIA_FORMAT {} is not supported by this version; wav is", format)));
    if (format != "wav")
        return done(
            refused(ResultCode::API_INVALID_MESSAGE_FORMAT, fmt::format("MEDIA_FORMAT must be wav, is '{}'", format)));
    on_pool(
        [this, field, id, now_ns = context_.now()] {
            return open_export(context_.index, context_.segment_directory, field, id, now_ns);
        },
        [done = std::move(done)](Found found) mutable {
            Reply reply = refused(found.code, std::move(found.message));
            reply.file = std::move(found.file);
            done(std::move(reply));
        });
}

}  // namespace spantape::api
