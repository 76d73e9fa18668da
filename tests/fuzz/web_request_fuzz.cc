// SPDX-License-Identifier: AGPL-3.0-or-later
// Any bytes as HTTP, whole and byte by byte.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/protocol/byte_range.h"
#include "api/protocol/web_request.h"
#include "api/protocol/xml_text.h"

namespace {

using namespace spantape::api;

void check(const Request& request) {
    if (request.type.empty() || !is_xml_text(request.type)) std::abort();
    for (const auto& [name, value] : request.parameters) {
        if (!is_xml_text(name) || !is_xml_text(value)) std::abort();
    }
}

std::string read_all(std::string_view bytes, std::size_t piece_bytes) {
    HttpReader reader(4096);
    std::string seen;
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, piece_bytes);
        bytes.remove_prefix(piece.size());
        std::ranges::copy(piece, reader.space(piece.size()).begin());
        reader.filled(piece.size());
        reader.take_continue();
        auto next = reader.next();
        for (; next && *next; next = reader.next()) {
            seen += (*next)->method + ' ' + (*next)->target + ' ' + (*next)->body + '\n';
            const auto range = parse_byte_range((*next)->range, 1000);
            if (range && (range->first + range->bytes > 1000)) std::abort();
            const auto request = parse_web_request(**next);
            if (request && *request) check(**request);
        }
        if (!next) return seen + std::to_string(next.error().status);
    }
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    read_all(bytes, size + 1);
    read_all(bytes, 1);
    return 0;
}
