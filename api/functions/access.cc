// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/access.h"

#include <algorithm>

#include <openssl/evp.h>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include "api/functions/functions.h"
#include "capture/base/clock.h"
#include "storage/password.h"

namespace spantape::api {

namespace {

constexpr TimeNs kProvenNs = 300 * kNsPerSecond;  // a password is not hashed again for each request
constexpr TimeNs kFailureWindowNs = 60 * kNsPerSecond;
constexpr std::uint32_t kMostFailures = 10;  // of a host within the window
constexpr std::size_t kMostProving = 16;     // passwords being hashed at once: 32 MiB each
constexpr std::size_t kMostRemembered = 10'000;

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

Reply http_fault(int status, std::string message) {
    Reply reply = refused(ResultCode::API_COMMAND_NOT_ALLOWED, std::move(message));
    reply.http_status = status;
    return reply;
}

// The newest stay: what has run out goes, and if that is not enough, all.
template <class Map, class IsOld>
void make_room(Map& map, IsOld is_old) {
    if (map.size() < kMostRemembered) return;
    std::erase_if(map, is_old);
    if (map.size() >= kMostRemembered) map.clear();
}

std::optional<std::string> decode_base64(std::string_view text) {
    const std::unique_ptr<EVP_ENCODE_CTX, decltype(&EVP_ENCODE_CTX_free)> context(EVP_ENCODE_CTX_new(),
                                                                                  &EVP_ENCODE_CTX_free);
    EVP_DecodeInit(context.get());
    std::string bytes(text.size(), '\0');
    auto* out = reinterpret_cast<unsigned char*>(bytes.data());
    int most = 0, rest = 0;
    if (EVP_DecodeUpdate(context.get(), out, &most, reinterpret_cast<const unsigned char*>(text.data()),
                         static_cast<int>(text.size())) < 0 ||
        EVP_DecodeFinal(context.get(), out + most, &rest) < 0)
        return std::nullopt;
    bytes.resize(static_cast<std::size_t>(most + rest));
    return bytes;
}

std::uint32_t classes_named(const std::set<std::string>& names) {
    std::uint32_t classes = 0;
    for (const std::string& name : names)
        if (const auto function_class = function_class_named(name)) classes |= class_bit(*function_class);
    return classes;
}

bool has_scheme(std::string_view authorization, std::string_view scheme) {
    return authorization.size() > scheme.size() && authorization[scheme.size()] == ' ' &&
           std::ranges::equal(authorization.substr(0, scheme.size()), scheme,
                              [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

}  // namespace

bool Visibility::sees(std::int32_t agent, const std::string& device) const {
    if (all) return true;
    if (agent <= 0) return devices.contains(device);
    return agents.contains(agent) || phones.contains({agent, device});
}

bool Visibility::sees(const Recording& recording) const {
    return sees(static_cast<std::int32_t>(recording.agent_id), recording.device_id);
}

void Visibility::restrict(RecordingQuery& query) const {
    if (all) return;
    query.keep = [visible = *this](const Recording& recording) { return visible.sees(recording); };
    // Each recording that is visible has one of these. Where they are too many, most of what is found is kept.
    constexpr std::size_t kMostValues = 256;
    std::set<std::int32_t> visible_agents = agents;
    for (const auto& [agent, device] : phones) visible_agents.insert(agent);
    if (visible_agents.size() + devices.size() > kMostValues) return;
    for (const std::int32_t agent : visible_agents) query.any.emplace_back("agent_id", std::to_string(agent));
    for (const std::string& device : devices) query.any.emplace_back("device_id", device);
    if (query.any.empty()) query.limit = 0;
}

bool Caller::may(FunctionClass function_class) const {
    return function_class == FunctionClass::none || (classes & class_bit(function_class)) != 0;
}

Access::Access(AccessOptions options, const Directory& directory, boost::asio::io_context& control_thread,
               boost::asio::thread_pool& pool)
    : options_(std::move(options)),
      unnamed_(classes_named(options_.unnamed)),
      directory_(directory),
      control_thread_(control_thread),
      pool_(pool),
      secret_(make_token().value_or("")) {}

Caller Access::caller_of(const User* user) const {
    if (user == nullptr) return {0, "", unnamed_};
    return {user->id, user->username, classes_named(directory_.classes_of(user->id))};
}

std::optional<Access::Basic> Access::basic(const std::string& authorization) {
    const auto text = decode_base64(std::string_view(authorization).substr(6));
    if (!text || text->find(':') == std::string::npos) return std::nullopt;
    return Basic{text->substr(0, text->find(':')), text->substr(text->find(':') + 1)};
}

// Changes with the password, and tells nothing of it without our secret.
std::string Access::proof(const Basic& basic, const User& user) const {
    return token_hash(fmt::format("{}|{}|{}|{}", secret_, user.id, user.password, basic.password));
}

std::optional<Access::Identified> Access::identify_now(const Client& client) {
    if (!client.certificate_name.empty())
        if (const User* user = directory_.by_username(client.certificate_name); user != nullptr) {
            if (user->status == UserStatus::active) return caller_of(user);
            // Not as a client without a user, who may be allowed more.
            return std::unexpected(http_fault(403, fmt::format("user {} is not active", user->username)));
        }
    if (!client.web || !options_.web_users) return caller_of(nullptr);
    if (client.authorization.empty()) return std::unexpected(http_fault(401, "a user must log in"));
    if (has_scheme(client.authorization, "Bearer")) {
        const User* user = directory_.by_token(token_hash(std::string_view(client.authorization).substr(7)));
        if (user != nullptr && user->status == UserStatus::active) return caller_of(user);
    } else if (has_scheme(client.authorization, "Basic")) {
        if (const auto given = basic(client.authorization)) {
            const User* user = directory_.by_username(given->username);
            if (user != nullptr && user->status == UserStatus::active) {
                const auto known = proven_.find(proof(*given, *user));
                if (known != proven_.end() && known->second >= monotonic_ns()) return caller_of(user);
            }
            // Those who have proven themselves are let in, whatever others try from the same address.
            if (failed_too_often(host_of(client.address)))
                return std::unexpected(http_fault(503, "too many log-ins failed; try again in a minute"));
            return std::nullopt;
        }
    }
    return std::unexpected(http_fault(401, "the user is not known, or not by that"));
}

// Takes as long for a user who is not known.
void Access::identify(const Client& client, std::function<void(Identified)> then) {
    const auto given = basic(client.authorization);
    if (!given || proving_ >= kMostProving) return then(std::unexpected(http_fault(503, "too many users log in")));
    const User* user = directory_.by_username(given->username);
    if (user != nullptr && user->status != UserStatus::active) user = nullptr;
    ++proving_;
    boost::asio::post(
        pool_, [this, given = *given, hash = user != nullptr ? user->password : "", id = user != nullptr ? user->id : 0,
                host = host_of(client.address), then = std::move(then)] {
            const bool fits = password_fits(given.password, hash);
            boost::asio::post(control_thread_, [this, given, hash, id, host, then, fits] {
                --proving_;
                const User* now = directory_.user(id);
                if (!fits || now == nullptr || now->password != hash || now->status != UserStatus::active) {
                    note_failure(host);
                    return then(std::unexpected(http_fault(401, "the user is not known, or not by that")));
                }
                make_room(proven_, [at = monotonic_ns()](const auto& one) { return one.second < at; });
                proven_[proof(given, *now)] = monotonic_ns() + kProvenNs;
                then(caller_of(now));
            });
        });
}

bool Access::failed_too_often(const std::string& host) {
    const auto at = failed_.find(host);
    if (at == failed_.end()) return false;
    if (monotonic_ns() - at->second.since_ns > kFailureWindowNs) {
        failed_.erase(at);
        return false;
    }
    return at->second.count >= kMostFailures;
}

void Access::note_failure(const std::string& host) {
    const TimeNs now_ns = monotonic_ns();
    make_room(failed_, [&](const auto& one) { return now_ns - one.second.since_ns > kFailureWindowNs; });
    Failures& failures = failed_.try_emplace(host, Failures{0, now_ns}).first->second;
    ++failures.count;
}

bool Access::within_rate(const std::string& address) {
    if (options_.requests_per_s <= 0) return true;
    const TimeNs now_ns = monotonic_ns();
    make_room(shares_, [&](const auto& one) { return now_ns - one.second.at_ns > kNsPerSecond; });
    const double whole = std::max(options_.requests_per_s, 1.0);
    Share& share = shares_.try_emplace(host_of(address), Share{whole, now_ns}).first->second;
    share.left = std::min(whole, share.left + seconds(now_ns - share.at_ns) * options_.requests_per_s);
    share.at_ns = now_ns;
    if (share.left < 1) return false;
    share.left -= 1;
    return true;
}

Visibility Access::visibility(const Caller& caller) const {
    Visibility visibility;
    visibility.all = caller.user == 0 || caller.may(FunctionClass::administration);
    if (visibility.all) return visibility;
    for (const std::int32_t group : directory_.visible_groups(caller.user))
        for (const Link& link : directory_.links().from(Link::Kind::member, group)) {
            if (link.device.empty()) {
                visibility.agents.insert(link.right);
            } else {
                visibility.phones.insert({link.right, link.device});
                visibility.devices.insert(link.device);
            }
        }
    return visibility;
}

}  // namespace spantape::api
