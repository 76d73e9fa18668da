// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Uptivity WebAPI Service (EXPORT, COMBINEDEXPORT, MULTIEXPORT); EMAIL, COMBINEDEMAIL.
#include <memory>

#include <fmt/format.h>

#include "api/functions/exports.h"
#include "api/functions/functions.h"
#include "storage/export/waveform.h"

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

struct Wanted {
    MediaFormat format = MediaFormat::wav;
    std::string password;  // that CAV is sealed with; "": it is not
    std::optional<Reply> refusal;
};

// The table has checked that there is such a MEDIA_FORMAT.
Wanted wanted_of(const FunctionCall& call) {
    Wanted wanted{.format =
                      media_format(call.parameters.text("MEDIA_FORMAT").value_or("WAV")).value_or(MediaFormat::wav)};
    // The manual's example of EMAIL has it with WAV, which it changes nothing of.
    if (wanted.format != MediaFormat::cav || !call.parameters.flag("ENCRYPT").value_or(false)) return wanted;
    wanted.password = call.parameters.text_or_empty("PASSWORD");
    if (wanted.password.empty())
        wanted.refusal = refused(ResultCode::API_INVALID_MESSAGE_FORMAT, "ENCRYPT needs a PASSWORD");
    return wanted;
}

// On the pool: deriving a key takes a while.
ExportResult<ExportWish> wish_of(const Wanted& wanted) {
    ExportWish wish{.format = wanted.format, .seal = std::nullopt};
    if (wanted.password.empty()) return wish;
    auto seal = CavSeal::of(wanted.password);
    if (!seal) return std::unexpected(NoExport{ResultCode::API_ERROR_PROCESSING_MESSAGE, seal.error().message});
    wish.seal = std::move(*seal);
    return wish;
}

ExportResult<Opened> open_zip(const ExportSource& source, std::vector<Recording> recordings, const ExportWish& wish,
                              TimeNs now_ns) {
    std::vector<ZipMember> members;
    for (const Recording& recording : recordings)
        members.push_back({export_name(recording, wish.format), [source, recording, wish, now_ns] {
                               return open_export(source, {recording}, wish, now_ns);
                           }});
    return opened(zip_file(std::move(members), now_ns), "recordings.zip", "application/zip", recordings);
}

}  // namespace

ExportSource Functions::export_source(const FunctionCall& call) const {
    return {context_.index, context_.segments, access_.visibility(call.caller), context_.vox,
            context_.control.options().recording_path};
}

void Functions::export_audio(const FunctionCall& call, Done done) {
    if (auto elsewhere = not_here(call)) return done(std::move(*elsewhere));
    Wanted wanted = wanted_of(call);
    if (wanted.refusal) return done(std::move(*wanted.refusal));
    on_pool(
        [source = export_source(call), now_ns = context_.now(), wanted = std::move(wanted),
         field = call.parameters.text_or_empty("UNIQUEFIELD"),
         id = call.parameters.text_or_empty("UNIQUEID")]() -> ExportResult<Opened> {
            const auto found = recording_by_field(source, field, id);
            if (!found) return std::unexpected(found.error());
            const auto wish = wish_of(wanted);
            if (!wish) return std::unexpected(wish.error());
            return opened(open_export(source, {*found}, *wish, now_ns), export_name(*found, wish->format),
                          media_kind(wish->format).content_type, {*found});
        },
        [done = std::move(done)](ExportResult<Opened> file) { done(file_reply(std::move(file))); });
}

