// SPDX-License-Identifier: AGPL-3.0-or-later
// Directory entries as keys and JSON. Read back without trust: an entry that does not say what its key says is an
// error.
#include <algorithm>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include <boost/json.hpp>

#include "api/control/directory_entries.h"
#include "storage/recording.h"

namespace spantape {

namespace {

namespace json = boost::json;

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kLinkNames[] = {"member", "viewer", "role_group", "role_user"};
constexpr std::string_view kPlaceNames[] = {"location", "site"};

json::string json_text(std::string_view text) { return json::string(valid_utf8(text)); }

template <class Texts>
json::array json_texts(const Texts& texts) {
    json::array array;
    for (const auto& text : texts) array.emplace_back(json_text(text));
    return array;
}

// ---- writing

json::object json_of(const User& user) {
    json::array tokens;
    for (const AccessToken& token : user.tokens)
        tokens.emplace_back(json::object{
            {"name", json_text(token.name)}, {"sha256", json_text(token.sha256)}, {"added_ns", token.added_ns}});
    return {{"id", user.id},
            {"employee_id", json_text(user.employee_id)},
            {"first_name", json_text(user.first_name)},
            {"last_name", json_text(user.last_name)},
            {"status", std::string_view(reinterpret_cast<const char*>(&user.status), 1)},
            {"added_ns", user.added_ns},
            {"modified_ns", user.modified_ns},
            {"sys_user", json_text(user.sys_user)},
            {"domain", json_text(user.domain)},
            {"email", json_text(user.email)},
            {"crm_user", json_text(user.crm_user)},
            {"username", json_text(user.username)},
            {"site_id", user.site_id},
            {"allow_self_record", user.allow_self_record},
            {"allow_self_download", user.allow_self_download},
            {"password", json_text(user.password)},
            {"tokens", std::move(tokens)},
            {"phones", json_texts(user.phones)}};
}
json::object json_of(const Station& station) {
    return {{"name", json_text(station.name)},
            {"device_id", json_text(station.device_id)},
            {"location_id", station.location_id}};
}
json::object json_of(const Place& place) { return {{"id", place.id}, {"name", json_text(place.name)}}; }
json::object json_of(const Group& group) { return {{"id", group.id}, {"name", json_text(group.name)}}; }
json::object json_of(const Role& role) {
    return {{"id", role.id},
            {"name", json_text(role.name)},
            {"description", json_text(role.description)},
            {"classes", json_texts(role.classes)}};
}
json::object json_of(const Link& link) {
    return {{"left", link.left}, {"right", link.right}, {"device", json_text(link.device)}};
}
json::object json_of(const Term& term) { return {{"name", json_text(term.name)}, {"value", json_text(term.value)}}; }
json::object json_of(const ArchiveAction& action) {
    return {{"number", action.number},
            {"name", json_text(action.name)},
            {"path", json_text(action.path)},
            {"mode", json_text(kArchiveModes[static_cast<std::size_t>(action.mode)])},
            {"format", json_text(kArchiveFormats[static_cast<std::size_t>(action.format)])},
            {"keep_days", action.keep_days},
            {"wait_ns", action.wait_ns}};
}
json::object json_of(const ScheduleEntry& schedule) {
    json::array rules;
    for (const auto& rule : schedule.rules) {
        json::object& object = rules.emplace_back(json::object()).get_object();
        for (const auto& [key, value] : rule) object[valid_utf8(key)] = json_text(value);
    }
    return {{"rules", std::move(rules)}};
}
json::object json_of(const IdCounter& counter) {
    return {{"series", json_text(counter.series)}, {"next", counter.next}};
}

// ---- reading

// Reads members of an object; remembers the first that is missing or of another type.
class Members {
public:
    Members(const json::object& object, std::string& wrong) : object_(object), wrong_(wrong) {}

