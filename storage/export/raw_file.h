// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings as they came: every stored packet as RTP over UDP in a capture file (pcap with nanoseconds, link type raw
// IP), by time of arrival. For what no decoder of ours knows, and for Wireshark. What lies below RTP, and in its header
// beyond the fixed part, is not stored: it is made anew.
#pragma once

#include <memory>
#include <vector>

#include "storage/audio/chunk_source.h"
#include "storage/export/audio_file.h"
#include "storage/recording.h"

namespace spantape {

// Each until its stop, or until now_ns while it goes on. Of a damaged chunk, what was sound before the damage.
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> raw_file(std::unique_ptr<ChunkSource> chunks,
                                                             const std::vector<Recording>& recordings, TimeNs now_ns);

}  // namespace spantape
