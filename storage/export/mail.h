// SPDX-License-Identifier: AGPL-3.0-or-later
// E-mails with a file attached, by SMTP (RFC 5321, RFC 2045 to 2047). libcurl is known only in mail.cc. Blocks; for a
// thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "capture/base/clock.h"
#include "storage/export/audio_file.h"

namespace spantape {

struct MailServer {
    std::string url;  // smtp://HOST[:PORT] or smtps://HOST[:PORT]; "": none
    std::string user, password;
    std::string from;             // the address that mails come from unless they name one
    bool require_tls = false;     // smtp: refuse a server that does not offer STARTTLS
    std::string ca_file;          // whom to trust; "": the system's
    std::int32_t timeout_s = 60;  // for a mail as a whole, beside what its bytes take
};

struct Mail {
    std::string to, to_name, from, from_name, subject, text;
    std::string attachment_name, attachment_type;
    std::unique_ptr<ExportedFile> attachment;
};

enum class MailOutcome : std::uint8_t {
    sent,
    bad_address,  // it is none, or the server refused it for good
    no_server,    // none is named, it is not there, or it does not let us in
    later,        // the server asks to come again
    failed,       // refused for good, or the attachment could not be read
};

struct MailResult {
    MailOutcome outcome = MailOutcome::sent;
    std::string message;  // why not
};

[[nodiscard]] MailResult send_mail(const MailServer& server, Mail&& mail, TimeNs now_ns);

// Can mail be sent there (RFC 5321 §4.1.2, dot-atom local parts and domain names or address literals)?
[[nodiscard]] bool is_mail_address(std::string_view address);

}  // namespace spantape
