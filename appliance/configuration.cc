// SPDX-License-Identifier: AGPL-3.0-or-later
// Loading: the TOML file and the overrides, each value checked against its key's entry in the table.
#include "appliance/configuration.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "appliance/configuration_keys.h"

namespace spantape {

namespace {

constexpr std::size_t kMaxFileBytes = 1u << 20;

// Where each key was set last ("FILE:LINE: section.key" or "--set section.key=value"), for errors about two keys.
using Origins = std::map<std::string, std::string, std::less<>>;

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    std::ranges::replace(text, '\r', ' ');
    return text;
}

// The value as it stands in the file, short enough for a message.
std::string shown(const toml::node& node) {
    constexpr std::size_t kLongest = 60;
    std::ostringstream out;
    node.visit([&](const auto& value) {
        using Type = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<Type, toml::table>)
            out << "a section";
        else if constexpr (std::is_same_v<Type, toml::value<std::string>>)
            out << '\'' << value.get() << '\'';
        else
            out << value;
    });
    std::string text = one_line(out.str());
    return text.size() > kLongest ? text.substr(0, kLongest) + "…" : text;
}

Result<std::int64_t> checked_integer(const toml::node& node, std::int64_t min, std::int64_t max) {
    const auto* value = node.as_integer();
    if (value == nullptr) return fail("must be an integer from {} to {}, is {}", min, max, shown(node));
    if (value->get() < min || value->get() > max)
        return fail("must be between {} and {}, is {}", min, max, value->get());
    return value->get();
}

// All elements of an array, each by `element`, or the first error.
template <class Value, class Element>
Result<std::vector<Value>> checked_list(const toml::node& node, std::string_view wanted, Element element) {
    const auto* array = node.as_array();
    if (array == nullptr) return fail("must be a list of {}, is {}", wanted, shown(node));
    std::vector<Value> values;
    for (const toml::node& each : *array) {
        auto value = element(each);
        if (!value) return std::unexpected(value.error());
        values.push_back(std::move(*value));
    }
    return values;
}

Result<std::string> checked_text(const toml::node& node, Result<> (*check)(const std::string&)) {
    const auto* value = node.as_string();
    if (value == nullptr) return fail("must be a string, is {}", shown(node));
    if (value->get().find('\0') != std::string::npos) return fail("must not hold a zero byte");
    if (auto good = check(value->get()); !good) return std::unexpected(good.error());
    return value->get();
}

// One function a kind: the value into the configuration, or what is wrong with it.
Result<> assign(const IntegerKey& key, const toml::node& node, Configuration& configuration) {
    const auto value = checked_integer(node, key.min, key.max);
    if (!value) return std::unexpected(value.error());
    if (key.power_of_two && (*value & (*value - 1)) != 0) return fail("must be a power of two, is {}", *value);
    key.set(configuration, *value);
    return {};
}

Result<> assign(const NumberKey& key, const toml::node& node, Configuration& configuration) {
    const std::optional<double> value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value) return fail("must be a number from {} to {}, is {}", key.min, key.max, shown(node));
    if (!(*value >= key.min && *value <= key.max))  // not so for NaN either
        return fail("must be between {} and {}, is {}", key.min, key.max, shown(node));
    key.set(configuration, *value);
    return {};
}

Result<> assign(const FlagKey& key, const toml::node& node, Configuration& configuration) {
    const auto* value = node.as_boolean();
    if (value == nullptr) return fail("must be true or false, is {}", shown(node));
    key.set(configuration, value->get());
    return {};
}

Result<> assign(const TextKey& key, const toml::node& node, Configuration& configuration) {
    auto value = checked_text(node, key.check);
    if (!value) return std::unexpected(value.error());
    key.set(configuration, std::move(*value));
    return {};
}

Result<> assign(const ChoiceKey& key, const toml::node& node, Configuration& configuration) {
    const auto* value = node.as_string();
    const auto found = value == nullptr ? key.names.end() : std::ranges::find(key.names, value->get());
    if (found == key.names.end()) return fail("must be one of {}, is {}", fmt::join(key.names, ", "), shown(node));
    key.set(configuration, static_cast<std::size_t>(found - key.names.begin()));
    return {};
}

Result<> assign(const IntegersKey& key, const toml::node& node, Configuration& configuration) {
    const auto values = checked_list<std::int64_t>(
        node, "integers", [&](const toml::node& each) { return checked_integer(each, key.min, key.max); });
    if (!values) return std::unexpected(values.error());
    key.set(configuration, *values);
    return {};
}