void Functions::combined_export(const FunctionCall& call, Done done) {
    if (auto elsewhere = not_here(call)) return done(std::move(*elsewhere));
    Wanted wanted = wanted_of(call);
    if (wanted.refusal) return done(std::move(*wanted.refusal));
    const bool zipped = call.request.type == "MULTIEXPORT";
    on_pool(
        [source = export_source(call), now_ns = context_.now(), wanted = std::move(wanted), zipped,
         idents = call.parameters.text_or_empty("IDENT")]() -> ExportResult<Opened> {
            auto found = recordings_by_ident(source, idents);
            if (!found) return std::unexpected(found.error());
            const auto wish = wish_of(wanted);
            if (!wish) return std::unexpected(wish.error());
            if (zipped) return open_zip(source, std::move(*found), *wish, now_ns);
            return opened(open_export(source, *found, *wish, now_ns), combined_export_name(*found, wish->format),
                          media_kind(wish->format).content_type, *found);
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

// A picture for pages, or its figures.
void Functions::waveform(const FunctionCall& call, Done done) {
    if (auto elsewhere = not_here(call)) return done(std::move(*elsewhere));
    const bool json = call.parameters.text("MEDIA_FORMAT").value_or("PNG") == "JSON";
    on_pool(
        [source = export_source(call), now_ns = context_.now(), json,
         width = static_cast<std::size_t>(call.parameters.integer("WIDTH").value_or(1200)),
         height = static_cast<std::size_t>(call.parameters.integer("HEIGHT").value_or(240)),
         field = call.parameters.text_or_empty("UNIQUEFIELD"),
         id = call.parameters.text_or_empty("UNIQUEID")]() -> ExportResult<Reply> {
            const auto found = recording_by_field(source, field, id);
            if (!found) return std::unexpected(found.error());
            const auto failed = [](const Error& error) {
                return std::unexpected(NoExport{ResultCode::API_ERROR_PROCESSING_MESSAGE, error.message});
            };
            const auto seen = waveform_of(source.index, source.segments, *found, width, now_ns);
            if (!seen) return failed(seen.error());
            auto text = json ? Result<std::string>(waveform_json(*seen)) : waveform_png(*seen, height);
            if (!text) return failed(text.error());
            const std::string name = export_name(*found, MediaFormat::wav);
            Reply reply;
            reply.recordings = {found->ident};  // for the audit log: who looked at it
            reply.file = FileAnswer{
                .content_type = json ? "application/json" : "image/png",
                .name = name.substr(0, name.size() - 3) + (json ? "json" : "png"),
                .bytes = text->size(),
                .read = [text = std::move(*text)]() mutable { return Result<std::string>(std::exchange(text, {})); }};
            return reply;
        },
        [done = std::move(done)](ExportResult<Reply> reply) {
            if (!reply) return done(refused(reply.error().code, std::move(reply.error().message)));
            done(std::move(*reply));
        });
}

namespace {

// What a mail carries, on its way from the pool.
struct Attachment {
    std::vector<Recording> recordings;
    ExportWish wish;
};

ExportResult<Attachment> attachment(ExportResult<std::vector<Recording>>&& found, const Wanted& wanted) {
    if (!found) return std::unexpected(found.error());
    auto wish = wish_of(wanted);
    if (!wish) return std::unexpected(wish.error());
    return Attachment{std::move(*found), std::move(*wish)};
}

}  // namespace

void Functions::email(const FunctionCall& call, Done done) {
    Wanted wanted = wanted_of(call);
    if (wanted.refusal) return done(std::move(*wanted.refusal));
    MailJob job;
    job.to = call.parameters.text_or_empty("TOADDRESS");
    on_pool(
        [source = export_source(call), wanted = std::move(wanted), field = call.parameters.text_or_empty("UNIQUEFIELD"),
         id = call.parameters.text_or_empty("UNIQUEID")] {
            auto found = recording_by_field(source, field, id);
            if (!found) return ExportResult<Attachment>(std::unexpected(found.error()));
            return attachment(std::vector{std::move(*found)}, wanted);
        },
        [this, job = std::move(job), done = std::move(done)](ExportResult<Attachment> found) mutable {
            if (!found) return done(refused(found.error().code, std::move(found.error().message)));
            job.wish = std::move(found->wish);
            mail_found(std::move(found->recordings), std::move(job), std::move(done));
        });
}

void Functions::combined_email(const FunctionCall& call, Done done) {
    Wanted wanted = wanted_of(call);
    if (wanted.refusal) return done(std::move(*wanted.refusal));
    MailJob job;
    job.to = call.parameters.text_or_empty("TOADDRESS");
    job.to_name = call.parameters.text_or_empty("TONAME");
    job.from = call.parameters.text_or_empty("FROMADDRESS");
    job.from_name = call.parameters.text_or_empty("FROMNAME");
    on_pool(
        [source = export_source(call), wanted = std::move(wanted), idents = call.parameters.text_or_empty("IDENT")] {
            return attachment(recordings_by_ident(source, idents), wanted);
        },
        [this, job = std::move(job), done = std::move(done)](ExportResult<Attachment> found) mutable {
            if (!found) return done(refused(found.error().code, std::move(found.error().message)));
            job.wish = std::move(found->wish);
            mail_found(std::move(found->recordings), std::move(job), std::move(done));
        });
}

void Functions::mail_found(const std::vector<Recording>& recordings, MailJob&& job, Done done) {
    for (const std::string* address : {&job.to, &job.from})
        if (!address->empty() && !is_mail_address(*address))
            return done(refused(ResultCode::API_EMAIL_NOT_VALID, fmt::format("'{}' is no e-mail address", *address)));
    if (!context_.mail)
        return done(refused(ResultCode::API_ERROR_CLIENT_NOT_FOUND, "no mail server is configured (mail.server)"));
    for (const Recording& recording : recordings) job.idents.push_back(recording.ident);
    context_.mail(MailJob(job), [idents = job.idents, done = std::move(done)](const MailResult& result) {
        done(mail_reply(result, idents));
    });
}

}  // namespace spantape::api
