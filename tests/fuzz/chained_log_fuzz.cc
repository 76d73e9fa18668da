// SPDX-License-Identifier: AGPL-3.0-or-later
// Any bytes as a log: they are read and checked without harm, no line of them is taken for one that was signed, and a
// log that goes on behind them is sound from there.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/chained_log.h"

using namespace spantape;

namespace {

struct Store {
    Store() {
        std::string name = (std::filesystem::temp_directory_path() / "spantape-fuzz-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) abort();
        path = name;
        std::filesystem::create_directory(path + "/log");
    }
    ~Store() { std::filesystem::remove_all(path); }
    std::string path;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Store store;
    static const auto key = *SigningKey::load_or_create(store.path);
    const std::string path = store.path + "/log/audit.jsonl";
    std::ofstream(path, std::ios::trunc | std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    std::filesystem::remove(path + ".head");

    std::uint64_t read = 0;
    if (!read_log(path, [&](std::uint64_t, const LogLine& line) { return ++read, line.n > 0; })) abort();
    const auto checked = check_log(path, key.verifier());
    if (!checked || checked->lines < read || (size > 0 && checked->problem_count < checked->lines)) abort();

    const auto log = ChainedLog::open(path, key);
    if (!log || !(*log)->append({{"what", "fuzz"}}, true)) abort();
    const auto after = check_log(path, key.verifier());
    if (!after || after->lines < 1 || after->problem_count > checked->problem_count) abort();
    return 0;
}
