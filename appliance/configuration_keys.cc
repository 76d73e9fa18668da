// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/configuration_keys.h"

#include <algorithm>
#include <type_traits>

#include "appliance/configuration_checks.h"

namespace spantape {

namespace {

using C = Configuration;

// The reference to one member of one section, for const and other Configurations alike.
template <auto kSection, auto kMember, class Any>
auto& at(Any& configuration) {
    return configuration.*kSection.*kMember;
}
template <auto kSection, auto kMember>
using Value = std::remove_cvref_t<decltype(at<kSection, kMember>(std::declval<C&>()))>;

template <auto kSection, auto kMember>
constexpr IntegerKey integer(std::int64_t min, std::int64_t max, bool power_of_two = false) {
    return {[](C& c, std::int64_t value) { at<kSection, kMember>(c) = static_cast<Value<kSection, kMember>>(value); },
            [](const C& c) { return static_cast<std::int64_t>(at<kSection, kMember>(c)); }, min, max, power_of_two};
}

template <auto kSection, auto kMember>
constexpr NumberKey number(double min, double max) {
    return {[](C& c, double value) { at<kSection, kMember>(c) = value; },
            [](const C& c) { return at<kSection, kMember>(c); }, min, max};
}

template <auto kSection, auto kMember>
constexpr FlagKey flag() {
    return {[](C& c, bool value) { at<kSection, kMember>(c) = value; },
            [](const C& c) { return at<kSection, kMember>(c); }};
}

template <auto kSection, auto kMember>
constexpr TextKey text(Result<> (*check)(const std::string&)) {
    return {[](C& c, std::string value) { at<kSection, kMember>(c) = std::move(value); },
            [](const C& c) { return at<kSection, kMember>(c); }, check};
}

// For enumerations whose values are the positions of their names.
template <auto kSection, auto kMember>
constexpr ChoiceKey choice(std::span<const std::string_view> names) {
    return {
        [](C& c, std::size_t position) { at<kSection, kMember>(c) = static_cast<Value<kSection, kMember>>(position); },
        [](const C& c) { return static_cast<std::size_t>(at<kSection, kMember>(c)); }, names};
}

template <auto kSection, auto kMember>
constexpr IntegersKey integers(std::int64_t min, std::int64_t max) {
    return {[](C& c, const std::vector<std::int64_t>& values) {
                auto& member = at<kSection, kMember>(c);
                member.clear();
                for (const std::int64_t value : values)
                    member.push_back(static_cast<typename Value<kSection, kMember>::value_type>(value));
            },
            [](const C& c) {
                const auto& member = at<kSection, kMember>(c);
                return std::vector<std::int64_t>(member.begin(), member.end());
            },
            min, max};
}

template <auto kSection, auto kMember>
constexpr TextsKey texts(Result<> (*check)(const std::string&)) {
    return {[](C& c, std::vector<std::string> values) { at<kSection, kMember>(c) = std::move(values); },
            [](const C& c) { return at<kSection, kMember>(c); }, check};
}

constexpr std::string_view kPaces[] = {"realtime", "max"};
constexpr std::string_view kHuge[] = {"auto", "always", "never"};
constexpr std::string_view kResultTypes[] = {"label", "error"};
constexpr std::string_view kVoxCodings[] = {"adpcm", "mulaw"};
constexpr std::string_view kDialects[] = {"5.3", "5.x-users"};
constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};
constexpr std::string_view kFormats[] = {"text", "json"};

constexpr ConfigurationKey kKeys[] = {
    {"core", "id", integer<&C::core, &C::Core::id>(1, 9999),
     "Number of this recorder: the first four digits of GLOBALCALLID, and named in answers."},

    {"capture", "sources", texts<&C::capture, &C::Capture::sources>(check_source),
     "Where packets come from, several at once: pcap:INTERFACE, file:PATH (pcap, pcapng), dpdk:DEVICE (a PCI address "
     "such as 0000:3b:00.0, or a software port such as net_af_packet0,iface=eth1)."},
    {"capture", "workers", integer<&C::capture, &C::Capture::workers>(1, 64),
     "Threads that take packets; live interfaces are shared among them by call."},
    {"capture", "cpus", integers<&C::capture, &C::Capture::cpus>(0, 4095),
     "CPUs to pin the workers to, one for each; empty: not pinned."},
    {"capture", "pace", choice<&C::capture, &C::Capture::pace>(kPaces),
     "How fast files are read: by their time stamps, or as fast as they can be stored."},
    {"capture", "exit_at_end", flag<&C::capture, &C::Capture::exit_at_end>(),
     "For files: end the daemon when all are read and stored."},
    {"capture", "max_streams", integer<&C::capture, &C::Capture::max_streams>(0, 4'194'304),
     "RTP streams that a worker follows at once; 0: four times recording.channels plus 4096."},
    {"capture", "ring_kib", integer<&C::capture, &C::Capture::ring_kib>(1, 1024, true),
     "Memory of one stream between worker and disk, KiB; 16 hold about a second and a half of G.711."},
    {"capture", "dpdk_huge", choice<&C::capture, &C::Capture::dpdk_huge>(kHuge),
     "Huge pages for DPDK: where dpdk_memory_mib of them are free, or else not to start, or not at all. Without them "
     "software ports work, and cards behind an IOMMU."},
    {"capture", "dpdk_memory_mib", integer<&C::capture, &C::Capture::dpdk_memory_mib>(32, 1'048'576),
     "Memory for DPDK, MiB: all that it gets without huge pages; with them, what must be free. A port takes 10 MiB a "
     "queue."},
    {"capture", "dpdk_eal", texts<&C::capture, &C::Capture::dpdk_eal>(check_not_empty),
     "Further arguments of DPDK's EAL, such as \"--iova-mode=va\"."},

    {"sip", "ports", integers<&C::sip, &C::Sip::ports>(1, 65535),
     "Ports of SIP. On other ports, packets that begin like SIP are taken for it as well."},
    {"sip", "media_timeout", number<&C::sip, &C::Sip::media_timeout_s>(0.1, 86'400),
     "A call whose BYE never comes ends when its media has been silent so long, seconds."},

    {"devices", "match", texts<&C::devices, &C::Devices::match>(check_regex),
     "Which SIP users are phones of ours: regular expressions for the whole user part, such as \"2\\\\d{3}\". Empty: "
     "every call is recorded once, on the called user."},

    {"recording", "channels", integer<&C::recording, &C::RecordingSection::channels>(1, 100'000),
     "Recordings at once."},
    {"recording", "unanswered", flag<&C::recording, &C::RecordingSection::unanswered>(),
     "Keep the early media of calls that were never answered."},
    {"recording", "unsignalled", flag<&C::recording, &C::RecordingSection::unsignalled>(),
     "Record also what no signalling explains, from the fourth second on: media to or from the address of a phone that "
     "is known (by its REGISTER; with devices.match, by its calls too)."},
    {"recording", "keep_days", integer<&C::recording, &C::RecordingSection::keep_days>(0, 36'500),
     "Days after which a recording is purged that names no KEEPDAYS; 0: never. Locked ones never are."},
    {"recording", "hold_back", number<&C::recording, &C::RecordingSection::hold_back_s>(0, 300),
     "The newest seconds of audio are kept in memory only, so that a retroactive blackout within them never touched a "
     "disk; a crash costs so much more. capture.ring_kib is raised to the power of two that holds them and 2 s more at "
     "12.8 KB/s: 5 take 128 KiB a stream, 60 take 1 MiB."},
    {"recording", "blackout_limit", number<&C::recording, &C::RecordingSection::blackout_limit_s>(0, 86'400),
     "Seconds after which a blackout ends whose stop never came; 0: never."},
    {"recording", "silence_level", number<&C::recording, &C::RecordingSection::silence_level_dbov>(-90, -10),
     "Level, in dB of full scale, below which audio is silence for MAXRECORDSILENCE. Told of G.711, L16 and comfort "
     "noise; other codecs count as sound."},
    {"recording", "mask_dtmf", flag<&C::recording, &C::RecordingSection::mask_dtmf>(),
     "Leave out the digits that are keyed: telephone events, and the frames of G.711 and L16 that carry DTMF tones."},
    {"recording", "archive_action", integer<&C::recording, &C::RecordingSection::archive_action>(-1, INT64_MAX),
     "Archive action of recordings that name no ARCHIVEACTION, also of those there are already: the number of an "
     "[[archive]]; 0 or -1: they are not archived."},

    {"storage", "path", text<&C::storage, &C::Storage::path>(check_not_empty),
     "Directory of the store: segments and index."},
    {"storage", "flush", number<&C::storage, &C::Storage::flush_s>(0.05, 60),
     "Seconds of audio that a crash may cost at most."},
    {"storage", "segment_mib", integer<&C::storage, &C::Storage::segment_mib>(2, 4096),
     "MiB of a segment file; so much is allocated at once. Smaller ones suit a small disk."},
    {"storage", "encrypt", flag<&C::storage, &C::Storage::encrypt>(),
     "Encrypt the audio on disk, each stream under a key of its own."},
    {"storage", "master_key", text<&C::storage, &C::Storage::master_key>(check_any),
     "File of the key that wraps all others; made at the first start. Empty: master.key in the store. Keep a copy "
     "elsewhere: without it there is no audio."},
    {"storage", "reserve", number<&C::storage, &C::Storage::reserve_percent>(0, 50),
     "Per cent of the disk to keep free: below it only recordings with a PRIORITY above 0 begin, below half of it "
     "none. "
     "What runs is finished."},

    {"api", "xml", text<&C::api, &C::Api::xml>(check_listener),
     "Address and port of the XML API; port 0: any free one; \"\": off."},
    {"api", "events", text<&C::api, &C::Api::events>(check_listener),
     "Address and port of the event stream; port 0: any free one; \"\": off."},
    {"api", "max_clients", integer<&C::api, &C::Api::max_clients>(1, 1'000'000),
     "Connections at once; one more is answered API_TOO_MANY_CLIENTS and closed."},
    {"api", "allow", texts<&C::api, &C::Api::allow>(check_network),
     "Networks and addresses that may connect, to the WebAPI too; others are closed at once."},
    {"api", "event_backlog", integer<&C::api, &C::Api::event_backlog>(1, 10'000'000),
     "Events that may wait for a slow subscriber before it is cut off."},
    {"api", "result_type", choice<&C::api, &C::Api::result_type>(kResultTypes),
     "RESULTTYPE of errors: the label of their code, or the word ERROR."},
    {"api", "dialect", choice<&C::api, &C::Api::dialect>(kDialects),
     "How IMPORTUSER lists users: AGENTS as the manual 5.3 says, or USERS as some 5.x servers do."},
    {"api", "timezone", text<&C::api, &C::Api::timezone>(check_timezone),
     "Time zone of the times in answers, such as \"Europe/Vienna\"; \"\": the system's."},

    {"api", "xml_tls", text<&C::api, &C::Api::xml_tls>(check_listener),
     "Address and port of the XML API and the event stream over TLS, such as \"127.0.0.1:5622\"; \"\": off."},
    {"api", "client_ca", text<&C::api, &C::Api::client_ca>(check_any),
     "PEM file of certificate authorities: TLS clients must show a certificate of theirs. Whose common name is a "
     "USERNAME of the directory has that user's rights. \"\": they need none."},
    {"api", "unnamed", texts<&C::api, &C::Api::unnamed>(check_function_class),
     "What clients that are no users of the directory may do: classes of functions, as `spantape functions` names "
     "them."},
    {"api", "agent_blackout", flag<&C::api, &C::Api::agent_blackout>(),
     "AGENTBLACKOUTSTART and AGENTBLACKOUTSTOP; without them a blackout is of one call."},
    {"api", "rate", number<&C::api, &C::Api::rate>(0, 1'000'000),
     "Requests a second that one address may send; what is more is answered API_COMMAND_QUEUE_FULL. 0: any number."},

    {"webapi", "listen", text<&C::webapi, &C::WebApi::listen>(check_listener),
     "Address and port of the WebAPI (HTTP); port 0: any free one; \"\": off."},
    {"webapi", "tls", text<&C::webapi, &C::WebApi::tls>(check_listener),
     "Address and port of the WebAPI over TLS (HTTPS); port 0: any free one; \"\": off."},
    {"webapi", "cert", text<&C::webapi, &C::WebApi::cert>(check_any),
     "PEM file of the TLS certificate and its chain; \"\": one of our own, made at the first start."},
    {"webapi", "key", text<&C::webapi, &C::WebApi::key>(check_any), "PEM file of its private key; with cert, or \"\"."},
    {"webapi", "users", flag<&C::webapi, &C::WebApi::users>(),
     "The WebAPI and /metrics are for users of the directory alone: HTTP Basic with USERNAME and PASSWORD of "
     "IMPORTUSER, or a Bearer token of USERTOKEN. What they may do their roles say (MODIFYUSERROLE, ROLECLASSES)."},

    {"export", "vox", choice<&C::exports, &C::ExportSection::vox>(kVoxCodings),
     "What MEDIA_FORMAT VOX is: Dialogic's ADPCM of 4 bits, or mu-law of 8 bits; both of 8 kHz, one channel, no "
     "header."},

    {"mail", "server", text<&C::mail, &C::MailSection::server>(check_mail_server),
     "The server that EMAIL and COMBINEDEMAIL send through, such as \"smtp://mail.example.com:587\" or "
     "\"smtps://mail.example.com\"; \"\": none, they are refused."},
    {"mail", "user", text<&C::mail, &C::MailSection::user>(check_any), "Name to log in with; \"\": without login."},
    {"mail", "password_file", text<&C::mail, &C::MailSection::password_file>(check_any),
     "File whose first line is the password."},
    {"mail", "from", text<&C::mail, &C::MailSection::from>(check_mail_address),
     "Sender of mails that name no FROMADDRESS."},
    {"mail", "require_tls", flag<&C::mail, &C::MailSection::require_tls>(),
     "Send nothing over smtp:// to a server that does not offer STARTTLS. Where it is offered it is used, and its "
     "certificate checked."},
    {"mail", "ca_file", text<&C::mail, &C::MailSection::ca_file>(check_any),
     "PEM file of the authorities that the server's certificate may come from; \"\": the system's."},
    {"mail", "retry", number<&C::mail, &C::MailSection::retry_s>(0.1, 86'400),
     "Seconds until a mail that the server wants later is sent again; doubles up to an hour, for three days."},

    {"directory", "terminology", texts<&C::directory, &C::Directory::terminology>(check_term),
     "What FETCHTERMINOLOGY answers, each \"name=value\"; `spantape terminology` changes it without a restart."},
    {"directory", "locations", texts<&C::directory, &C::Directory::locations>(check_place),
     "The LOCATIONIDs of IMPORTWORKSTATION, each \"number=name\"; LOCATIONSET adds more."},
    {"directory", "sites", texts<&C::directory, &C::Directory::sites>(check_place),
     "The SITEIDs of IMPORTUSER, each \"number=name\"; SITESET adds more."},

    {"log", "level", choice<&C::log, &C::Log::level>(kLevels), "The least important lines to be logged."},
    {"log", "format", choice<&C::log, &C::Log::format>(kFormats),
     "Lines for people, or one JSON object a line for machines."},
};

}  // namespace

std::span<const ConfigurationKey> configuration_keys() { return kKeys; }

const ConfigurationKey* find_configuration_key(std::string_view section, std::string_view name) {
    const auto* found = std::ranges::find_if(
        kKeys, [&](const ConfigurationKey& key) { return key.section == section && key.name == name; });
    return found == std::end(kKeys) ? nullptr : found;
}

bool is_configuration_section(std::string_view name) {
    return std::ranges::find(kKeys, name, &ConfigurationKey::section) != std::end(kKeys);
}

}  // namespace spantape
