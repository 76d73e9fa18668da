// SPDX-License-Identifier: AGPL-3.0-or-later
// Long lists of what the control thread owns, written there a slice at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "api/protocol/message.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

inline constexpr std::size_t kSliceEntries = 64;

// Writes <tag>, COUNT, the entries of `map`, </tag> into the reply's body_xml: a slice with each call, until it gives
// false. append(out, entry): whether it is one of the list. The map may change between two calls, and must live on.
template <class Map, class Append>
std::function<bool(Reply&)> sliced(std::string_view tag, const Map& map, Append append) {
    return [tag, &map, append = std::move(append), last = std::optional<typename Map::key_type>(),
            count = std::size_t{0}, entries = std::string()](Reply& reply) mutable {
        auto at = last ? map.upper_bound(*last) : map.begin();
        for (std::size_t i = 0; i < kSliceEntries && at != map.end(); ++i, ++at) {
            last = at->first;
            if (append(entries, *at)) ++count;
        }
        if (at != map.end()) return true;
        reply.body_xml += fmt::format("<{}>", tag);
        append_element(reply.body_xml, "COUNT", fmt::to_string(count));
        reply.body_xml += entries;
        reply.body_xml += fmt::format("</{}>", tag);
        return false;
    };
}

}  // namespace spantape::api
