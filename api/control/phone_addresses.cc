// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/phone_addresses.h"

#include <algorithm>
#include <utility>

namespace spantape {

namespace {
constexpr std::size_t kUsersAtOne = 4;  // from the second on, nobody is the only one
constexpr std::size_t kAddresses = 200'000;
}  // namespace

void PhoneAddresses::learn(const std::string& user, const IpAddress& address, From from) {
    if (user.empty() || address.is_unspecified()) return;
    if (at_.size() >= kAddresses && !at_.contains(address)) return;
    auto& there = at_[address];
    const auto known = std::ranges::find(there, user, &Seen::user);
    if (known != there.end()) {
        known->from = std::max(known->from, from);
    } else {
        if (there.size() == kUsersAtOne) there.erase(there.begin());
        there.push_back({user, from});
    }
    if (from == From::registration && (registered_.size() < kAddresses || registered_.contains(user)))
        registered_[user] = address;
}

void PhoneAddresses::forget(const std::string& user, const IpAddress& address) {
    if (const auto at = registered_.find(user); at != registered_.end() && at->second == address) registered_.erase(at);
    const auto at = at_.find(address);
    if (at == at_.end()) return;
    std::erase_if(at->second, [&](const Seen& seen) { return seen.user == user; });
    if (at->second.empty()) at_.erase(at);
}

// One whose registration has moved elsewhere since counts only where nobody else is.
const std::string* PhoneAddresses::only_user_at(const IpAddress& address) const {
    const auto at = at_.find(address);
    if (at == at_.end()) return nullptr;
    if (at->second.size() == 1) {
        const Seen& only = at->second.front();
        return only.from == From::registration || !registered_.contains(only.user) ? &only.user : nullptr;
    }
    const std::string* found = nullptr;
    for (const Seen& seen : at->second) {
        const auto registered = registered_.find(seen.user);
        if (registered != registered_.end() && registered->second != address) continue;
        if (std::exchange(found, &seen.user) != nullptr) return nullptr;
    }
    return found;
}

}  // namespace spantape
