// SPDX-License-Identifier: AGPL-3.0-or-later
// EXPORT over the WebAPI (manual: Uptivity WebAPI Service, Export a Recorded Audio File).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "capture/base/result.h"
#include "tools/cli/output_file.h"

namespace spantape::cli {

// The file name in a Content-Disposition field (RFC 6266): filename* in UTF-8, else filename; "" when there is none.
[[nodiscard]] std::string disposition_name(std::string_view field);

// Downloads one recording into the directory and gives the path of the file. An error carries what the API answered,
// or why there was no answer; nothing is left behind then. `progress` is told bytes got and bytes in all.
Result<std::string> download_recording(const std::string& server, std::string_view ident, std::string_view format,
                                       OutputDirectory& directory,
                                       const std::function<void(std::uint64_t, std::uint64_t)>& progress);

// The picture of one recording, likewise, as a file of that name.
Result<std::string> download_picture(const std::string& server, std::string_view ident, OutputDirectory& directory,
                                     const std::string& name);

}  // namespace spantape::cli
