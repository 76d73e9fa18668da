// SPDX-License-Identifier: AGPL-3.0-or-later
// The door of the functions.
#include "api/functions/functions.h"

#include <fmt/format.h>

namespace spantape::api {

Reply refused(ResultCode code, std::string message) {
    Reply reply;
    reply.code = code;
    reply.message = std::move(message);
    return reply;
}

Reply not_visible(std::uint64_t ident) {
    return refused(ResultCode::API_COMMAND_NOT_ALLOWED,
                   fmt::format("recording {} is of no group that the user may see", ident));
}

Functions::Functions(FunctionContext context)
    : context_(std::move(context)),
      blackouts_kept_({.control = context_.control,
                       .path = context_.blackouts_file,
                       .control_thread = context_.control_thread,
                       .pool = context_.pool,
                       .log = [this](const std::string& line) { context_.outputs.log("blackouts", line); }}),
      access_(context_.access, context_.directory.directory(), context_.control_thread, context_.pool) {}

void Functions::run_directory_function(DirectoryFunction function, const Parameters& parameters, Done done) {
    DirectoryService& service = context_.directory;
    if (service.crowded())
        return done(refused(ResultCode::API_COMMAND_QUEUE_FULL, "too many changes of the directory are waiting"));
    std::string password = password_to_hash(service.turns_waiting() ? nullptr : &service.directory(), parameters);
    service.in_turn(std::move(password), [this, function, parameters, done = std::move(done)](auto hash) {
        if (!hash) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, hash.error().message));
        DirectoryAnswer answer = function(context_.directory.directory(), {.parameters = parameters,
                                                                           .now_ns = wall_clock_ns(),
                                                                           .password_hash = std::move(*hash),
                                                                           .users_dialect = context_.users_dialect});
        // What is listed rests on changes that may not be durable yet.
        const auto commit = [this, done](DirectoryChanges changes, Reply&& reply) {
            context_.directory.commit(std::move(changes), [done, reply = std::move(reply)](const Result<>& written) {
                if (written) return done(Reply(reply));
                done(refused(ResultCode::API_DATABASE_QUERY_ERROR, written.error().message));
            });
        };
        if (!answer.slices) return commit(std::move(answer.changes), std::move(answer.reply));
        in_slices(std::move(answer.slices), std::move(answer.reply),
                  [commit](Reply&& reply) { commit({}, std::move(reply)); });
    });
}

void Functions::in_slices(std::function<bool(Reply&)> next, Reply&& reply, Done done) {
    if (!next(reply)) return done(std::move(reply));
    boost::asio::post(context_.control_thread,
                      [this, next = std::move(next), reply = std::move(reply), done = std::move(done)]() mutable {
                          in_slices(std::move(next), std::move(reply), std::move(done));
                      });
}

void Functions::handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) {
    const auto at = function_table().find(request.type);
    if (at == function_table().end())
        return done(refused(ResultCode::API_UNKNOWN_MESSAGE_TYPE, fmt::format("unknown TYPE '{}'", request.type)));
    const FunctionDescription& function = at->second;
    if (!access_.within_rate(client.address))
        return done(refused(ResultCode::API_COMMAND_QUEUE_FULL, "more requests a second than one address may send"));
    if (auto identified = access_.identify_now(client))
        return perform(function, request, client, *identified, std::move(done));
    access_.identify(client, [this, &function, request, client, done = std::move(done)](Access::Identified identified) {
        perform(function, request, client, identified, done);
    });
}

void Functions::perform(const FunctionDescription& function, const Request& request, const Client& client,
                        const Access::Identified& identified, Done done) {
    const bool audited = is_audited(function) || !identified;
    if (context_.audit && audited)
        done = [this, entry = audit_entry(request, client), done = std::move(done),
                user = identified ? identified->name : std::string()](Reply&& reply) mutable {
            entry.user = std::move(user);
            context_.audit(audit_result(std::move(entry), reply));
            done(std::move(reply));
        };
    if (!identified) return done(Reply(identified.error()));
    if (!identified->may(function.function_class))
        return done(refused(ResultCode::API_COMMAND_NOT_ALLOWED,
                            fmt::format("{} is not allowed to {}", request.type,
                                        identified->name.empty() ? "clients without a user" : identified->name)));
    if (function.handler == nullptr)
        return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED,
                            function.instead.empty()
                                ? fmt::format("{} is not supported by this version", request.type)
                                : fmt::format("{} is deprecated, use {}", request.type, function.instead)));
    auto parameters = Parameters::read(function, request);
    if (!parameters) return done(std::move(parameters.error()));
    (this->*function.handler)({request, client, *parameters, *identified}, std::move(done));
}

void Functions::admit_to_pages(const Client& client, std::function<void(Reply&&)> done) {
    const auto admit = [done = std::move(done)](const Access::Identified& identified) {
        if (!identified) return done(Reply(identified.error()));
        Reply reply;
        if (!identified->may(FunctionClass::status)) {
            reply = refused(ResultCode::API_COMMAND_NOT_ALLOWED, "not allowed");
            reply.http_status = 403;
        }
        done(std::move(reply));
    };
    if (auto identified = access_.identify_now(client)) return admit(*identified);
    access_.identify(client, admit);
}

}  // namespace spantape::api
