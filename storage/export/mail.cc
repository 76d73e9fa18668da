// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/mail.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <mutex>

namespace spantape {
namespace {

struct FreeCurl {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    void operator()(curl_mime* mime) const { curl_mime_free(mime); }
};
using Lines = std::unique_ptr<curl_slist, FreeCurl>;

void add(Lines& lines, const std::string& line) { lines.reset(curl_slist_append(lines.release(), line.c_str())); }

bool is_ascii_text(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
}

std::string base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

// RFC 2047: words of at most 75 characters, each of whole characters. What is no text (line ends) becomes a space.
std::string header_text(std::string text) {
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    if (is_ascii_text(text)) return text;
    constexpr std::size_t kWordBytes = 42;  // 56 in base64, and 12 around them
    std::string encoded;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = std::min(at + kWordBytes, text.size());
        while (end > at + 1 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
        encoded += fmt::format("{}=?UTF-8?B?{}?=", encoded.empty() ? "" : "\r\n ", base64(text.substr(at, end - at)));
        at = end;
    }
    return encoded;
}

std::string mailbox(const std::string& name, const std::string& address) {
    if (name.empty()) return fmt::format("<{}>", address);
    std::string shown = header_text(name);
    if (shown.find("=?") == std::string::npos) {  // RFC 5322 §3.2.4: quoted
        std::string quoted;
        for (const char c : shown) quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
        shown = '"' + quoted + '"';
    }
    return fmt::format("{} <{}>", shown, address);
}

std::string date_header(TimeNs now_ns) {
    const std::time_t now = now_ns / kNsPerSecond;
    std::tm utc{};
    gmtime_r(&now, &utc);
    constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return fmt::format("Date: {}, {} {} {} {:02}:{:02}:{:02} +0000", kDays[static_cast<std::size_t>(utc.tm_wday)],
                       utc.tm_mday, kMonths[static_cast<std::size_t>(utc.tm_mon)], 1900 + utc.tm_year, utc.tm_hour,
                       utc.tm_min, utc.tm_sec);
}

std::string message_id(const std::string& from) {
    std::array<unsigned char, 16> random{};
    RAND_bytes(random.data(), random.size());
    std::string name;
    for (const unsigned char byte : random) name += fmt::format("{:02x}", byte);
    return fmt::format("Message-ID: <{}@{}>", name, from.substr(from.find('@') + 1));
}

// What curl reads the attachment through.
struct Attachment {
    std::unique_ptr<ExportedFile> file;
    std::string piece;
    std::size_t given = 0;
    std::string error;

    static std::size_t read(char* to, std::size_t size, std::size_t count, void* self) {
        auto& attachment = *static_cast<Attachment*>(self);
        if (attachment.given == attachment.piece.size()) {
            auto piece = attachment.file->next();
            if (!piece) {
                attachment.error = piece.error().message;
                return CURL_READFUNC_ABORT;
            }
            attachment.piece = std::move(*piece);
            attachment.given = 0;
        }
        const std::size_t bytes = std::min(size * count, attachment.piece.size() - attachment.given);
        std::copy_n(attachment.piece.data() + attachment.given, bytes, to);
        attachment.given += bytes;
        return bytes;
    }
};

// 2xx is success; what a code means otherwise depends on what it answered.
MailResult explain(CURL* curl, CURLcode code, const std::string& words, const std::string& server) {
    long reply = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply);
    const std::string why = fmt::format("{}: {}{}", server, words.empty() ? curl_easy_strerror(code) : words,
                                        reply >= 400 ? fmt::format(" (reply {})", reply) : "");
    if (code == CURLE_LOGIN_DENIED) return {MailOutcome::no_server, why};
    if (reply >= 400 && reply < 500) return {MailOutcome::later, why};
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_CONNECT:
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_USE_SSL_FAILED:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_WEIRD_SERVER_REPLY:
            return {MailOutcome::no_server, why};
        case CURLE_OPERATION_TIMEDOUT:
        case CURLE_RECV_ERROR:
        case CURLE_GOT_NOTHING:
            return {MailOutcome::later, why};
        case CURLE_SEND_ERROR:  // of RCPT and MAIL: refused; else the connection broke
            return {reply == 550 || reply == 551 || reply == 553 || reply == 501 ? MailOutcome::bad_address
                    : reply >= 500                                               ? MailOutcome::failed
                                                                                 : MailOutcome::later,
                    why};
        default:
            return {MailOutcome::failed, why};
    }
}

}  // namespace

