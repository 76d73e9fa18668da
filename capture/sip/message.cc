// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/message.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include <osipparser2/osip_parser.h>

#include "capture/sip/text.h"

namespace spantape {

using namespace sip_text;

namespace {

constexpr std::string_view kVersion = "SIP/2.0";
constexpr std::size_t kMaxLinesBeforeStart = 16;
constexpr std::size_t kMaxCallIdBytes = 1024;
constexpr std::size_t kMaxContacts = 16;

struct OsipFree {
    void operator()(osip_from_t* header) const { osip_from_free(header); }
    void operator()(osip_via_t* header) const { osip_via_free(header); }
    void operator()(osip_uri_t* uri) const { osip_uri_free(uri); }
};
template <class T>
using Osip = std::unique_ptr<T, OsipFree>;

// libosip2 works on C strings: an embedded NUL would hide the rest.
std::string c_text(std::string_view text) {
    std::string copy(text);
    std::replace(copy.begin(), copy.end(), '\0', ' ');
    return copy;
}

template <class T>
Osip<T> parse_with(int (*init)(T**), int (*parse)(T*, const char*), std::string_view text) {
    T* raw = nullptr;
    if (init(&raw) != OSIP_SUCCESS) return nullptr;
    Osip<T> parsed(raw);
    if (parse(raw, c_text(text).c_str()) != OSIP_SUCCESS) return nullptr;
    return parsed;
}

std::string_view view(const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); }

std::string_view parameter(osip_list_t& parameters, const char* name) {
    osip_generic_param_t* found = nullptr;
    osip_generic_param_get_byname(&parameters, const_cast<char*>(name), &found);
    return found == nullptr ? std::string_view() : trim(view(found->gvalue));
}

// The number of a tel: URI (RFC 3966) counts as its user part; libosip2 keeps other schemes as one text.
std::string user_of(const osip_uri_t& uri) {
    std::string_view opaque = view(uri.string);
    return printable(uri.username != nullptr ? view(uri.username) : take_until(opaque, ';'));
}

std::string without_quotes(std::string_view name) {
    name = trim(name);
    if (name.size() < 2 || name.front() != '"' || name.back() != '"') return printable(name);
    std::string plain;
    name = name.substr(1, name.size() - 2);
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '\\' && i + 1 < name.size()) ++i;
        plain += name[i];
    }
    return printable(plain);
}

// The tag decides to whom a message belongs; it is worth having even of a header that is otherwise broken.
std::string tag_of_broken(std::string_view value) {
    const std::string lowered = to_lower(value);
    const std::size_t at = lowered.rfind(";tag=");
    if (at == std::string::npos) return {};
    std::string_view tag = value.substr(at + 5);
    return std::string(trim(take_until(tag, ';')));
}

// A From, To or Contact value. Display names are what senders quote wrongly most: without it then.
Osip<osip_from_t> parse_name_addr(std::string_view value) {
    auto header = parse_with<osip_from_t>(osip_from_init, osip_from_parse, value);
    const std::size_t uri = value.find('<');
    if (header || uri == std::string_view::npos || uri == 0) return header;
    return parse_with<osip_from_t>(osip_from_init, osip_from_parse, value.substr(uri));
}

SipAddress parse_address(std::string_view value) {
    SipAddress address;
    const auto header = parse_name_addr(value);
    if (!header) {
        address.tag = tag_of_broken(value);
        return address;
    }
    address.tag = parameter(header->gen_params, "tag");
    address.party.display_name = without_quotes(view(header->displayname));
    if (header->url != nullptr) {
        address.party.user = user_of(*header->url);
        address.party.host = printable(view(header->url->host));
    }
    return address;
}

std::optional<SipContact> parse_contact(std::string_view value) {
    SipContact contact;
    if (trim(value) == "*") {
        contact.all = true;
        return contact;
    }
    const auto header = parse_name_addr(value);
    if (!header || header->url == nullptr) return std::nullopt;
    contact.user = user_of(*header->url);
    contact.host_port = to_lower(view(header->url->host)) + ':' + std::string(view(header->url->port));
    contact.expires_s = leading_number<std::uint32_t>(parameter(header->gen_params, "expires"));
    return contact;
}

// Takes the next of several comma-separated values; commas in quotes and in <> belong to the value.
std::string_view take_value(std::string_view& rest) {
    bool quoted = false;
    bool bracketed = false;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        const char letter = rest[i];
        if (quoted && letter == '\\')
            ++i;
        else if (letter == '"' && !bracketed)
            quoted = !quoted;
        else if (!quoted && (letter == '<' || letter == '>'))
            bracketed = letter == '<';
        else if (letter == ',' && !quoted && !bracketed)
            return std::exchange(rest, rest.substr(i + 1)).substr(0, i);
    }
    return std::exchange(rest, {});
}

std::string parse_branch(std::string_view value) {
    const auto via = parse_with<osip_via_t>(osip_via_init, osip_via_parse, trim(take_value(value)));
    return via ? std::string(parameter(via->via_params, "branch")) : std::string();
}

SipMethod method_named(std::string_view name) {
    static constexpr std::array<std::pair<std::string_view, SipMethod>, 7> kMethods{{
        {"INVITE", SipMethod::invite},
        {"ACK", SipMethod::ack},
        {"BYE", SipMethod::bye},
        {"CANCEL", SipMethod::cancel},
        {"PRACK", SipMethod::prack},
        {"UPDATE", SipMethod::update},
        {"REGISTER", SipMethod::register_},
    }};
    for (const auto& [text, method] : kMethods)
        if (text == name) return method;
    return SipMethod::other;
}

