// SPDX-License-Identifier: AGPL-3.0-or-later
// A self-signed certificate for an appliance that was given none, so that TLS works from the first start.
#pragma once

#include <string>

#include "capture/base/result.h"

namespace spantape::api {

// Makes `certificate_file` and `key_file` (PEM, the key for its owner alone: 0600) when neither exists: ECDSA P-256,
// valid for 10 years, for localhost, 127.0.0.1, ::1 and this host's name. Does nothing when both exist; one without
// the other is an error.
Result<> ensure_certificate(const std::string& certificate_file, const std::string& key_file);

}  // namespace spantape::api