    void text(std::string_view name, std::string& to) const {
        if (const json::value* value = member(name); value != nullptr && value->is_string())
            to.assign(value->get_string().data(), value->get_string().size());
        else
            refuse(name);
    }
    template <class Integer>
    void integer(std::string_view name, Integer& to) const {
        const json::value* value = member(name);
        if (value == nullptr || !value->is_int64() || value->get_int64() < std::numeric_limits<Integer>::min() ||
            value->get_int64() > std::numeric_limits<Integer>::max())
            return refuse(name);
        to = static_cast<Integer>(value->get_int64());
    }
    void flag(std::string_view name, bool& to) const {
        const json::value* value = member(name);
        if (value == nullptr || !value->is_bool()) return refuse(name);
        to = value->get_bool();
    }
    template <class Add>
    void texts(std::string_view name, Add add) const {
        const json::value* value = member(name);
        if (value == nullptr || !value->is_array()) return refuse(name);
        for (const json::value& each : value->get_array()) {
            if (!each.is_string()) return refuse(name);
            add(std::string(each.get_string()));
        }
    }
    // The objects of an array.
    template <class Add>
    void objects(std::string_view name, Add add) const {
        const json::value* value = member(name);
        if (value == nullptr || !value->is_array()) return refuse(name);
        for (const json::value& each : value->get_array()) {
            if (!each.is_object()) return refuse(name);
            add(Members(each.get_object(), wrong_));
        }
    }
    // All members, which must be texts.
    void all_texts(std::map<std::string, std::string>& to) const {
        for (const auto& [name, value] : object_) {
            if (!value.is_string()) return refuse(std::string_view(name.data(), name.size()));
            to[std::string(name)] = std::string(value.get_string());
        }
    }
    [[nodiscard]] const json::value* member(std::string_view name) const { return object_.if_contains(name); }
    void refuse(std::string_view name) const {
        if (wrong_.empty()) wrong_ = name;
    }

private:
    const json::object& object_;
    std::string& wrong_;
};

void read(const Members& from, User& user) {
    from.integer("id", user.id);
    from.text("employee_id", user.employee_id);
    from.text("first_name", user.first_name);
    from.text("last_name", user.last_name);
    std::string status;
    from.text("status", status);
    if (status != "A" && status != "I" && status != "D")
        from.refuse("status");
    else
        user.status = static_cast<UserStatus>(status[0]);
    from.integer("added_ns", user.added_ns);
    from.integer("modified_ns", user.modified_ns);
    from.text("sys_user", user.sys_user);
    from.text("domain", user.domain);
    from.text("email", user.email);
    from.text("crm_user", user.crm_user);
    from.text("username", user.username);
    from.integer("site_id", user.site_id);
    from.flag("allow_self_record", user.allow_self_record);
    from.flag("allow_self_download", user.allow_self_download);
    from.text("password", user.password);
    from.objects("tokens", [&](const Members& each) {
        AccessToken& token = user.tokens.emplace_back();
        each.text("name", token.name);
        each.text("sha256", token.sha256);
        each.integer("added_ns", token.added_ns);
    });
    from.texts("phones", [&](std::string&& phone) { user.phones.push_back(std::move(phone)); });
}
void read(const Members& from, Station& station) {
    from.text("name", station.name);
    from.text("device_id", station.device_id);
    from.integer("location_id", station.location_id);
}
void read(const Members& from, Place& place) {
    from.integer("id", place.id);
    from.text("name", place.name);
}
void read(const Members& from, Group& group) {
    from.integer("id", group.id);
    from.text("name", group.name);
}
void read(const Members& from, Role& role) {
    from.integer("id", role.id);
    from.text("name", role.name);
    from.text("description", role.description);
    from.texts("classes", [&](std::string&& name) { role.classes.insert(std::move(name)); });
}
void read(const Members& from, Link& link) {
    from.integer("left", link.left);
    from.integer("right", link.right);
    from.text("device", link.device);
}
void read(const Members& from, Term& term) {
    from.text("name", term.name);
    from.text("value", term.value);
}
template <class Choice>
void read_choice(const Members& from, std::string_view name, std::span<const std::string_view> texts, Choice& to) {
    std::string text;
    from.text(name, text);
    const auto at = std::ranges::find(texts, text);
    if (at == texts.end()) return from.refuse(name);
    to = static_cast<Choice>(at - texts.begin());
}
void read(const Members& from, ArchiveAction& action) {
    from.integer("number", action.number);
    from.text("name", action.name);
    from.text("path", action.path);
    read_choice(from, "mode", kArchiveModes, action.mode);
    read_choice(from, "format", kArchiveFormats, action.format);
    from.integer("keep_days", action.keep_days);
    from.integer("wait_ns", action.wait_ns);
}
void read(const Members& from, ScheduleEntry& schedule) {
    from.objects("rules", [&](const Members& each) { each.all_texts(schedule.rules.emplace_back()); });
}
void read(const Members& from, IdCounter& counter) {
    from.text("series", counter.series);
    from.integer("next", counter.next);
}

// ---- keys

std::string key_of_one(const User& user) { return fmt::format("user/{:010}", user.id); }
std::string key_of_one(const Station& station) { return "station/" + station.name; }
std::string key_of_one(const Place& place) {
    return fmt::format("{}/{:010}", kPlaceNames[static_cast<std::size_t>(place.kind)], place.id);
}
std::string key_of_one(const Group& group) { return fmt::format("group/{:010}", group.id); }
std::string key_of_one(const Role& role) { return fmt::format("role/{:010}", role.id); }
std::string key_of_one(const Link& link) {
    return fmt::format("link/{}/{:010}/{:010}/{}", kLinkNames[static_cast<std::size_t>(link.kind)], link.left,
                       link.right, link.device);
}
std::string key_of_one(const Term& term) { return "term/" + term.name; }
std::string key_of_one(const ArchiveAction& action) { return fmt::format("archive/{}", action.number); }
std::string key_of_one(const ScheduleEntry& /*schedule*/) { return "schedule/rules"; }
std::string key_of_one(const IdCounter& counter) { return "next/" + counter.series; }

// An entry of the kind that the key's first words name.
std::optional<DirectoryEntry> kind_of(std::string_view key) {
    for (std::size_t kind = 0; kind < std::size(kLinkNames); ++kind)
        if (key.starts_with(fmt::format("link/{}/", kLinkNames[kind])))
            return Link{.kind = static_cast<Link::Kind>(kind)};
    for (std::size_t kind = 0; kind < std::size(kPlaceNames); ++kind)
        if (key.starts_with(fmt::format("{}/", kPlaceNames[kind])))
            return Place{.kind = static_cast<Place::Kind>(kind)};
    if (key.starts_with("user/")) return User{};
    if (key.starts_with("station/")) return Station{};
    if (key.starts_with("group/")) return Group{};
    if (key.starts_with("role/")) return Role{};
    if (key.starts_with("term/")) return Term{};
    if (key.starts_with("archive/")) return ArchiveAction{};
    if (key == "schedule/rules") return ScheduleEntry{};
    if (key.starts_with("next/")) return IdCounter{};
    return std::nullopt;
}

}  // namespace

std::string key_of(const DirectoryEntry& entry) {
    return std::visit([](const auto& one) { return key_of_one(one); }, entry);
}

std::string encode(const DirectoryEntry& entry) {
    json::object object = std::visit([](const auto& one) { return json_of(one); }, entry);
    object["version"] = kVersion;
    return json::serialize(object);
}

Result<DirectoryEntry> decode(std::string_view key, std::string_view value) {
    auto entry = kind_of(key);
    if (!entry) return fail("entry '{}': of a kind that this program does not know", key);
    boost::system::error_code error;
    const json::value parsed = json::parse(json::string_view(value.data(), value.size()), error);
    if (error) return fail("entry '{}': is no JSON: {}", key, error.message());
    if (!parsed.is_object()) return fail("entry '{}': is no JSON object", key);
    std::string wrong;
    const Members members(parsed.get_object(), wrong);
    std::int64_t version = 0;
    members.integer("version", version);
    if (wrong.empty() && version != kVersion)
        return fail("entry '{}': has version {}, this program knows version {}", key, version, kVersion);
    std::visit([&](auto& one) { read(members, one); }, *entry);
    if (!wrong.empty()) return fail("entry '{}': member '{}' is missing or wrong", key, wrong);
    if (key_of(*entry) != key) return fail("entry '{}': holds what belongs under '{}'", key, key_of(*entry));
    return std::move(*entry);
}

}  // namespace spantape
