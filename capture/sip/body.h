// SPDX-License-Identifier: AGPL-3.0-or-later
// Finds the session description in the body of a SIP message.
#pragma once

#include <string_view>

namespace spantape {

// The SDP within `body`: all of it when the Content-Type is application/sdp (or is missing and the body begins like
// one), the application/sdp part of a multipart body (RFC 2046 §5.1, RFC 5621), nested ones too; else empty. A view
// into `body`. Any thread.
std::string_view find_sdp(std::string_view content_type, std::string_view body);

}  // namespace spantape
