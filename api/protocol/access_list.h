// SPDX-License-Identifier: AGPL-3.0-or-later
// Who may connect: networks in CIDR notation (RFC 4632, RFC 4291 §2.3).
#pragma once

#include <string>
#include <vector>

#include "capture/base/address.h"
#include "capture/base/result.h"

namespace spantape::api {

class AccessList {
public:
    // "192.0.2.0/24", "2001:db8::/32", or one address. An error names the entry.
    static Result<AccessList> parse(const std::vector<std::string>& networks);

    // An IPv4 address and its IPv6-mapped form are the same.
    [[nodiscard]] bool allows(const IpAddress& address) const;

private:
    struct Network {
        IpAddress address;
        int prefix_bits = 128;  // of the 16-byte form
    };
    std::vector<Network> networks_;
};

}  // namespace spantape::api
