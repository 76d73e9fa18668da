// SPDX-License-Identifier: AGPL-3.0-or-later
// Any bytes as a document; what is read must come back the same after it was written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "api/protocol/xml_codec.h"
#include "api/protocol/xml_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape::api;
    std::string document(reinterpret_cast<const char*>(data), size);
    const auto request = parse_request(document);
    std::string answer;
    if (!request) {
        append_refusal(answer, request.error(), {});
        if (!is_xml_text(answer)) std::abort();
        return 0;
    }
    std::string again = "<REQUEST><TYPE>";
    append_escaped(again, request->type);
    again += "</TYPE><REQUESTID>" + request->request_id_text + "</REQUESTID>";
    for (const auto& [name, value] : request->parameters) {
        if (name == "TYPE" || name == "REQUESTTYPE") continue;  // parameters only under a root named after the type
        again += "<" + name + ">";
        append_escaped(again, value);
        again += "</" + name + ">";
    }
    again += "</REQUEST>";
    const auto second = parse_request(again);
    if (!second || second->type != request->type || second->request_id != request->request_id) std::abort();
    for (const auto& [name, value] : second->parameters) {
        if (second->find(name) != request->find(name)) std::abort();
    }
    return 0;
}
