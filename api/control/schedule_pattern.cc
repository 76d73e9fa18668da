// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/schedule_pattern.h"

#include <algorithm>

#include <fmt/format.h>
#include <re2/re2.h>

namespace spantape {

namespace {

// * any text, ? one byte.
bool fits_wildcards(std::string_view pattern, std::string_view text) {
    std::size_t at = 0, in_text = 0, star = std::string_view::npos, behind_star = 0;
    while (in_text < text.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            behind_star = in_text;
        } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == text[in_text])) {
            ++at, ++in_text;
        } else if (star != std::string_view::npos) {
            at = star + 1;  // the star takes one more
            in_text = ++behind_star;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
}

// At commas; those within /…/ are the expression's.
std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts(1);
    bool in_expression = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool begins = parts.back().empty() || parts.back() == "!";
        const bool ends = at + 1 == text.size() || text[at + 1] == ',';
        if (c == '/' && (in_expression ? ends : begins)) in_expression = !in_expression;
        if (c == ',' && !in_expression)
            parts.emplace_back();
        else if (c != ' ' || !parts.back().empty())
            parts.back() += c;
    }
    for (std::string& part : parts)
        while (part.ends_with(' ')) part.pop_back();
    return parts;
}

}  // namespace

bool Patterns::Pattern::fits(std::string_view value) const {
    if (plain) return value == text;
    if (expression == nullptr) return fits_wildcards(text, value);
    return re2::RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *expression);
}

Result<Patterns> Patterns::parse(const std::string& text) {
    constexpr std::size_t kLongest = 4096;
    if (text.size() > kLongest) return fail("is longer than {} characters", kLongest);
    Patterns patterns;
    patterns.text_ = text;
    for (std::string& part : split(text)) {
        Pattern pattern;
        pattern.negated = part.starts_with('!');
        if (pattern.negated) part.erase(0, 1);
        if (part.empty()) return fail("holds an empty pattern: '{}'", text);
        if (part.size() > 1 && part.starts_with('/') && part.ends_with('/')) {
            re2::RE2::Options options;
            options.set_log_errors(false);
            options.set_max_mem(1 << 20);
            auto expression = std::make_shared<const re2::RE2>(part.substr(1, part.size() - 2), options);
            if (!expression->ok()) return fail("is no regular expression: {} ({})", part, expression->error());
            pattern.expression = std::move(expression);
        }
        pattern.plain = pattern.expression == nullptr && part.find_first_of("*?") == std::string::npos;
        pattern.text = std::move(part);
        patterns.only_negated_ &= pattern.negated;
        patterns.patterns_.push_back(std::move(pattern));
    }
    return patterns;
}

bool Patterns::fit(std::string_view text) const {
    bool any = only_negated_;
    for (const Pattern& pattern : patterns_) {
        if (pattern.negated ? pattern.fits(text) : any) {
            if (pattern.negated) return false;
            continue;
        }
        if (!pattern.negated) any = pattern.fits(text);
    }
    return any;
}

bool Patterns::fit_any(const std::vector<std::string>& names) const {
    if (patterns_.empty()) return true;
    const auto ruled_out = [&](const std::string& name) {
        return std::ranges::any_of(patterns_, [&](const Pattern& each) { return each.negated && each.fits(name); });
    };
    if (std::ranges::any_of(names, ruled_out)) return false;
    return only_negated_ || std::ranges::any_of(names, [&](const std::string& name) { return fit(name); });
}

std::vector<Patterns::Beginning> Patterns::beginnings() const {
    std::vector<Beginning> all;
    for (const Pattern& pattern : patterns_) {
        if (pattern.negated) continue;
        const std::string_view text = pattern.text;
        const Beginning one{text.substr(0, text.find_first_of("*?")), pattern.plain};
        if (pattern.expression != nullptr || (one.text.empty() && !one.whole)) return {};
        all.push_back(one);
    }
    return all;
}

std::string quoted(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += fmt::format("{}'{}'", text.empty() ? "" : ", ", name);
    return text.empty() ? "none" : text;
}

}  // namespace spantape
