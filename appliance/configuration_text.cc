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
    return text;
}

}  // namespace spantape
