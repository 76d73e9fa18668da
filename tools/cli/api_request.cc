// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/api_request.h"

#include <algorithm>
#include <cctype>

#include "api/protocol/xml_text.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

void ApiRequest::add(std::string_view name, std::string_view value) {
    text_.append("<").append(name).append(">");
    api::append_escaped(text_, value);
    text_.append("</").append(name).append(">");
}

Result<> ApiRequest::add_settings(const std::vector<std::string>& settings) {
    for (const std::string& setting : settings) {
        const std::size_t equals = setting.find('=');
        const std::string name = parameter_of(setting.substr(0, equals));
        const bool word = !name.empty() && std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c); });
        if (equals == std::string::npos || !word) return fail("'{}': must be KEY=VALUE", setting);
        add(name, std::string_view(setting).substr(equals + 1));
    }
    return {};
}

Result<api::Element> ApiRequest::ask(const std::string& server) const {
    const auto client = XmlClient::connect(server);
    if (!client) return std::unexpected(client.error());
    (*client)->send("<REQUEST>" + text_ + "</REQUEST>\r\n", false);
    const auto document = (*client)->read(XmlClient::kAnswerLimit);
    if (!document) return std::unexpected(document.error());
    if (!*document) return fail("{} closed the connection without an answer", server);
    auto result = read_document(**document);
    if (result && !is_ok(*result)) return fail("{}", failure_text(*result));
    return result;
}

std::string ApiRequest::parameter_of(std::string text) {
    std::erase(text, '_');
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

const std::vector<api::Element>& children_of(const api::Element& parent, std::string_view name) {
    static const std::vector<api::Element> none;
    const api::Element* found = child(parent, name);
    return found != nullptr ? found->children : none;
}

}  // namespace spantape::cli
