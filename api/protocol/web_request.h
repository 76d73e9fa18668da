// SPDX-License-Identifier: AGPL-3.0-or-later
// HTTP requests to API requests (manual: Uptivity WebAPI Service). What is wrong with the HTTP is a fault with a
// status of HTTP; what is wrong with the API's parameters is a refusal, answered as a RESULT with status 200.
#pragma once

#include <expected>

#include "api/protocol/http_reader.h"
#include "api/protocol/request_builder.h"

namespace spantape::api {

// Beside the API's pages: GET /recordings/YYYYMMDD/DEVICE/NAME.wav (or .mp3, …) is EXPORT by FILENAME, GET /waveform is
// WAVEFORM with its parameters in the query.
// 404 for another page, 405 for a method other than GET, HEAD and POST, 400 for parameters that cannot be decoded.
[[nodiscard]] std::expected<std::expected<Request, Refusal>, HttpFault> parse_web_request(const HttpRequest& request);

}  // namespace spantape::api
