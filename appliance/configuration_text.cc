// SPDX-License-Identifier: AGPL-3.0-or-later
// documented_configuration(): the example file, written from the table of keys.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "appliance/configuration_keys.h"

namespace spantape {

namespace {

constexpr std::size_t kLineWidth = 118;

constexpr std::string_view kHead =
    "# SPDX-License-Identifier: AGPL-3.0-or-later\n"
    "# The configuration of spantaped: every key, commented out with its default. `spantaped --config FILE --check`\n"
    "# says whether a file is good; `--set section.key=value` overrides one key.\n";

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

std::string toml_text(std::string_view text) {
    std::string quoted = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') quoted.push_back('\\');
        quoted.push_back(letter);
    }
    return quoted + '"';
}

// A TOML float has a point.
std::string toml_number(double number) {
    const std::string text = fmt::format("{}", number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string toml_value(const ConfigurationKey& key, const Configuration& configuration) {
    return std::visit(
        Overloaded{
            [&](const IntegerKey& k) { return fmt::to_string(k.get(configuration)); },
            [&](const NumberKey& k) { return toml_number(k.get(configuration)); },
            [&](const FlagKey& k) { return std::string(k.get(configuration) ? "true" : "false"); },
            [&](const TextKey& k) { return toml_text(k.get(configuration)); },
            [&](const ChoiceKey& k) { return toml_text(k.names[k.get(configuration)]); },
            [&](const IntegersKey& k) { return fmt::format("[{}]", fmt::join(k.get(configuration), ", ")); },
            [&](const TextsKey& k) {
                std::vector<std::string> quoted;
                for (const std::string& text : k.get(configuration)) quoted.push_back(toml_text(text));
                return fmt::format("[{}]", fmt::join(quoted, ", "));
            },
        },
        key.kind);
}

std::string range_text(const ConfigurationKey& key) {
    return std::visit(Overloaded{
                          [](const IntegerKey& k) {
                              return fmt::format(" {}{} to {}.", k.power_of_two ? "A power of two, " : "", k.min,
                                                 k.max);
                          },
                          [](const NumberKey& k) { return fmt::format(" {} to {}.", k.min, k.max); },
                          [](const IntegersKey& k) { return fmt::format(" Each {} to {}.", k.min, k.max); },
                          [](const ChoiceKey& k) {
                              std::vector<std::string> quoted;
                              for (const std::string_view name : k.names) quoted.push_back(toml_text(name));
                              return fmt::format(" One of {}.", fmt::join(quoted, ", "));
                          },
                          [](const auto&) { return std::string(); },
                      },
                      key.kind);
}

// As comment lines of at most kLineWidth characters.
std::string comment(std::string_view text) {
    std::string lines;
    while (!text.empty()) {
        std::size_t length = text.size();
        if (length > kLineWidth - 2) length = text.rfind(' ', kLineWidth - 2);
        lines += fmt::format("# {}\n", text.substr(0, length));
        text.remove_prefix(std::min(length + 1, text.size()));
    }
    return lines;
}

}  // namespace

constexpr std::string_view kSchedule = R"(
# The schedule: which calls are recorded. One [[schedule]] for each rule; the first that fits a call when it begins
# decides. With no rule at all every call is recorded; with some, those that no rule fits are not. RECORDSTART overrides
# "skip", and not "block". SIGHUP takes changed rules over; `spantape schedule` changes them while it runs, and what it
# changed holds until `spantape schedule reset`.
#   [[schedule]]
# The rule's name; required, no name twice.
#   name = "sales, one in ten"
# "record" (the default), "skip", or "block": not even when asked for.
#   decision = "record"
# What must fit, all of it; what is not given always does. Each is a list of patterns with commas between, of which one
# must fit: text with * and ? as wildcards, /a regular expression/, and after ! what must not fit.
# The agent is known by AGENTID, USERNAME, SYS_USER, CRM_USER or "First Last"; the group is GROUP of the call, or one of
# the agent's.
#   device = "7*,!7999"
#   agent = "jsmith"
#   group = "Sales*"
#   gate = ""
#   ani = "/^0049(30|40)/"
#   dnis = "1800*"
#   user1 = ""  # to user15
# I or O: incoming or outgoing.
#   direction = "I"
#   days = "mon-fri,sun"
# By the clock on the wall; 22:00-06:00 goes on into the next day.
#   hours = "08:00-12:00,13:00-18:00"
# Of days and hours, in the tz database; "" is the appliance's.
#   zone = "Europe/Berlin"
# Of the calls that fit so many in a hundred, by chance, never two from exact; the others go on to the next rule.
#   percent = 10
# Of what is recorded, unless the API says otherwise.
#   priority = 5
#   keep_days = 90
#   archive_action = 1
)";

std::string documented_configuration() {
    const Configuration defaults;
    std::string text(kHead);
    std::string_view section;
    for (const ConfigurationKey& key : configuration_keys()) {
        if (key.section != section) text += fmt::format("\n[{}]\n", key.section);
        section = key.section;
        text += comment(std::string(key.documentation) + range_text(key));
        text += fmt::format("#{} = {}\n", key.name, toml_value(key, defaults));
    }
    text +=
        "\n# Archive actions: what becomes of a recording some time after its end. One [[archive]] for each, such as\n"
        "#   [[archive]]\n";
    for (const ConfigurationKey& key : archive_keys())
        text += comment(std::string(key.documentation) + range_text(key)) +
                fmt::format("#   {} = {}\n", key.name, toml_value(key, defaults));
    text += kSchedule;
    return text;
}

}  // namespace spantape
