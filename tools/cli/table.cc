// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/table.h"

#include <algorithm>
#include <numeric>

#include "tools/cli/terminal_text.h"

namespace spantape::cli {
namespace {

constexpr std::size_t kGap = 2;        // blanks between columns
constexpr std::size_t kNarrowest = 8;  // a column is not narrowed below this

std::string padded(const std::string& cell, std::size_t width, Align align) {
    const std::string shown = cut_to(cell, width);
    const std::string blanks(width - std::min(width, display_width(shown)), ' ');
    return align == Align::right ? blanks + shown : shown + blanks;
}

}  // namespace

void Table::add(const std::vector<std::string>& cells) {
    std::vector<std::string> row(columns_.size());
    for (std::size_t i = 0; i < std::min(cells.size(), row.size()); ++i) row[i] = printable(cells[i]);
    rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::column_widths(std::size_t limit) const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = display_width(columns_[i].title);
        for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
        widths.push_back(width);
    }
    if (limit == 0 || widths.empty()) return widths;
    std::size_t total = std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
    while (total > limit) {
        const auto widest = std::max_element(widths.begin(), widths.end());
        if (*widest <= kNarrowest) break;
        --*widest;
        --total;
    }
    return widths;
}

std::string Table::text(std::size_t width) const {
    const std::vector<std::size_t> widths = column_widths(width);
    std::string out;
    const auto add_line = [&](auto cell) {
        std::string line;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            if (i != 0) line.append(kGap, ' ');
            line += padded(cell(i), widths[i], columns_[i].align);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += (width != 0 ? cut_to(line, width) : line) + '\n';
    };
    add_line([this](std::size_t i) -> const std::string& { return columns_[i].title; });
    for (const auto& row : rows_) add_line([&row](std::size_t i) -> const std::string& { return row[i]; });
    return out;
}

}  // namespace spantape::cli
