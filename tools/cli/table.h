// SPDX-License-Identifier: AGPL-3.0-or-later
// A table of aligned columns, as text.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace spantape::cli {

enum class Align { left, right };

class Table {
public:
    struct Column {
        std::string title;
        Align align = Align::left;
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    // One cell a column; missing ones are empty. Any bytes: they are made printable.
    void add(const std::vector<std::string>& cells);
    [[nodiscard]] bool empty() const { return rows_.empty(); }

    // Title line and rows, each ended by a line feed. When it would be wider than `width` columns (0: no limit), the
    // widest columns are narrowed and their cells cut.
    [[nodiscard]] std::string text(std::size_t width) const;

private:
    [[nodiscard]] std::vector<std::size_t> column_widths(std::size_t limit) const;

    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace spantape::cli
