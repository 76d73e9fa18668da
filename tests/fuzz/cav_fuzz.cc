// SPDX-License-Identifier: AGPL-3.0-or-later
// Any bytes as a CAV file, in clear and as if its password were known.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "storage/export/cav_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape;
    constexpr std::size_t kSealedAt = 8, kLogRoundsAt = 9;
    // Deriving keys is scrypt's work, and takes its time on purpose.
    if (size > kLogRoundsAt && data[kSealedAt] == 1 && data[kLogRoundsAt] > 4) return 0;
    std::string_view left(reinterpret_cast<const char*>(data), size);
    const auto bytes = [&](std::span<char> to) -> Result<std::size_t> {
        const std::size_t count = std::min(to.size(), left.size());
        left.copy(to.data(), count);
        left.remove_prefix(count);
        return count;
    };
    bool fields = false;
    std::size_t visited = 0;
    const auto read = read_cav(bytes, "secret",
                               {.fields =
                                    [&](std::string_view xml) {
                                        if (fields) std::abort();
                                        fields = true;
                                        visited += xml.size();
                                        return Result<>();
                                    },
                                .audio =
                                    [&](std::string_view piece) {
                                        if (!fields) std::abort();
                                        visited += piece.size();
                                        return Result<>();
                                    }});
    if (visited > size || (read && !left.empty())) std::abort();
    return 0;
}
