// SPDX-License-Identifier: AGPL-3.0-or-later
// Ours: ARCHIVEACTIONSET, which lists, adds, changes and removes archive actions: beside those of the configuration, or
// in their place under the same number.
#include <algorithm>
#include <cctype>
#include <span>

#include <fmt/format.h>

#include "api/functions/directory_functions.h"
#include "api/functions/functions.h"

namespace spantape::api {

namespace {

std::string upper(std::string_view text) {
    std::string all(text);
    std::ranges::transform(all, all.begin(), [](unsigned char c) { return std::toupper(c); });
    return all;
}

// The parameter's choice, whatever its letter case; the table has checked that it is one of them.
template <class Choice>
void take(const Parameters& from, const char* name, std::span<const std::string_view> texts, Choice& to) {
    const auto wanted = from.text(name);
    if (!wanted) return;
    const auto at = std::ranges::find(texts, upper(*wanted), upper);
    if (at != texts.end()) to = static_cast<Choice>(at - texts.begin());
}

void set_from(const Parameters& from, ArchiveAction& action) {
    if (const auto name = from.text("NAME")) action.name = *name;
    if (const auto path = from.text("PATH")) action.path = *path;
    take(from, "MODE", kArchiveModes, action.mode);
    take(from, "FORMAT", kArchiveFormats, action.format);
    if (const auto days = from.integer("KEEPDAYS")) action.keep_days = static_cast<std::uint32_t>(*days);
    if (const auto wait_s = from.integer("WAIT")) action.wait_ns = *wait_s * kNsPerSecond;
}

DirectoryAnswer listed(const Directory& directory) {
    DirectoryAnswer answer;
    const auto actions = directory.archive_actions();
    answer.reply.body.push_back(leaf("COUNT", fmt::to_string(actions.size())));
    Element& list = answer.reply.body.emplace_back(Element{"ARCHIVEACTIONS", {}, {}});
    for (const auto& [number, action] : actions)
        list.children.push_back(
            {"ARCHIVEACTION",
             {},
             {leaf("NUMBER", fmt::to_string(number)), leaf("NAME", action.name), leaf("PATH", action.path),
              leaf("MODE", upper(kArchiveModes[static_cast<std::size_t>(action.mode)])),
              leaf("FORMAT", upper(kArchiveFormats[static_cast<std::size_t>(action.format)])),
              leaf("KEEPDAYS", fmt::to_string(action.keep_days)),
              leaf("WAIT", fmt::format("{}", seconds(action.wait_ns))),
              leaf("ORIGIN", directory.own_archive_action(number) ? "changed" : "configuration")}});
    return answer;
}

DirectoryAnswer wrong(std::string why) { return {refused(ResultCode::API_INVALID_MESSAGE_FORMAT, std::move(why))}; }

}  // namespace

DirectoryAnswer archive_action_set(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const std::string what = from.text_or_empty("ACTION");
    if (what == "LIST") return listed(directory);
    const auto number = from.integer("NUMBER");
    if (!number) return wrong("NUMBER of the archive action is required");
    const ArchiveAction* known = directory.archive_action(*number);
    if (what == "ADD" && known != nullptr) return wrong(fmt::format("NUMBER: there is an archive action {}", *number));
    if (what != "ADD" && known == nullptr) return wrong(fmt::format("NUMBER: there is no archive action {}", *number));
    ArchiveAction action = known != nullptr ? *known : ArchiveAction{.number = *number};
    set_from(from, action);
    if (const auto path = check_archive_path(action.path); !path) return wrong("PATH " + path.error().message);
    auto done = what == "DELETE" ? directory.remove_archive_action(*number) : directory.set_archive_action(action);
    if (!done) return refused_by(done.error(), ResultCode::API_INVALID_MESSAGE_FORMAT);
    DirectoryAnswer answer = listed(directory);
    answer.changes = std::move(done->changes);
    return answer;
}

}  // namespace spantape::api