Result<> assign(const TextsKey& key, const toml::node& node, Configuration& configuration) {
    auto values = checked_list<std::string>(node, "strings",
                                            [&](const toml::node& each) { return checked_text(each, key.check); });
    if (!values) return std::unexpected(values.error());
    key.set(configuration, std::move(*values));
    return {};
}

Result<> assign(const ConfigurationKey& key, const toml::node& node, Configuration& configuration) {
    return std::visit([&](const auto& kind) { return assign(kind, node, configuration); }, key.kind);
}

// ---- the file

Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(kMaxFileBytes + 1, '\0');
    if (!file) return fail("{}: cannot be read: {}", path, std::strerror(errno));
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad() || (file.fail() && !file.eof())) return fail("{}: cannot be read: {}", path, std::strerror(errno));
    if (file.gcount() > static_cast<std::streamsize>(kMaxFileBytes))
        return fail("{}: is larger than {} bytes", path, kMaxFileBytes);
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

Result<toml::table> parse_file(const std::string& path) {
    const auto text = read_file(path);
    if (!text) return std::unexpected(text.error());
    try {
        return toml::parse(*text, path);
    } catch (const toml::parse_error& error) {
        return fail("{}:{}: {}", path, error.source().begin.line, one_line(std::string(error.description())));
    }
}

Result<> apply_section(std::string_view section, const toml::table& table, const std::string& path,
                       Configuration& configuration, Origins& origins) {
    for (const auto& [name, node] : table) {
        const std::string where =
            fmt::format("{}:{}: {}.{}", path, name.source().begin.line, section, one_line(std::string(name.str())));
        const ConfigurationKey* key = find_configuration_key(section, name.str());
        if (key == nullptr) return fail("{}: there is no such key", where);
        if (auto done = assign(*key, node, configuration); !done) return fail("{}: {}", where, done.error().message);
        origins[fmt::format("{}.{}", section, name.str())] = where;
    }
    return {};
}

// One action for each [[archive]].
Result<> apply_archive(const toml::node& node, const std::string& path, Configuration& configuration,
                       Origins& origins) {
    const toml::array* actions = node.as_array();
    const std::string where = fmt::format("{}:{}: archive", path, node.source().begin.line);
    if (actions == nullptr || !actions->is_array_of_tables())
        return fail("{}: must be [[archive]], once for each action", where);
    for (const toml::node& each : *actions) {
        const std::string here = fmt::format("{}:{}: archive", path, each.source().begin.line);
        configuration.archive.emplace_back();
        for (const auto& [name, value] : *each.as_table()) {
            const std::string at =
                fmt::format("{}:{}: archive.{}", path, name.source().begin.line, one_line(std::string(name.str())));
            const auto key = std::ranges::find(archive_keys(), name.str(), &ConfigurationKey::name);
            if (key == archive_keys().end()) return fail("{}: there is no such key", at);
            if (auto done = assign(*key, value, configuration); !done) return fail("{}: {}", at, done.error().message);
        }
        ArchiveAction& action = configuration.archive.back();
        if (action.number == 0) return fail("{}: needs a number", here);
        if (action.path.empty()) return fail("{}: needs a path", here);
        while (action.path.size() > 1 && action.path.ends_with('/')) action.path.pop_back();
        if (!origins.emplace(fmt::format("archive {}", action.number), here).second)
            return fail("{}: there are two of number {}", here, action.number);
    }
    return {};
}

// A text, or the text of a number; lists are texts, too.
std::optional<std::string> rule_value(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) return *text;
    if (const auto number = node.value_exact<std::int64_t>()) return fmt::to_string(*number);
    if (const auto number = node.value_exact<double>()) return fmt::to_string(*number);
    return std::nullopt;
}

// One rule for each [[schedule]], in their order.
Result<> apply_schedule(const toml::node& node, const std::string& path, Configuration& configuration) {
    const toml::array* rules = node.as_array();
    if (rules == nullptr || !rules->is_array_of_tables())
        return fail("{}:{}: schedule: must be [[schedule]], once for each rule", path, node.source().begin.line);
    for (const toml::node& each : *rules) {
        RuleText& rule = configuration.schedule.emplace_back();
        for (const auto& [name, value] : *each.as_table()) {
            const std::string at =
                fmt::format("{}:{}: schedule.{}", path, name.source().begin.line, one_line(std::string(name.str())));
            if (std::ranges::find(rule_keys(), name.str()) == rule_keys().end())
                return fail("{}: there is no such key", at);
            const auto text = rule_value(value);
            if (!text) return fail("{}: must be a text or a number, is {}", at, shown(value));
            rule[std::string(name.str())] = *text;
        }
        if (const auto made = Schedule::make(configuration.schedule); !made)
            return fail("{}:{}: schedule: {}", path, each.source().begin.line, made.error().message);
    }
    return {};
}

