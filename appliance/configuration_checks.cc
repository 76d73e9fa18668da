// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/configuration_checks.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <regex>

#include "api/functions/function_table.h"
#include "api/protocol/access_list.h"
#include "capture/base/address.h"
#include "storage/export/mail.h"

namespace spantape {

namespace {

bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

bool is_host_name(std::string_view text) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    constexpr std::string_view kOfIpv4 = "0123456789.";
    if (text.empty() || text.find_first_not_of(kLetters) != std::string_view::npos) return false;
    return text.find_first_not_of(kOfIpv4) != std::string_view::npos || IpAddress::parse(text).has_value();
}

bool is_bracketed_address(std::string_view text) {
    if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
    const auto address = IpAddress::parse(text.substr(1, text.size() - 2));
    return address && !is_host_name(text.substr(1, text.size() - 2));
}

}  // namespace

Result<> check_any(const std::string&) { return {}; }

Result<> check_not_empty(const std::string& text) {
    if (text.empty()) return fail("must not be empty");
    return {};
}

Result<> check_listener(const std::string& text) {
    if (text.empty()) return {};
    const std::size_t colon = text.rfind(':');
    const std::string_view host = std::string_view(text).substr(0, colon);
    if (colon == std::string::npos || !is_port(std::string_view(text).substr(colon + 1)) ||
        !(is_host_name(host) || is_bracketed_address(host)))
        return fail("must be address:port, such as 127.0.0.1:5620 or [::1]:5620, or \"\" for off, is '{}'", text);
    return {};
}

Result<> check_network(const std::string& text) {
    if (api::AccessList::parse({text})) return {};
    return fail("must be a network such as 192.0.2.0/24 or 2001:db8::/32, or one address, is '{}'", text);
}

Result<> check_source(const std::string& text) {
    for (const std::string_view scheme : {"pcap:", "file:", "dpdk:"})
        if (text.starts_with(scheme) && text.size() > scheme.size()) return {};
    return fail("must be pcap:INTERFACE, file:PATH or dpdk:DEVICE, is '{}'", text);
}

Result<> check_regex(const std::string& text) {
    try {
        const std::regex tried(text);
    } catch (const std::regex_error& error) {
        return fail("'{}' is no regular expression: {}", text, error.what());
    }
    return {};
}

Result<> check_function_class(const std::string& text) {
    if (api::function_class_named(text)) return {};
    return fail("must be status, calls, recordings, events, directory or administration, is '{}'", text);
}

Result<> check_mail_server(const std::string& text) {
    for (const std::string_view scheme : {"smtp://", "smtps://"}) {
        if (!text.starts_with(scheme)) continue;
        const std::string_view place = std::string_view(text).substr(scheme.size());
        const std::size_t colon = place.ends_with(']') ? std::string_view::npos : place.rfind(':');
        const std::string_view host = place.substr(0, colon);
        if ((is_host_name(host) || is_bracketed_address(host)) &&
            (colon == std::string_view::npos || is_port(place.substr(colon + 1))))
            return {};
    }
    if (text.empty()) return {};
    return fail("must be smtp://HOST:PORT or smtps://HOST:PORT, or \"\" for none, is '{}'", text);
}

Result<> check_mail_address(const std::string& text) {
    if (is_mail_address(text)) return {};
    return fail("must be an e-mail address, is '{}'", text);
}

Result<> check_timezone(const std::string& text) {
    if (text.empty()) return {};
    const char* tz_directory = std::getenv("TZDIR");
    const std::filesystem::path zones = tz_directory != nullptr ? tz_directory : "/usr/share/zoneinfo";
    std::error_code error;
    if (text.front() == '/' || text.find("..") != std::string::npos ||
        !std::filesystem::is_regular_file(zones / text, error))
        return fail("there is no time zone '{}' in {}", text, zones.string());
    return {};
}

Result<> check_term(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) return fail("'{}' must be name=value", text);
    return {};
}

Result<> check_place(const std::string& text) {
    const std::size_t equals = std::min(text.find('='), text.size());
    std::int32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + equals, number);
    if (error != std::errc() || end != text.data() + equals || equals == text.size() || number < 1)
        return fail("'{}' must be number=name, with a number above 0", text);
    return {};
}

}  // namespace spantape
