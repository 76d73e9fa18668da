// SPDX-License-Identifier: AGPL-3.0-or-later
// Patterns of the schedule: "4*,!4711,/^55[0-9]{2}$/".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/result.h"

namespace re2 {
class RE2;
}

namespace spantape {

class Patterns {
public:
    // An error: a regular expression that is none, an empty pattern.
    static Result<Patterns> parse(const std::string& text);

    // None: everything fits. Else some pattern fits (with those that are negated alone: everything else does), and none
    // of the negated ones. Letter case counts.
    [[nodiscard]] bool fit(std::string_view text) const;
    // Of several names of one thing, one fits and none is ruled out.
    [[nodiscard]] bool fit_any(const std::vector<std::string>& names) const;
    [[nodiscard]] const std::string& text() const { return text_; }

    struct Beginning {
        std::string_view text;  // never empty, but for a whole value
        bool whole = false;     // all of the value, not its beginning alone
    };
    // What fits begins with one of these; none: it may begin with anything.
    [[nodiscard]] std::vector<Beginning> beginnings() const;

private:
    struct Pattern {
        std::string text;    // with wildcards, if no expression
        bool plain = false;  // without
        bool negated = false;
        std::shared_ptr<const re2::RE2> expression;  // none: text
        [[nodiscard]] bool fits(std::string_view value) const;
    };
    std::string text_;
    std::vector<Pattern> patterns_;
    bool only_negated_ = true;
};

// "'a', 'b'"; "none".
[[nodiscard]] std::string quoted(const std::vector<std::string>& names);

}  // namespace spantape
