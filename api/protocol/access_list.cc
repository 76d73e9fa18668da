// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/access_list.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace spantape::api {
namespace {

bool same_prefix(const IpAddress& left, const IpAddress& right, int bits) {
    const auto whole = static_cast<std::size_t>(bits / 8);
    if (std::memcmp(left.bytes.data(), right.bytes.data(), whole) != 0) return false;
    if (bits % 8 == 0) return true;
    return (left.bytes[whole] ^ right.bytes[whole]) >> (8 - bits % 8) == 0;
}

}  // namespace

Result<AccessList> AccessList::parse(const std::vector<std::string>& networks) {
    AccessList list;
    for (const std::string& entry : networks) {
        const std::string_view text = entry;
        const auto slash = text.find('/');
        const auto address = IpAddress::parse(text.substr(0, slash));
        if (!address)
            return fail("allow: \"{}\" is no network; it reads 192.0.2.0/24, 2001:db8::/32 or one address", entry);
        const int longest = address->is_v4() ? 32 : 128;
        int bits = longest;
        if (slash != std::string_view::npos) {
            const std::string_view length = text.substr(slash + 1);
            const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
            const bool whole = error == std::errc{} && end == length.data() + length.size();
            if (!whole || bits < 0 || bits > longest) return fail("allow: \"{}\": a prefix is 0 to {}", entry, longest);
        }
        list.networks_.push_back({*address, bits + 128 - longest});
    }
    return list;
}

bool AccessList::allows(const IpAddress& address) const {
    return std::ranges::any_of(
        networks_, [&](const Network& network) { return same_prefix(network.address, address, network.prefix_bits); });
}

}  // namespace spantape::api
