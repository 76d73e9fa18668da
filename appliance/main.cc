// SPDX-License-Identifier: AGPL-3.0-or-later
// spantaped: configuration, log, signals; then the appliance until it is told to stop.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "api/protocol/tls_certificate.h"
#include "appliance/appliance.h"
#include "appliance/configuration.h"
#include "capture/base/open_files.h"

namespace spantape {
namespace {

constexpr int kWrongConfiguration = 2;

// For machines: one JSON object a line.
std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += '\\', out += c;
        else if (static_cast<unsigned char>(c) < 0x20)
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + "\"";
}

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warning:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

void set_up_log(const Configuration::Log& log) {
    auto logger = spdlog::stderr_logger_mt("spantaped");
    logger->set_pattern(log.format == LogFormat::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%v})"
                                                      : "%Y-%m-%d %H:%M:%S.%e %l %v");
    logger->set_level(level_of(log.level));
    spdlog::set_default_logger(std::move(logger));
}

// "name=value" as two; the checks of the keys saw to it.
std::pair<std::string, std::string> parts_of(const std::string& text) {
    const std::size_t equals = text.find('=');
    return {text.substr(0, equals), text.substr(equals + 1)};
}

Directory::Base directory_base(const Configuration::Directory& directory) {
    Directory::Base base;
    for (const auto& text : directory.terminology) base.terms.insert(parts_of(text));
    for (const auto& [texts, places] :
         {std::pair(&directory.locations, &base.locations), std::pair(&directory.sites, &base.sites)})
        for (const auto& text : *texts) (*places)[std::stoi(text)] = parts_of(text).second;
    return base;
}

ApplianceOptions options_from(const Configuration& configuration) {
    ApplianceOptions options;
    options.core_id = configuration.core.id;
    options.sources = configuration.capture.sources;
    options.workers = configuration.capture.workers;
    options.cpus = configuration.capture.cpus;
    options.pace = configuration.capture.pace;
    options.exit_at_end = configuration.capture.exit_at_end;
    options.max_streams = configuration.streams_per_worker();
    options.ring_bytes = std::size_t{configuration.capture.ring_kib} << 10;
    options.dpdk = {configuration.capture.dpdk_huge, configuration.capture.dpdk_memory_mib,
                    configuration.capture.dpdk_eal};
    options.sip_ports = configuration.sip.ports;
    options.media_timeout_ns =
        static_cast<TimeNs>(configuration.sip.media_timeout_s * static_cast<double>(kNsPerSecond));
    options.device_match = configuration.devices.match;
    options.channels = configuration.recording.channels;
    options.record_unanswered = configuration.recording.unanswered;
    options.record_unsignalled = configuration.recording.unsignalled;
    options.hold_back_ns = static_cast<TimeNs>(configuration.recording.hold_back_s * static_cast<double>(kNsPerSecond));
    options.mask_dtmf = configuration.recording.mask_dtmf;
    options.silence_dbov = configuration.recording.silence_level_dbov;
    options.blackout_limit_ns =
        static_cast<TimeNs>(configuration.recording.blackout_limit_s * static_cast<double>(kNsPerSecond));
    options.store = configuration.storage.path;
    options.encrypt = configuration.storage.encrypt;
    options.master_key = configuration.storage.master_key;
    options.keep_days = static_cast<std::int32_t>(configuration.recording.keep_days);
    options.archive_action = configuration.recording.archive_action;
    options.reserve_percent = configuration.storage.reserve_percent;
    options.flush_ns = static_cast<TimeNs>(configuration.storage.flush_s * static_cast<double>(kNsPerSecond));
    options.segment_bytes = std::uint64_t{configuration.storage.segment_mib} << 20;
    options.directory = directory_base(configuration.directory);
    options.directory.schedule = configuration.schedule;
    for (const ArchiveAction& action : configuration.archive) options.directory.archive_actions[action.number] = action;
    options.users_dialect = configuration.api.dialect == ApiDialect::users;
    options.servers.xml = configuration.api.xml;
    options.servers.events = configuration.api.events;
    options.servers.webapi = configuration.webapi.listen;
    options.servers.webapi_tls = configuration.webapi.tls;
    options.servers.certificate = configuration.webapi.cert;
    options.servers.key = configuration.webapi.key;
    options.servers.allow = configuration.api.allow;
    options.servers.max_clients = configuration.api.max_clients;
    options.servers.event_backlog = configuration.api.event_backlog;
    options.servers.result_type_error = configuration.api.result_type == ResultTypeText::error;
    options.servers.xml_tls = configuration.api.xml_tls;
    options.servers.client_ca = configuration.api.client_ca;
    options.access = {.web_users = configuration.webapi.users,
                      .unnamed = {configuration.api.unnamed.begin(), configuration.api.unnamed.end()},
                      .requests_per_s = configuration.api.rate};
    options.agent_blackout = configuration.api.agent_blackout;
    options.vox = configuration.exports.vox;
    options.mail = {.url = configuration.mail.server,
                    .user = configuration.mail.user,
                    .password = {},
                    .from = configuration.mail.from,
                    .require_tls = configuration.mail.require_tls,
                    .ca_file = configuration.mail.ca_file};
    options.mail_retry_ns = static_cast<TimeNs>(configuration.mail.retry_s * static_cast<double>(kNsPerSecond));
    return options;
}

Result<> read_mail_password(const Configuration& configuration, ApplianceOptions& options) {
    const std::string& path = configuration.mail.password_file;
    if (path.empty()) return {};
    std::ifstream file(path);
    if (!std::getline(file, options.mail.password)) return fail("mail.password_file: {} cannot be read", path);
    return {};
}

