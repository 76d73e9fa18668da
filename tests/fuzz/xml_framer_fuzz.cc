// SPDX-License-Identifier: AGPL-3.0-or-later
// The framer must give the same whatever pieces the bytes come in, and only documents that the codec can read.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "api/protocol/xml_codec.h"
#include "api/protocol/xml_framer.h"

namespace {

using spantape::api::XmlFramer;

std::string frame(std::string_view bytes, std::size_t piece_bytes) {
    XmlFramer framer(4096);
    std::string items;
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, piece_bytes);
        bytes.remove_prefix(piece.size());
        std::memcpy(framer.space(piece.size()).data(), piece.data(), piece.size());
        framer.filled(piece.size());
        for (auto item = framer.next(); item.kind != XmlFramer::Item::Kind::kNeedMore; item = framer.next()) {
            items += std::to_string(static_cast<int>(item.kind));
            items.append(item.document.data(), item.document.size());
            if (item.kind == XmlFramer::Item::Kind::kTooLarge) return items;
            if (item.kind != XmlFramer::Item::Kind::kDocument) continue;
            const auto request = spantape::api::parse_request(item.document);
            const bool unreadable = !request && request.error().message == "not well-formed";
            if (unreadable) std::abort();  // the two disagree about what XML is
        }
    }
    return items;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (frame(bytes, size + 1) != frame(bytes, 1)) std::abort();
    return 0;
}
