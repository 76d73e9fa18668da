// SPDX-License-Identifier: AGPL-3.0-or-later
// Which user's phone is at an address: what tells whose media it is that no signalling explains.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "capture/base/address.h"

namespace spantape {

class PhoneAddresses {
public:
    enum class From : std::uint8_t { call, registration };

    // `user` was seen at `address`. A user that registers is where it registered, wherever its calls' media came from.
    void learn(const std::string& user, const IpAddress& address, From from);
    // Its registration there is over.
    void forget(const std::string& user, const IpAddress& address);
    // Who is there; nullptr: nobody is known, or several are, as at a gateway. Valid until the next change.
    [[nodiscard]] const std::string* only_user_at(const IpAddress& address) const;

private:
    struct Seen {
        std::string user;
        From from = From::call;
    };
    std::unordered_map<IpAddress, std::vector<Seen>, IpAddressHash> at_;  // newest last, a few of each
    std::unordered_map<std::string, IpAddress> registered_;               // the address of the newest registration
};

}  // namespace spantape
