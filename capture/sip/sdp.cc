// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/sdp.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "capture/sip/sdp_crypto.h"
#include "capture/sip/text.h"

namespace spantape {

using namespace sip_text;

namespace {

constexpr std::size_t kMaxDescriptions = 32;
constexpr std::size_t kMaxPayloads = 64;
constexpr std::size_t kMaxAddresses = 4;
constexpr std::size_t kMaxSrtpKeys = 8;
constexpr std::size_t kMaxFormatBytes = 1024;
constexpr std::uint32_t kMaxClockRateHz = 768'000;
constexpr std::uint8_t kMaxPayloadType = 127;

struct StaticPayload {
    std::uint8_t payload_type;
    std::string_view encoding;
    std::uint32_t clock_rate_hz;
    std::uint8_t channels;
};
// RFC 3551 §6, table 4; 2 is its forerunner's (RFC 1890) and 19 the comfort noise of before RFC 3389, both still met.
constexpr std::array<StaticPayload, 20> kStaticPayloads{{
    {0, "PCMU", 8000, 1},   {2, "G726-32", 8000, 1}, {3, "GSM", 8000, 1},   {4, "G723", 8000, 1},
    {5, "DVI4", 8000, 1},   {6, "DVI4", 16000, 1},   {7, "LPC", 8000, 1},   {8, "PCMA", 8000, 1},
    {9, "G722", 8000, 1},   {10, "L16", 44100, 2},   {11, "L16", 44100, 1}, {12, "QCELP", 8000, 1},
    {13, "CN", 8000, 1},    {14, "MPA", 90000, 1},   {15, "G728", 8000, 1}, {16, "DVI4", 11025, 1},
    {17, "DVI4", 22050, 1}, {18, "G729", 8000, 1},   {19, "CN", 8000, 1},   {1, "1016", 8000, 1},
}};

struct Level {  // what may stand at session and at media level
    std::vector<IpAddress> addresses;
    std::optional<bool> held;  // sendonly or inactive
    bool crypto = false;
    std::vector<SrtpKey> keys;  // of the a=crypto lines that we can use
};

struct Media : Level {
    bool wanted = false;
    std::uint16_t port = 0;
    bool secure_profile = false;
    std::vector<std::uint8_t> payload_types;
    std::map<std::uint8_t, PayloadMapping> maps;     // a=rtpmap
    std::map<std::uint8_t, std::string> parameters;  // a=fmtp
};

std::string encoding_name(std::string_view name) {
    if (equal_ignoring_case(name, "telephone-event")) return "telephone-event";
    return printable(to_upper(name), 64);
}

std::optional<std::uint8_t> payload_type_of(std::string_view text) {
    const auto number = leading_number<unsigned>(text);
    if (!number || *number > kMaxPayloadType) return std::nullopt;
    return static_cast<std::uint8_t>(*number);
}

class SdpReader {
public:
    explicit SdpReader(CallParty party) : party_(party) {}

    // False when the description ends before this line.
    bool read(std::string_view line) {
        line = trim(line);
        if (line.size() < 2 || line[1] != '=') return true;
        const std::string_view value = trim(line.substr(2));
        switch (line[0]) {
            case 'v':
                return !std::exchange(version_seen_, true);  // a second one: garbage follows
            case 'm':
                read_media(value);
                break;
            case 'c':
                read_connection(value);
                break;
            case 'a':
                read_attribute(value);
                break;
            default:
                break;
        }
        return true;
    }

    std::vector<MediaDescription> finish() {
        flush();
        return std::move(descriptions_);
    }

private:
    Level& level() { return media_ ? static_cast<Level&>(*media_) : session_; }

    // m=audio 49170/2 RTP/AVP 0 8 97
    void read_media(std::string_view value) {
        flush();
        media_.emplace();
        const std::string_view kind = take_word(value);
        const auto port = leading_number<unsigned>(take_word(value));
        const std::string_view transport = take_word(value);
        media_->wanted = equal_ignoring_case(kind, "audio") && contains_ignoring_case(transport, "RTP/") &&
                         port.has_value() && *port > 0 && *port <= 0xffff;
        if (!media_->wanted) return;
        media_->port = static_cast<std::uint16_t>(*port);
        media_->secure_profile = contains_ignoring_case(transport, "RTP/SAVP");
        for (auto word = take_word(value); !word.empty(); word = take_word(value)) read_payload_type(word);
    }

    void read_payload_type(std::string_view word) {
        const auto type = payload_type_of(word);
        auto& types = media_->payload_types;
        if (type && types.size() < kMaxPayloads && std::find(types.begin(), types.end(), *type) == types.end())
            types.push_back(*type);
    }

