// SPDX-License-Identifier: AGPL-3.0-or-later
// What a text in the configuration must look like. Each error completes "KEY: ".
#pragma once

#include <string>

#include "capture/base/result.h"

namespace spantape {

Result<> check_any(const std::string& text);
Result<> check_not_empty(const std::string& text);
Result<> check_listener(const std::string& text);  // "host:port", "[IPv6]:port", or "" for off
Result<> check_network(const std::string& text);   // CIDR or one address
Result<> check_source(const std::string& text);    // "pcap:IFACE", "file:PATH", "dpdk:DEVARGS"
Result<> check_term(const std::string& text);      // "name=value"
Result<> check_place(const std::string& text);     // "number=name", the number above 0
Result<> check_regex(const std::string& text);
Result<> check_function_class(const std::string& text);
Result<> check_mail_server(const std::string& text);  // "smtp://HOST", "smtps://HOST:PORT", or "" for none
Result<> check_mail_address(const std::string& text);
Result<> check_timezone(const std::string& text);  // in the tz database, or "" for the system's

}  // namespace spantape
