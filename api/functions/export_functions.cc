// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Uptivity WebAPI Service (EXPORT, COMBINEDEXPORT, MULTIEXPORT); EMAIL, COMBINEDEMAIL.
#include <memory>

#include <fmt/format.h>

#include "api/functions/exports.h"
#include "api/functions/functions.h"

namespace spantape::api {

namespace {

// On its way from the pool.
struct Opened {
    std::unique_ptr<ExportedFile> file;
    std::string name, content_type;
    std::vector<std::uint64_t> idents;
};

ExportResult<Opened> opened(Result<std::unique_ptr<ExportedFile>>&& file, std::string name,
                            std::string_view content_type, const std::vector<Recording>& recordings) {
    if (!file) return std::unexpected(NoExport{ResultCode::API_FILE_NOT_FOUND, file.error().message});
    Opened open{std::move(*file), std::move(name), std::string(content_type), {}};
    for (const Recording& recording : recordings) open.idents.push_back(recording.ident);
    return open;
}

Reply file_reply(ExportResult<Opened>&& opened) {
    if (!opened) return refused(opened.error().code, std::move(opened.error().message));
    Reply reply;
    reply.recordings = std::move(opened->idents);
    const std::shared_ptr<ExportedFile> file = std::move(opened->file);
    reply.file = FileAnswer{.content_type = std::move(opened->content_type),
                            .name = std::move(opened->name),
                            .bytes = file->bytes(),
                            .read = [file] { return file->next(); }};
    return reply;
}

std::optional<Reply> not_here(const FunctionCall& call) {
    if (!call.client.web)
        return refused(ResultCode::API_COMMAND_NOT_SUPPORTED,
                       fmt::format("{} is a function of the WebAPI", call.request.type));
    return std::nullopt;
}

struct WantedFormat {
    MediaFormat format = MediaFormat::wav;
    std::optional<Reply> refusal;
};

WantedFormat wanted_format(const FunctionCall& call) {
    const std::string name = call.parameters.text("MEDIA_FORMAT").value_or("WAV");
    if (const auto format = media_format(name)) return {*format, std::nullopt};
    return {.refusal = refused(ResultCode::API_COMMAND_NOT_SUPPORTED,
                               fmt::format("MEDIA_FORMAT {} is not supported by this version", name))};
}

ExportResult<Opened> open_zip(const ExportSource& source, std::vector<Recording> recordings, MediaFormat format,
                              TimeNs now_ns) {
    std::vector<ZipMember> members;
    for (const Recording& recording : recordings)
        members.push_back({export_name(recording, format), [source, recording, format, now_ns] {
                               return open_export(source, recording, format, now_ns);
                           }});
    return opened(zip_file(std::move(members), now_ns), "recordings.zip", "application/zip", recordings);
}

}  // namespace

ExportSource Functions::export_source(const FunctionCall& call) const {
    return {context_.index, context_.segments, access_.visibility(call.caller)};
}

void Functions::export_audio(const FunctionCall& call, Done done) {
    if (auto elsewhere = not_here(call)) return done(std::move(*elsewhere));
    const auto wanted = wanted_format(call);
    if (wanted.refusal) return done(Reply(*wanted.refusal));
    on_pool(
        [source = export_source(call), now_ns = context_.now(), format = wanted.format,
         field = call.parameters.text_or_empty("UNIQUEFIELD"),
         id = call.parameters.text_or_empty("UNIQUEID")]() -> ExportResult<Opened> {
            auto found = recording_by_field(source, field, id);
            if (!found) return std::unexpected(found.error());
            return opened(open_export(source, *found, format, now_ns), export_name(*found, format),
                          media_kind(format).content_type, {*found});
        },
        [done = std::move(done)](ExportResult<Opened> file) { done(file_reply(std::move(file))); });
}

void Functions::combined_export(const FunctionCall& call, Done done) {
    if (auto elsewhere = not_here(call)) return done(std::move(*elsewhere));
    const auto wanted = wanted_format(call);
    if (wanted.refusal) return done(Reply(*wanted.refusal));
    const bool zipped = call.request.type == "MULTIEXPORT";
    on_pool(
        [source = export_source(call), now_ns = context_.now(), format = wanted.format, zipped,
         idents = call.parameters.text_or_empty("IDENT")]() -> ExportResult<Opened> {
            auto found = recordings_by_ident(source, idents);
            if (!found) return std::unexpected(found.error());
            if (zipped) return open_zip(source, std::move(*found), format, now_ns);
            return opened(open_combined_export(source, *found, format, now_ns), combined_export_name(*found, format),
                          media_kind(format).content_type, *found);
        },
        [done = std::move(done)](ExportResult<Opened> file) { done(file_reply(std::move(file))); });
}

namespace {

Reply mail_reply(const MailResult& result, std::vector<std::uint64_t> idents) {
    Reply reply;
    switch (result.outcome) {
        case MailOutcome::sent:
            reply.recordings = std::move(idents);
            return reply;
        case MailOutcome::later:  // the queue has it
            reply.recordings = std::move(idents);
            reply.message = "queued: " + result.message;
            return reply;
        case MailOutcome::bad_address:
            return refused(ResultCode::API_EMAIL_NOT_VALID, result.message);
        case MailOutcome::no_server:
            return refused(ResultCode::API_ERROR_CLIENT_NOT_FOUND, result.message);
        case MailOutcome::failed:
            break;
    }
    return refused(ResultCode::API_ERROR_PROCESSING_MESSAGE, result.message);
}

}  // namespace

void Functions::email(const FunctionCall& call, Done done) {
    const auto wanted = wanted_format(call);
    if (wanted.refusal) return done(Reply(*wanted.refusal));
    MailJob job;
    job.format = wanted.format;
    job.to = call.parameters.text_or_empty("TOADDRESS");
    on_pool(
        [source = export_source(call), field = call.parameters.text_or_empty("UNIQUEFIELD"),
         id = call.parameters.text_or_empty("UNIQUEID")]() -> ExportResult<std::vector<Recording>> {
            auto found = recording_by_field(source, field, id);
            if (!found) return std::unexpected(found.error());
            return std::vector{std::move(*found)};
        },
        [this, job = std::move(job), done = std::move(done)](auto found) mutable {
            mail_found(std::move(found), std::move(job), std::move(done));
        });
}

void Functions::combined_email(const FunctionCall& call, Done done) {
    const auto wanted = wanted_format(call);
    if (wanted.refusal) return done(Reply(*wanted.refusal));
    MailJob job;
    job.format = wanted.format;
    job.to = call.parameters.text_or_empty("TOADDRESS");
    job.to_name = call.parameters.text_or_empty("TONAME");
    job.from = call.parameters.text_or_empty("FROMADDRESS");
    job.from_name = call.parameters.text_or_empty("FROMNAME");
    on_pool([source = export_source(call),
             idents = call.parameters.text_or_empty("IDENT")] { return recordings_by_ident(source, idents); },
            [this, job = std::move(job), done = std::move(done)](auto found) mutable {
                mail_found(std::move(found), std::move(job), std::move(done));
            });
}

void Functions::mail_found(ExportResult<std::vector<Recording>>&& found, MailJob&& job, Done done) {
    if (!found) return done(refused(found.error().code, std::move(found.error().message)));
    for (const std::string* address : {&job.to, &job.from})
        if (!address->empty() && !is_mail_address(*address))
            return done(refused(ResultCode::API_EMAIL_NOT_VALID, fmt::format("'{}' is no e-mail address", *address)));
    if (!context_.mail)
        return done(refused(ResultCode::API_ERROR_CLIENT_NOT_FOUND, "no mail server is configured (mail.server)"));
    for (const Recording& recording : *found) job.idents.push_back(recording.ident);
    context_.mail(MailJob(job), [idents = job.idents, done = std::move(done)](const MailResult& result) {
        done(mail_reply(result, idents));
    });
}

}  // namespace spantape::api