Result<> apply_file(const std::string& path, Configuration& configuration, Origins& origins) {
    const auto document = parse_file(path);
    if (!document) return std::unexpected(document.error());
    for (const auto& [name, node] : *document) {
        const std::string where =
            fmt::format("{}:{}: {}", path, name.source().begin.line, one_line(std::string(name.str())));
        if (name.str() == "archive") {
            if (auto done = apply_archive(node, path, configuration, origins); !done) return done;
            continue;
        }
        if (name.str() == "schedule") {
            if (auto done = apply_schedule(node, path, configuration); !done) return done;
            continue;
        }
        if (!is_configuration_section(name.str())) return fail("{}: there is no such section", where);
        const toml::table* table = node.as_table();
        if (table == nullptr) return fail("{}: must be a section, is {}", where, shown(node));
        if (auto done = apply_section(name.str(), *table, path, configuration, origins); !done) return done;
    }
    return {};
}

// ---- --set

// The text as one TOML value; nullopt when it is none (or more than one, smuggled in with a line break).
std::optional<toml::table> toml_of(std::string_view text) {
    if (text.find_first_of("\r\n") != std::string_view::npos) return std::nullopt;
    try {
        return toml::parse(fmt::format("value = {}", text));
    } catch (const toml::parse_error&) {
        return std::nullopt;
    }
}

Result<> apply_override(const std::string& text, Configuration& configuration, Origins& origins) {
    const std::string where = fmt::format("--set {}", one_line(text));
    const std::size_t equals = text.find('=');
    const std::size_t dot = text.find('.');
    if (equals == std::string::npos || dot > equals) return fail("{}: must be section.key=value", where);
    const std::string_view section = std::string_view(text).substr(0, dot);
    const std::string_view name = std::string_view(text).substr(dot + 1, equals - dot - 1);
    const std::string value = text.substr(equals + 1);
    if (section == "archive") return fail("{}: archive actions are set in the file", where);
    if (section == "schedule") return fail("{}: the schedule is set in the file", where);
    const ConfigurationKey* key = find_configuration_key(section, name);
    if (key == nullptr) return fail("{}: there is no key {}.{}", where, section, name);

    const auto parsed = toml_of(value);
    const toml::value<std::string> plain(value);
    const toml::node* node = parsed ? parsed->get("value") : &plain;
    // A path that is all digits is a path all the same.
    if (std::holds_alternative<TextKey>(key->kind) && !node->is_string()) node = &plain;
    if (auto done = assign(*key, *node, configuration); !done) return fail("{}: {}", where, done.error().message);
    origins[fmt::format("{}.{}", section, name)] = where;
    return {};
}

// ---- keys that belong together

Result<> check_together(const Configuration& configuration, const Origins& origins) {
    const auto origin = [&](const char* key) {
        const auto found = origins.find(key);
        return found == origins.end() ? std::string(key) : found->second;
    };
    const auto& capture = configuration.capture;
    if (!capture.cpus.empty() && capture.cpus.size() != capture.workers)
        return fail("{}: must name one CPU for each of the {} capture.workers, names {}", origin("capture.cpus"),
                    capture.workers, capture.cpus.size());
    const auto& web = configuration.webapi;
    if (!web.cert.empty() && web.key.empty()) return fail("{}: needs webapi.key as well", origin("webapi.cert"));
    if (web.cert.empty() && !web.key.empty()) return fail("{}: needs webapi.cert as well", origin("webapi.key"));
    return {};
}

}  // namespace

Result<Configuration> load_configuration(const std::string& path, const std::vector<std::string>& overrides) {
    Configuration configuration;
    Origins origins;
    if (!path.empty())
        if (auto done = apply_file(path, configuration, origins); !done) return std::unexpected(done.error());
    for (const std::string& text : overrides)
        if (auto done = apply_override(text, configuration, origins); !done) return std::unexpected(done.error());
    if (auto good = check_together(configuration, origins); !good) return std::unexpected(good.error());
    return configuration;
}

}  // namespace spantape
