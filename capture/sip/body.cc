// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/body.h"

#include <string>

#include "capture/sip/text.h"

namespace spantape {

using namespace sip_text;

namespace {

constexpr int kMaxNesting = 3;

std::string_view boundary_of(std::string_view content_type) {
    take_until(content_type, ';');
    while (!content_type.empty()) {
        std::string_view parameter = trim(take_until(content_type, ';'));
        const std::string_view name = trim(take_until(parameter, '='));
        parameter = trim(parameter);
        if (!equal_ignoring_case(name, "boundary")) continue;
        if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"')
            parameter = parameter.substr(1, parameter.size() - 2);
        return parameter;
    }
    return {};
}

bool is_delimiter(std::string_view line, std::string_view boundary) {
    if (!line.starts_with("--") || !line.substr(2).starts_with(boundary)) return false;
    const std::string_view after = trim(line.substr(2 + boundary.size()));  // else a nested, longer boundary
    return after.empty() || after == "--";
}

// Takes the next part of a multipart body whose first delimiter was already taken.
std::string_view take_part(std::string_view& rest, std::string_view boundary) {
    const char* begin = rest.data();
    const char* end = begin;
    while (!rest.empty()) {
        end = rest.data();
        if (is_delimiter(take_line(rest), boundary)) return {begin, end};
    }
    return {begin, rest.data()};
}

std::string_view find_at_depth(std::string_view content_type, std::string_view body, int depth);

std::string_view find_in_part(std::string_view part, int depth) {
    std::string_view type;
    while (!part.empty()) {
        std::string_view line = take_line(part);
        if (trim(line).empty()) break;
        const std::string_view name = trim(take_until(line, ':'));
        if (equal_ignoring_case(name, "content-type") || equal_ignoring_case(name, "c")) type = trim(line);
    }
    return find_at_depth(type, part, depth);
}

std::string_view find_in_multipart(std::string_view content_type, std::string_view body, int depth) {
    const std::string_view boundary = boundary_of(content_type);
    if (boundary.empty()) return {};
    take_part(body, boundary);  // the preamble
    while (!body.empty()) {
        const std::string_view found = find_in_part(take_part(body, boundary), depth + 1);
        if (!found.empty()) return found;
    }
    return {};
}

std::string_view find_at_depth(std::string_view content_type, std::string_view body, int depth) {
    std::string_view rest = content_type;
    const std::string_view type = trim(take_until(rest, ';'));
    if (equal_ignoring_case(type, "application/sdp")) return body;
    if (type.empty()) return trim(body).starts_with("v=") ? body : std::string_view();
    if (begins_ignoring_case(type, "multipart/") && depth < kMaxNesting)
        return find_in_multipart(content_type, body, depth);
    return {};
}

}  // namespace

std::string_view find_sdp(std::string_view content_type, std::string_view body) {
    return find_at_depth(content_type, body, 0);
}

}  // namespace spantape
