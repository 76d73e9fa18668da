// SPDX-License-Identifier: AGPL-3.0-or-later
// The one table of all keys: name, type, range and documentation; the defaults are those of Configuration itself.
// Loading, checking and the documented example all come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "appliance/configuration.h"

namespace spantape {

// How one kind of value is put into a Configuration and taken from it.
struct IntegerKey {
    void (*set)(Configuration&, std::int64_t);
    std::int64_t (*get)(const Configuration&);
    std::int64_t min, max;
    bool power_of_two = false;
};
struct NumberKey {
    void (*set)(Configuration&, double);
    double (*get)(const Configuration&);
    double min, max;
};
struct FlagKey {
    void (*set)(Configuration&, bool);
    bool (*get)(const Configuration&);
};
struct TextKey {
    void (*set)(Configuration&, std::string);
    std::string (*get)(const Configuration&);
    Result<> (*check)(const std::string&);
};
struct ChoiceKey {
    void (*set)(Configuration&, std::size_t position);
    std::size_t (*get)(const Configuration&);
    std::span<const std::string_view> names;
};
struct IntegersKey {
    void (*set)(Configuration&, const std::vector<std::int64_t>&);
    std::vector<std::int64_t> (*get)(const Configuration&);
    std::int64_t min, max;
};
struct TextsKey {
    void (*set)(Configuration&, std::vector<std::string>);
    std::vector<std::string> (*get)(const Configuration&);
    Result<> (*check)(const std::string&);
};

struct ConfigurationKey {
    std::string_view section, name;
    std::variant<IntegerKey, NumberKey, FlagKey, TextKey, ChoiceKey, IntegersKey, TextsKey> kind;
    std::string_view documentation;  // sentences; ends in a full stop
};

// In the order of the example; keys of one section together.
[[nodiscard]] std::span<const ConfigurationKey> configuration_keys();
[[nodiscard]] const ConfigurationKey* find_configuration_key(std::string_view section, std::string_view name);
// Of an [[archive]]: they set the last of Configuration::archive.
[[nodiscard]] std::span<const ConfigurationKey> archive_keys();
[[nodiscard]] bool is_configuration_section(std::string_view name);

}  // namespace spantape
