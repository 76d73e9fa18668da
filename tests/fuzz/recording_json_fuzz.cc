// SPDX-License-Identifier: AGPL-3.0-or-later
// Whatever a document says: it is refused with a message, or it is a recording that is written and read back the same
// and whose columns and public form can be asked for.
#include <cstdint>
#include <cstdlib>

#include "storage/recording.h"

using namespace spantape;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto recording = recording_from_json({reinterpret_cast<const char*>(data), size});
    if (!recording) {
        if (recording.error().message.empty()) abort();
        return 0;
    }
    const std::string text = to_json(*recording);
    const auto back = recording_from_json(text);
    if (!back || to_json(*back) != text) abort();
    for (const std::string_view name : column_names())
        if (!column(*recording, name).known) abort();
    if (to_public_json(*recording).empty()) abort();
    return 0;
}