    // c=IN IP4 224.2.1.1/127/3
    void read_connection(std::string_view value) {
        take_word(value);
        take_word(value);
        std::string_view text = take_word(value);
        const auto address = IpAddress::parse(take_until(text, '/'));
        auto& addresses = level().addresses;
        if (address && addresses.size() < kMaxAddresses &&
            std::find(addresses.begin(), addresses.end(), *address) == addresses.end())
            addresses.push_back(*address);
    }

    void read_attribute(std::string_view value) {
        const std::string_view name = trim(take_until(value, ':'));
        if (equal_ignoring_case(name, "sendonly") || equal_ignoring_case(name, "inactive"))
            level().held = true;
        else if (equal_ignoring_case(name, "sendrecv") || equal_ignoring_case(name, "recvonly"))
            level().held = false;
        else if (equal_ignoring_case(name, "crypto"))
            read_crypto(value);
        else if (media_ && equal_ignoring_case(name, "rtpmap"))
            read_rtpmap(value);
        else if (media_ && equal_ignoring_case(name, "fmtp"))
            read_fmtp(value);
    }

    void read_crypto(std::string_view value) {
        level().crypto = true;
        auto& keys = level().keys;
        for (const SrtpKey& key : parse_sdp_crypto(value))
            if (keys.size() < kMaxSrtpKeys) keys.push_back(key);
    }

    // a=rtpmap:111 opus/48000/2
    void read_rtpmap(std::string_view value) {
        const auto type = payload_type_of(take_word(value));
        if (!type || media_->maps.size() >= kMaxPayloads) return;
        PayloadMapping mapping;
        value = trim(value);
        mapping.payload_type = *type;
        mapping.encoding = encoding_name(trim(take_until(value, '/')));
        mapping.clock_rate_hz = leading_number<std::uint32_t>(trim(take_until(value, '/'))).value_or(0);
        const auto channels = leading_number<unsigned>(trim(value)).value_or(1);
        mapping.channels = static_cast<std::uint8_t>(std::clamp(channels, 1U, 255U));
        const bool usable = !mapping.encoding.empty() && mapping.clock_rate_hz > 0;
        if (usable && mapping.clock_rate_hz <= kMaxClockRateHz) media_->maps.try_emplace(*type, std::move(mapping));
    }

    void read_fmtp(std::string_view value) {
        const auto type = payload_type_of(take_word(value));
        if (!type || media_->parameters.size() >= kMaxPayloads) return;
        media_->parameters.try_emplace(*type, printable(trim(value), kMaxFormatBytes));
    }

    std::optional<PayloadMapping> mapping_of(std::uint8_t type) {
        if (const auto mapped = media_->maps.find(type); mapped != media_->maps.end()) return mapped->second;
        return static_payload(type);
    }

    // The media description is complete: its m= section ended.
    void flush() {
        if (!media_ || !media_->wanted) return;
        MediaDescription description;
        description.party = party_;
        description.srtp = media_->secure_profile || media_->crypto || session_.crypto;
        description.srtp_profile = media_->secure_profile ? SrtpProfile::required
                                   : description.srtp     ? SrtpProfile::offered
                                                          : SrtpProfile::clear;
        description.srtp_keys = media_->keys.empty() ? session_.keys : media_->keys;
        for (const std::uint8_t type : media_->payload_types) {
            auto mapping = mapping_of(type);
            if (!mapping) continue;
            if (const auto found = media_->parameters.find(type); found != media_->parameters.end())
                mapping->format = found->second;
            description.payloads.push_back(std::move(*mapping));
        }
        const bool held = media_->held.value_or(session_.held.value_or(false));
        for (const IpAddress& address : media_->addresses.empty() ? session_.addresses : media_->addresses) {
            if (descriptions_.size() >= kMaxDescriptions) return;
            description.endpoint = {address, media_->port};
            description.on_hold = held || address.is_unspecified();
            descriptions_.push_back(description);
        }
    }

    CallParty party_;
    Level session_;
    std::optional<Media> media_;
    std::vector<MediaDescription> descriptions_;
    bool version_seen_ = false;
};

}  // namespace

std::vector<MediaDescription> parse_sdp(std::string_view sdp, CallParty party) {
    SdpReader reader(party);
    while (!sdp.empty())
        if (!reader.read(take_line(sdp))) break;
    return reader.finish();
}

std::optional<PayloadMapping> static_payload(std::uint8_t payload_type) {
    const auto* known = std::find_if(kStaticPayloads.begin(), kStaticPayloads.end(), [&](const StaticPayload& payload) {
        return payload.payload_type == payload_type;
    });
    if (known == kStaticPayloads.end()) return std::nullopt;
    PayloadMapping mapping;
    mapping.payload_type = payload_type;
    mapping.encoding = known->encoding;
    mapping.clock_rate_hz = known->clock_rate_hz;
    mapping.channels = known->channels;
    return mapping;
}

}  // namespace spantape
