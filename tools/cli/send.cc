// SPDX-License-Identifier: AGPL-3.0-or-later
// `send`: raw XML requests to the XML API, all answers to standard output.
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "tools/cli/commands.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {
namespace {

Result<std::string> read_all(const std::string& file) {
    if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
    std::ifstream input(file, std::ios::binary);
    if (!input) return fail("cannot read {}: {}", file, std::strerror(errno));
    std::string bytes(std::istreambuf_iterator<char>(input), {});
    if (input.bad()) return fail("cannot read {}", file);
    return bytes;
}

}  // namespace

int run(const SendCommand& command, const Console& console) {
    auto requests = read_all(command.file);
    if (!requests) return console.failed(requests.error().message);
    auto client = XmlClient::connect(command.server);
    if (!client) return console.failed(client.error().message);
    (*client)->send(std::move(*requests), true);

    std::size_t answers = 0;
    bool all_ok = true;
    std::optional<std::chrono::seconds> limit = XmlClient::kAnswerLimit;
    while (true) {
        const auto document = (*client)->read(limit);
        if (!document) return console.failed(document.error().message);
        if (!*document) break;
        console.out << **document << std::endl;
        const auto answer = read_document(**document);
        if (!answer) return console.failed(answer.error().message);
        if (answer->name != "RESULT") continue;  // an event
        ++answers;
        all_ok = all_ok && is_ok(*answer);
        if (child_text(*answer, "REQUESTTYPE") == "EVENTS" && is_ok(*answer)) limit.reset();
    }
    if (answers == 0) return console.failed(fmt::format("{} closed the connection without an answer", command.server));
    return all_ok ? kFine : kFailed;
}

}  // namespace spantape::cli