// webapi.cert and webapi.key empty: a certificate of our own beside the store, made at the first start.
Result<> provide_certificate(ApplianceOptions& options) {
    if ((options.servers.webapi_tls.empty() && options.servers.xml_tls.empty()) || !options.servers.certificate.empty())
        return {};
    std::error_code error;
    std::filesystem::create_directories(options.store, error);
    if (error) return fail("storage.path {}: {}", options.store, error.message());
    options.servers.certificate = options.store + "/webapi.crt";
    options.servers.key = options.store + "/webapi.key";
    return api::ensure_certificate(options.servers.certificate, options.servers.key);
}

// sd_notify(3)'s protocol, without its library: one datagram to the socket that systemd names.
void notify_systemd(const char* state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || *path == '\0') return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string_view name(path);
    if (name.size() >= sizeof address.sun_path) return;
    std::copy(name.begin(), name.end(), address.sun_path);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    sendto(socket, state, std::string_view(state).size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
           length);
    close(socket);
}

// Waits for signals on a thread of its own; every other thread has them blocked.
class Signals {
public:
    Signals() {
        sigemptyset(&set_);
        for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set_, number);
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        std::signal(SIGPIPE, SIG_IGN);
    }
    void watch(std::function<void()> stop, std::function<void()> reload) {
        thread_ = std::thread([this, stop = std::move(stop), reload = std::move(reload)] {
            for (int number = 0; sigwait(&set_, &number) == 0;) {
                if (number == SIGUSR2) return;  // from finish()
                if (number == SIGHUP)
                    reload();
                else
                    stop();
            }
        });
    }
    void finish() {
        if (!thread_.joinable()) return;
        pthread_kill(thread_.native_handle(), SIGUSR2);
        thread_.join();
    }

private:
    sigset_t set_{};
    std::thread thread_;
};

int serve(Configuration configuration, const std::string& path, const std::vector<std::string>& overrides) {
    raise_open_files_limit();
    set_up_log(configuration.log);
    if (!configuration.api.timezone.empty()) {
        setenv("TZ", configuration.api.timezone.c_str(), 1);
        tzset();
    }
    Signals signals;  // before any other thread is made
    ApplianceOptions options = options_from(configuration);
    const bool json = configuration.log.format == LogFormat::json;
    options.log = [json](const char* level, const std::string& line) {
        const auto severity = std::string_view(level) == "error"     ? spdlog::level::err
                              : std::string_view(level) == "warning" ? spdlog::level::warn
                                                                     : spdlog::level::info;
        spdlog::log(severity, "{}", json ? json_string(line) : line);
    };
    options.servers.log = [log = options.log](const std::string& line) { log("warning", line); };
    const auto report = [&](const std::string& line) { options.log("error", line); };
    if (auto read = read_mail_password(configuration, options); !read)
        return report(read.error().message), EXIT_FAILURE;
    if (auto made = provide_certificate(options); !made) return report(made.error().message), EXIT_FAILURE;
    auto appliance = Appliance::start(options);
    if (!appliance) return report(appliance.error().message), EXIT_FAILURE;

    signals.watch([&] { (*appliance)->request_stop(); },
                  [&] {
                      auto again = load_configuration(path, overrides);
                      if (!again) {
                          (*appliance)->note("configuration_reload", "refused");
                          return report("SIGHUP: nothing changed: " + again.error().message);
                      }
                      spdlog::set_level(level_of(again->log.level));
                      (*appliance)->set_archive_actions(again->archive, again->recording.archive_action);
                      (*appliance)->set_schedule(again->schedule);
                      (*appliance)->reload_certificates();
                      const std::string taken = "log.level, archive actions, schedule and TLS files taken over";
                      (*appliance)->note("configuration_reload", taken);
                      options.log("info", fmt::format("SIGHUP: {}; other keys need a restart", taken));
                  });
    fmt::print("ready {}\n", (*appliance)->addresses());
    std::fflush(stdout);
    notify_systemd("READY=1");
    const auto ended = (*appliance)->run();
    notify_systemd("STOPPING=1");
    signals.finish();
    if (!ended) return report(ended.error().message), EXIT_FAILURE;
    return EXIT_SUCCESS;
}

}  // namespace
}  // namespace spantape

int main(int argc, char** argv) {
    CLI::App app{
        "Spantape: records the calls on a SPAN port and serves them by the XML API, the WebAPI and events.\n"
        "Prints one line, \"ready xml=… events=… webapi=… tls=…\", when it serves. SIGTERM or SIGINT: ends recordings\n"
        "orderly and exits 0. SIGHUP: takes log.level, archive actions and the schedule over and reads the TLS\n"
        "files again. A wrong configuration: exit 2."};
    std::string path;
    std::vector<std::string> overrides;
    bool check = false;
    app.add_option("--config", path, "TOML file; appliance/spantape.toml documents every key (none: all defaults)");
    app.add_option("--set", overrides, "section.key=value: overrides one key of the file; may be repeated")
        ->allow_extra_args(false);
    app.add_flag("--check", check, "only check the configuration: exit 0 or 2");
    app.set_version_flag("--version", std::string("spantaped ") + SPANTAPE_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return code == 0 ? 0 : spantape::kWrongConfiguration;
    }
    auto configuration = spantape::load_configuration(path, overrides);
    if (!configuration) {
        fmt::print(stderr, "{}\n", configuration.error().message);
        return spantape::kWrongConfiguration;
    }
    if (check) return 0;
    return spantape::serve(std::move(*configuration), path, overrides);
}
