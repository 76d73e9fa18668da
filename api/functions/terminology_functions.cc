// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: FETCHTERMINOLOGY. Ours: what changes terminology, locations and sites.
#include <fmt/format.h>

#include "api/functions/directory_functions.h"

namespace spantape::api {

namespace {

DirectoryAnswer set_place(Directory& directory, const Parameters& from, Place::Kind kind) {
    const std::int32_t id = from.integer32("ID").value_or(0);
    const std::string name = from.text_or_empty("NAME");
    auto done = name.empty() ? directory.remove_place(kind, id) : directory.set_place({kind, id, name});
    if (!done) return refused_by(done.error(), ResultCode::API_INVALID_MESSAGE_FORMAT);
    return {.changes = std::move(done->changes)};
}

}  // namespace

DirectoryAnswer fetch_terminology(Directory& directory, const DirectoryRequest& /*request*/) {
    const auto terms = directory.terms();
    DirectoryAnswer answer;
    answer.reply.body.push_back(leaf("COUNT", fmt::to_string(terms.size())));
    Element& list = answer.reply.body.emplace_back(Element{"SETTINGS", {}, {}});
    for (const auto& [name, value] : terms)
        list.children.push_back({"TERMINOLOGY", {}, {leaf("NAME", name), leaf("VALUE", value)}});
    return answer;
}

DirectoryAnswer terminology_set(Directory& directory, const DirectoryRequest& request) {
    const std::string name = request.parameters.text_or_empty("NAME");
    auto done = request.parameters.has("VALUE") ? directory.set_term({name, request.parameters.text_or_empty("VALUE")})
                                                : directory.reset_term(name);
    if (!done) return refused_by(done.error(), ResultCode::API_INVALID_MESSAGE_FORMAT);
    return {.changes = std::move(done->changes)};
}

DirectoryAnswer location_set(Directory& directory, const DirectoryRequest& request) {
    return set_place(directory, request.parameters, Place::Kind::location);
}

DirectoryAnswer site_set(Directory& directory, const DirectoryRequest& request) {
    return set_place(directory, request.parameters, Place::Kind::site);
}

}  // namespace spantape::api