bool is_mail_address(std::string_view address) {
    const std::size_t at = address.rfind('@');
    if (at == std::string_view::npos || at == 0 || at > 64 || address.size() > 254) return false;
    const std::string_view local = address.substr(0, at), domain = address.substr(at + 1);
    const auto dotted = [](std::string_view text, auto&& allowed) {
        char before = '.';
        for (const char c : text) {
            if (c == '.' ? before == '.' : !allowed(static_cast<unsigned char>(c))) return false;
            before = c;
        }
        return before != '.';
    };
    const auto in_local = [](unsigned char c) {
        return std::isalnum(c) != 0 || c >= 0x80 ||
               std::string_view("!#$%&'*+-/=?^_`{|}~").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!dotted(local, in_local)) return false;
    if (domain.size() > 2 && domain.front() == '[' && domain.back() == ']')
        return std::ranges::all_of(domain.substr(1, domain.size() - 2), [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '.' || c == ':' || c == '-';
        });
    return dotted(domain, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c >= 0x80; });
}

MailResult send_mail(const MailServer& server, Mail&& mail, TimeNs now_ns) {
    if (server.url.empty()) return {MailOutcome::no_server, "no mail server is configured (mail.server)"};
    if (!is_mail_address(mail.to)) return {MailOutcome::bad_address, fmt::format("'{}' is no e-mail address", mail.to)};
    const std::string from = mail.from.empty() ? server.from : mail.from;
    if (!is_mail_address(from)) return {MailOutcome::bad_address, fmt::format("'{}' is no e-mail address", from)};

    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
    if (!curl) return {MailOutcome::failed, "libcurl cannot start"};
    std::array<char, CURL_ERROR_SIZE> words{};
    const auto set = [&](auto option, auto value) { curl_easy_setopt(curl.get(), option, value); };
    set(CURLOPT_ERRORBUFFER, words.data());
    set(CURLOPT_URL, server.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    set(CURLOPT_USE_SSL, static_cast<long>(server.require_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (!server.ca_file.empty()) set(CURLOPT_CAINFO, server.ca_file.c_str());
    if (!server.user.empty()) {
        set(CURLOPT_USERNAME, server.user.c_str());
        set(CURLOPT_PASSWORD, server.password.c_str());
    }
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(std::min(server.timeout_s, 20)));
    set(CURLOPT_SERVER_RESPONSE_TIMEOUT, static_cast<long>(server.timeout_s));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(server.timeout_s));

    const std::string sender = "<" + from + ">", receiver = "<" + mail.to + ">";
    set(CURLOPT_MAIL_FROM, sender.c_str());
    Lines receivers, headers;
    add(receivers, receiver);
    set(CURLOPT_MAIL_RCPT, receivers.get());
    add(headers, date_header(now_ns));
    add(headers, "From: " + mailbox(mail.from_name, from));
    add(headers, "To: " + mailbox(mail.to_name, mail.to));
    add(headers, "Subject: " + header_text(mail.subject));
    add(headers, message_id(from));
    set(CURLOPT_HTTPHEADER, headers.get());

    Attachment attachment{.file = std::move(mail.attachment), .piece = {}, .error = {}};
    const std::unique_ptr<curl_mime, FreeCurl> mime(curl_mime_init(curl.get()));
    curl_mimepart* text = curl_mime_addpart(mime.get());
    curl_mime_data(text, mail.text.c_str(), CURL_ZERO_TERMINATED);
    curl_mime_type(text, "text/plain; charset=utf-8");
    curl_mime_encoder(text, is_ascii_text(mail.text) ? "7bit" : "quoted-printable");
    if (attachment.file) {
        curl_mimepart* part = curl_mime_addpart(mime.get());
        const auto size = attachment.file->bytes();
        curl_mime_data_cb(part, size ? static_cast<curl_off_t>(*size) : -1, &Attachment::read, nullptr, nullptr,
                          &attachment);
        curl_mime_type(part, mail.attachment_type.c_str());
        curl_mime_filename(part, mail.attachment_name.c_str());
        curl_mime_encoder(part, "base64");
    }
    set(CURLOPT_MIMEPOST, mime.get());

    const CURLcode code = curl_easy_perform(curl.get());
    if (code == CURLE_OK) return {};
    if (!attachment.error.empty()) return {MailOutcome::failed, attachment.error};
    return explain(curl.get(), code, words.data(), server.url);
}

}  // namespace spantape
