// SPDX-License-Identifier: AGPL-3.0-or-later
// `cav`: takes a CAV file apart into the call's fields and its audio, and says whether it is whole.
#include "tools/cli/cav.h"

#include <filesystem>
#include <fstream>

#include "storage/export/cav_file.h"
#include "tools/cli/commands.h"
#include "tools/cli/output_file.h"

namespace spantape::cli {

Result<std::string> first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line)) return fail("{}: no password can be read from it", path);
    if (line.empty()) return fail("{}: its first line is empty", path);
    return line;
}

int run(const CavCommand& command, const Console& console) {
    std::string password;
    if (!command.password_file.empty()) {
        auto read = first_line(command.password_file);
        if (!read) return console.failed(read.error().message);
        password = std::move(*read);
    }
    std::ifstream file(command.file, std::ios::binary);
    if (!file) return console.failed(command.file + ": cannot be read");
    const auto directory = OutputDirectory::open(command.out);
    if (!directory) return console.failed(directory.error().message);
    const std::string stem = std::filesystem::path(command.file).stem();
    auto fields = OutputFile::create(**directory, (*directory)->choose(stem + ".xml"));
    if (!fields) return console.failed(fields.error().message);
    auto audio = OutputFile::create(**directory, (*directory)->choose(stem + ".wav"));
    if (!audio) return console.failed(audio.error().message);
    const auto bytes = [&](std::span<char> to) -> Result<std::size_t> {
        file.read(to.data(), static_cast<std::streamsize>(to.size()));
        if (file.bad()) return fail("cannot be read");
        return static_cast<std::size_t>(file.gcount());
    };
    const auto read = read_cav(bytes, password,
                               {.fields = [&](std::string_view xml) { return (*fields)->write(xml); },
                                .audio = [&](std::string_view piece) { return (*audio)->write(piece); }});
    // Nothing is left of what cannot be trusted.
    if (!read) return console.failed(fmt::format("{}: {}", command.file, read.error().message));
    for (auto* written : {&*fields, &*audio}) {
        const auto kept = (*written)->keep();
        if (!kept) return console.failed(kept.error().message);
        console.out << *kept << std::endl;
    }
    return kFine;
}

}  // namespace spantape::cli
