// SPDX-License-Identifier: AGPL-3.0-or-later
// Which recordings a function means, and their audio as a file. For the pool and other threads that may wait.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/functions/access.h"
#include "api/protocol/message.h"
#include "storage/export/cav_file.h"
#include "storage/export/media_format.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape::api {

// What an export needs, and for whom it is; index and segments outlive it.
struct ExportSource {
    const Index& index;
    const SegmentStore& segments;
    Visibility visible = {};
    VoxCoding vox = VoxCoding::adpcm;
    std::string recording_path = {};  // what /recordings/ stands for in a FILENAME
};

// What kind of file is wanted.
struct ExportWish {
    MediaFormat format = MediaFormat::wav;
    std::optional<CavSeal> seal;  // of CAV
};

struct NoExport {
    ResultCode code = ResultCode::API_FILE_NOT_FOUND;
    std::string message;
};
template <class T>
using ExportResult = std::expected<T, NoExport>;

// The newest recording whose column (UNIQUEFIELD, any letter case) has that value.
[[nodiscard]] ExportResult<Recording> recording_by_field(const ExportSource& source, std::string field,
                                                         const std::string& id);
// Those of a list such as "12,13,14", in its order.
[[nodiscard]] ExportResult<std::vector<Recording>> recordings_by_ident(const ExportSource& source,
                                                                       const std::string& idents);

// The recordings, one after the other, as one file; up to now where one goes on. At least one.
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> open_export(const ExportSource& source,
                                                                const std::vector<Recording>& recordings,
                                                                const ExportWish& wish, TimeNs now_ns);
// "7001-12-30-00.wav"
[[nodiscard]] std::string export_name(const Recording& recording, MediaFormat format);
[[nodiscard]] std::string combined_export_name(const std::vector<Recording>& recordings, MediaFormat format);

}  // namespace spantape::api
