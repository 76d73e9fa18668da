// SPDX-License-Identifier: AGPL-3.0-or-later
// Who a client is and what he may do: users of the directory by HTTP Basic or Bearer token (RFC 7617, RFC 6750) or by
// TLS client certificate, and all others by what the configuration lets them. Control thread; passwords are proven on
// the pool.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/control/directory.h"
#include "api/functions/function_table.h"
#include "storage/index/index.h"

namespace spantape::api {

struct AccessOptions {
    bool web_users = false;  // the WebAPI is for users alone
    // Function classes of clients that are no users.
    std::set<std::string> unnamed = {"status", "calls", "recordings", "events", "directory", "administration"};
    double requests_per_s = 0;  // of one address, beyond a burst of a second's; 0: no limit
};

// Whose recordings a user may see (manual: MODIFYUSERGROUPPERMISSION).
struct Visibility {
    bool all = true;
    std::set<std::int32_t> agents;                          // on all their phones
    std::set<std::pair<std::int32_t, std::string>> phones;  // agent and device
    std::set<std::string> devices;                          // of recordings that name no agent
    [[nodiscard]] bool sees(std::int32_t agent, const std::string& device) const;
    [[nodiscard]] bool sees(const Recording& recording) const;
    // Leaves to `query` what is visible.
    void restrict(RecordingQuery& query) const;
};

struct Caller {
    std::int32_t user = 0;      // 0: none of the directory
    std::string name;           // USERNAME
    std::uint32_t classes = 0;  // class_bit() of each that he may call
    [[nodiscard]] bool may(FunctionClass function_class) const;
};

[[nodiscard]] constexpr std::uint32_t class_bit(FunctionClass function_class) {
    return 1U << static_cast<unsigned>(function_class);
}

class Access {
public:
    Access(AccessOptions options, const Directory& directory, boost::asio::io_context& control_thread,
           boost::asio::thread_pool& pool);

    // Or the reply that refuses him.
    using Identified = std::expected<Caller, Reply>;
    // At once, where no password must be proven.
    [[nodiscard]] std::optional<Identified> identify_now(const Client& client);
    // For when identify_now() gave none.
    void identify(const Client& client, std::function<void(Identified)> then);

    // The groups' members as they are now; of those who may administrate, and of no user: all.
    [[nodiscard]] Visibility visibility(const Caller& caller) const;

    // False: the address has had its share of this second.
    [[nodiscard]] bool within_rate(const std::string& address);

private:
    struct Basic {
        std::string username, password;
    };
    struct Share {
        double left = 0;
        TimeNs at_ns = 0;
    };
    struct Failures {
        std::uint32_t count = 0;
        TimeNs since_ns = 0;
    };

    [[nodiscard]] Caller caller_of(const User* user) const;
    [[nodiscard]] bool failed_too_often(const std::string& host);
    void note_failure(const std::string& host);
    [[nodiscard]] static std::optional<Basic> basic(const std::string& authorization);
    [[nodiscard]] std::string proof(const Basic& basic, const User& user) const;

    const AccessOptions options_;
    const std::uint32_t unnamed_;  // their classes
    const Directory& directory_;
    boost::asio::io_context& control_thread_;
    boost::asio::thread_pool& pool_;
    const std::string secret_;                          // what proofs are made with
    std::unordered_map<std::string, TimeNs> proven_;    // proof -> until when it holds
    std::unordered_map<std::string, Failures> failed_;  // by host
    std::unordered_map<std::string, Share> shares_;     // by host
    std::size_t proving_ = 0;
};

}  // namespace spantape::api
