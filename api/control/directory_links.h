// SPDX-License-Identifier: AGPL-3.0-or-later
// Who belongs to what: the directory's links, found from either end.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/control/directory_entries.h"

namespace spantape {

class Links {
public:
    void insert(const Link& link) {
        forward_.insert(link);
        backward_.insert(turned(link));
        if (!link.device.empty()) by_device_.emplace(link.device, link.left);
    }
    void erase(const Link& link) {
        forward_.erase(link);
        backward_.erase(turned(link));
        if (const auto at = by_device_.find({link.device, link.left}); at != by_device_.end()) by_device_.erase(at);
    }
    [[nodiscard]] bool contains(const Link& link) const { return forward_.contains(link); }

    // Those with this left end; with this right end; between the two.
    [[nodiscard]] std::vector<Link> from(Link::Kind kind, std::int32_t left) const {
        return range(forward_, kind, left, std::numeric_limits<std::int32_t>::min(),
                     [&](const Link& link) { return link.left == left; });
    }
    [[nodiscard]] std::vector<Link> to(Link::Kind kind, std::int32_t right) const {
        auto found = range(backward_, kind, right, std::numeric_limits<std::int32_t>::min(),
                           [&](const Link& link) { return link.left == right; });
        for (Link& link : found) std::swap(link.left, link.right);
        return found;
    }
    [[nodiscard]] std::vector<Link> between(Link::Kind kind, std::int32_t left, std::int32_t right) const {
        return range(forward_, kind, left, right,
                     [&](const Link& link) { return link.left == left && link.right == right; });
    }
    // The groups that have some agent on this device.
    [[nodiscard]] std::set<std::int32_t> groups_of_device(const std::string& device) const {
        std::set<std::int32_t> groups;
        for (auto at = by_device_.lower_bound({device, std::numeric_limits<std::int32_t>::min()});
             at != by_device_.end() && at->first == device; ++at)
            groups.insert(at->second);
        return groups;
    }
    [[nodiscard]] const std::set<Link>& all() const { return forward_; }

private:
    static Link turned(Link link) {
        std::swap(link.left, link.right);
        return link;
    }
    template <class Fits>
    static std::vector<Link> range(const std::set<Link>& links, Link::Kind kind, std::int32_t left, std::int32_t right,
                                   Fits fits) {
        std::vector<Link> found;
        for (auto at = links.lower_bound(Link{kind, left, right, {}});
             at != links.end() && at->kind == kind && fits(*at); ++at)
            found.push_back(*at);
        return found;
    }

    std::set<Link> forward_, backward_;                              // backward: ends turned
    std::multiset<std::pair<std::string, std::int32_t>> by_device_;  // of members: device, group
};

}  // namespace spantape