bool parse_status_line(std::string_view line, SipMessage& message) {
    const std::size_t at = line.find(kVersion);
    if (at == std::string_view::npos) return false;
    line.remove_prefix(at + kVersion.size());
    const std::string_view code = take_word(line);
    const auto status = leading_number<int>(code);
    if (code.size() != 3 || !status || *status < 100 || *status > 699) return false;
    message.status = *status;
    return true;
}

// METHOD SP Request-URI SP SIP/2.0; junk in front of the method ends at its capital letters.
bool parse_request_line(std::string_view line, SipMessage& message) {
    if (!line.ends_with(kVersion)) return false;
    line = trim(line.substr(0, line.size() - kVersion.size()));
    const std::size_t space = line.find_last_of(" \t");
    if (space == std::string_view::npos) return false;
    const std::string_view uri_text = line.substr(space + 1);
    const std::string_view before = trim(line.substr(0, space));
    const std::size_t junk = before.find_last_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    const std::string_view name = before.substr(junk == std::string_view::npos ? 0 : junk + 1);
    if (name.empty()) return false;
    message.method = method_named(name);
    if (const auto uri = parse_with<osip_uri_t>(osip_uri_init, osip_uri_parse, uri_text))
        message.request_user = user_of(*uri);
    return true;
}

bool parse_start_line(std::string_view& rest, SipMessage& message) {
    for (std::size_t i = 0; i < kMaxLinesBeforeStart && !rest.empty(); ++i) {
        const std::string_view line = trim(take_line(rest));
        if (parse_status_line(line, message) || parse_request_line(line, message)) return true;
    }
    return false;
}

enum class Header : std::uint8_t { other, via, from, to, call_id, cseq, contact, expires, content_type };

Header header_named(std::string_view name) {
    struct Name {
        std::string_view full;
        char compact;  // RFC 3261 §20; NUL: has none
        Header header;
    };
    static constexpr std::array<Name, 8> kNames{{
        {"via", 'v', Header::via},
        {"from", 'f', Header::from},
        {"to", 't', Header::to},
        {"call-id", 'i', Header::call_id},
        {"cseq", '\0', Header::cseq},
        {"contact", 'm', Header::contact},
        {"expires", '\0', Header::expires},
        {"content-type", 'c', Header::content_type},
    }};
    for (const Name& known : kNames) {
        const bool compact = name.size() == 1 && known.compact != '\0' && (name[0] | 0x20) == known.compact;
        if (compact || equal_ignoring_case(name, known.full)) return known.header;
    }
    return Header::other;
}

class HeaderReader {
public:
    explicit HeaderReader(SipMessage& message) : message_(message) {}

    void read(std::string_view line) {
        if (line.find(':') == std::string_view::npos) return;
        const std::string_view name = trim(take_until(line, ':'));
        take(header_named(name), trim(line));
    }

    [[nodiscard]] bool complete() const { return !message_.call_id.empty() && (message_.is_request() || cseq_seen_); }

private:
    void take(Header header, std::string_view value) {
        switch (header) {
            case Header::via:
                return take_via(value);
            case Header::from:
                return take_once(from_seen_, message_.from, value);
            case Header::to:
                return take_once(to_seen_, message_.to, value);
            case Header::call_id:
                if (message_.call_id.empty() && value.size() <= kMaxCallIdBytes)
                    message_.call_id = printable(value, kMaxCallIdBytes);
                return;
            case Header::cseq:
                return take_cseq(value);
            case Header::contact:
                return take_contacts(value);
            case Header::expires:
                if (!message_.expires_s) message_.expires_s = leading_number<std::uint32_t>(value);
                return;
            case Header::content_type:
                if (message_.content_type.empty()) message_.content_type = value;
                return;
            case Header::other:
                return;
        }
    }

    static void take_once(bool& seen, SipAddress& address, std::string_view value) {
        if (!std::exchange(seen, true)) address = parse_address(value);
    }
    void take_via(std::string_view value) {
        if (!std::exchange(via_seen_, true)) message_.via_branch = parse_branch(value);
    }
    void take_cseq(std::string_view value) {
        if (cseq_seen_) return;
        const std::string_view number = take_word(value);
        message_.cseq = leading_number<std::uint32_t>(number).value_or(0);
        if (!message_.is_request()) message_.method = method_named(take_word(value));
        cseq_seen_ = true;
    }
    void take_contacts(std::string_view value) {
        while (!value.empty() && message_.contacts.size() < kMaxContacts)
            if (auto contact = parse_contact(trim(take_value(value)))) message_.contacts.push_back(std::move(*contact));
    }

    SipMessage& message_;
    bool via_seen_ = false;
    bool from_seen_ = false;
    bool to_seen_ = false;
    bool cseq_seen_ = false;
};

bool continues_line(std::string_view rest) { return rest.starts_with(' ') || rest.starts_with('\t'); }

// One header with its continuation lines (RFC 3261 §7.3.1). `folded` holds the text when there were any.
std::string_view take_header(std::string_view& rest, std::string& folded) {
    const std::string_view line = take_line(rest);
    if (line.empty() || !continues_line(rest)) return line;
    folded = line;
    while (continues_line(rest)) {
        folded += ' ';
        folded += trim(take_line(rest));
    }
    return folded;
}

}  // namespace

std::optional<SipMessage> parse_sip_message(std::span<const std::uint8_t> bytes) {
    std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    SipMessage message;
    if (!parse_start_line(rest, message)) return std::nullopt;
    HeaderReader headers(message);
    std::string folded;
    while (!rest.empty()) {
        const std::string_view line = take_header(rest, folded);
        if (line.empty()) break;
        headers.read(line);
    }
    if (!headers.complete()) return std::nullopt;
    message.body = rest;
    return message;
}

}  // namespace spantape
