// SPDX-License-Identifier: AGPL-3.0-or-later
// Load on the XML API of an appliance that runs, and what it answered: how many, how fast, whether all and in order.
// `echo` is the peer: a bare Asio server on one thread that sends back what it gets. Prints one JSON object.
#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "bench/load_client.h"

namespace spantape::bench {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kPatienceNs = 30 * kNsPerSecond;
constexpr std::size_t kDevices = 100;

struct Options {
    std::uint16_t port = 0, events_port = 0;
    std::size_t clients = 4, depth = 64;
    double seconds = 3, rate = 10'000;
    std::string kind = "test";
    bool echo = false;  // the other side is `echo`
    int pid = 0;        // of the appliance, whose memory is told
};

[[noreturn]] void die(const std::string& what) {
    fmt::print(stderr, "api_load: {}\n", what);
    std::exit(EXIT_FAILURE);
}

double seconds_of(std::int64_t ns) { return static_cast<double>(ns) / kNsPerSecond; }

// Sorts. Fraction 0.99: what 99 of 100 are not above.
double percentile_ms(std::vector<std::int64_t>& latencies_ns, double fraction) {
    if (latencies_ns.empty()) return 0;
    std::ranges::sort(latencies_ns);
    const auto at = static_cast<std::size_t>(fraction * static_cast<double>(latencies_ns.size() - 1));
    return static_cast<double>(latencies_ns[at]) / 1e6;
}

double resident_kib(int pid) {
    std::ifstream status(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
    return 0;
}

// --- requests and their answers

std::string device(std::size_t number) { return fmt::format("88{:04}", number % kDevices); }

void append_request(std::string& out, const std::string& kind, std::uint64_t number) {
    std::size_t which = number % 3;
    if (kind != "mix") which = kind == "test" ? 0 : kind == "status" ? 1 : 2;
    if (which == 0)
        fmt::format_to(std::back_inserter(out), "<REQUEST><TYPE>TEST</TYPE><REQUESTID>{}</REQUESTID></REQUEST>\r\n",
                       number);
    else if (which == 1)
        fmt::format_to(std::back_inserter(out),
                       "<REQUEST><TYPE>DEVICESTATUS</TYPE><REQUESTID>{}</REQUESTID><DEVICEID>{}</DEVICEID>"
                       "</REQUEST>\r\n",
                       number, device(number));
    else
        fmt::format_to(std::back_inserter(out),
                       "<REQUEST><TYPE>CALLUPDATE</TYPE><REQUESTID>{}</REQUESTID><DEVICEID>{}</DEVICEID>"
                       "<USER1>order {}</USER1></REQUEST>\r\n",
                       number, device(number), number);
}

// Counts answers, and those that are not what was asked for.
class Answers {
public:
    Answers(std::size_t clients, bool echo) : next_(clients), echo_(echo) {}

    void take(std::size_t client, std::string_view document) {
        ++count_;
        const std::string_view number = text_behind(document.substr(0, 200), "<REQUESTID>");
        if (number != fmt::format_int(next_[client]++).c_str()) ++wrong_order_;
        if (!echo_ && text_behind(document.substr(0, 200), "<RESULTTYPE>") != "API_OK") ++failures_;
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::string json() const {
        return fmt::format("\"answers\":{},\"wrong_order\":{},\"failures\":{}", count_, wrong_order_, failures_);
    }

private:
    std::vector<std::uint64_t> next_;  // REQUESTID by client
    const bool echo_;
    std::uint64_t count_ = 0, wrong_order_ = 0, failures_ = 0;
};

// Sends requests one after the other and waits for each answer.
void ask_in_turn(std::uint16_t port, const std::vector<std::string>& requests,
                 const std::function<void(std::string_view)>& answered) {
    LoadClients clients;
    clients.open(port, 1);
    for (const std::string& request : requests) {
        clients[0].send(request);
        for (bool done = false; !done;) {
            clients.turn(-1, [&](std::size_t, std::string_view document) {
                answered(document);
                done = true;
            });
            if (clients.closed() > 0) die("the appliance closed the connection");
        }
    }
}

void begin_calls(const Options& options) {
    if (options.echo || options.kind == "test") return;
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < kDevices; ++i)
        requests.push_back(
            fmt::format("<REQUEST><TYPE>CALLSTART</TYPE><REQUESTID>1</REQUESTID><DEVICEID>{}</DEVICEID>"
                        "<ANI>0123456789</ANI><GROUP>sales</GROUP></REQUEST>\r\n",
                        device(i)));
    ask_in_turn(options.port, requests, [](std::string_view document) {
        if (text_behind(document, "<RESULTTYPE>") != "API_OK") die("CALLSTART: " + std::string(document));
    });
}

// --- pipelined: as many requests as the appliance answers, so many outstanding on each connection

int pipelined(const Options& options) {
    begin_calls(options);
    LoadClients clients;
    clients.open(options.port, options.clients);
    Answers answers(options.clients, options.echo);
    std::vector<std::uint64_t> next(options.clients), owed(options.clients, options.depth);
    std::string text;
    const std::int64_t begin_ns = now_ns() + kNsPerSecond / 4;  // what comes before only warms up
    const std::int64_t end_ns = begin_ns + static_cast<std::int64_t>(options.seconds * kNsPerSecond);
    std::uint64_t before = 0;
    bool warm = false;
    while (true) {
        const std::int64_t now = now_ns();
        if (now >= end_ns) break;
        if (!warm && now >= begin_ns) {
            warm = true;
            before = answers.count();
        }
        for (std::size_t i = 0; i < options.clients; ++i) {
            if (owed[i] < options.depth / 2) continue;
            text.clear();
            for (; owed[i] > 0; --owed[i]) append_request(text, options.kind, next[i]++);
            clients[i].send(text);
        }
        clients.turn(now + kNsPerSecond / 10, [&](std::size_t client, std::string_view document) {
            answers.take(client, document);
            ++owed[client];
        });
        if (clients.closed() > 0) die("the appliance closed a connection");
    }
    const double rate = static_cast<double>(answers.count() - before) / options.seconds;
    fmt::print("{{\"requests_per_s\":{:.0f},{}}}\n", rate, answers.json());
    return EXIT_SUCCESS;
}

// --- paced: requests at their times, whether or not earlier ones are answered; latency runs from that time

int paced(const Options& options) {
    begin_calls(options);
    LoadClients clients;
    clients.open(options.port, options.clients);
    Answers answers(options.clients, options.echo);
    std::vector<std::uint64_t> next(options.clients);
    std::vector<std::deque<std::int64_t>> due_at(options.clients);
    std::vector<std::int64_t> latencies_ns, late_ns;
    const auto total = static_cast<std::uint64_t>(options.seconds * options.rate);
    const auto warm_up = static_cast<std::uint64_t>(options.rate / 4);
    std::string text;
    const std::int64_t begin_ns = now_ns();
    std::uint64_t sent = 0;
    for (std::int64_t now = begin_ns; answers.count() < total + warm_up; now = now_ns()) {
        for (; sent < total + warm_up; ++sent) {
            const auto due =
                begin_ns + static_cast<std::int64_t>(static_cast<double>(sent) * kNsPerSecond / options.rate);
            if (due > now) break;
            const std::size_t client = sent % options.clients;
            text.clear();
            append_request(text, options.kind, next[client]++);
            if (sent >= warm_up) late_ns.push_back(now - due);
            due_at[client].push_back(due);
            clients[client].send(text);
        }
        // Sleeps, so that the appliance's threads have the processors that the load does not need.
        const std::int64_t next_ns =
            begin_ns + static_cast<std::int64_t>(static_cast<double>(sent) * kNsPerSecond / options.rate);
        clients.turn(sent < total + warm_up ? next_ns : now + kNsPerSecond / 10,
                     [&](std::size_t client, std::string_view document) {
                         answers.take(client, document);
                         if (answers.count() > warm_up) latencies_ns.push_back(now_ns() - due_at[client].front());
                         due_at[client].pop_front();
                     });
        if (clients.closed() > 0) die("the appliance closed a connection");
        if (now - begin_ns > static_cast<std::int64_t>(options.seconds * kNsPerSecond) + kPatienceNs)
            die(fmt::format("{} of {} answers did not come", sent - answers.count(), sent));
    }
    fmt::print(
        "{{\"p50_ms\":{:.3f},\"p99_ms\":{:.3f},\"p999_ms\":{:.3f},\"max_ms\":{:.3f},\"sent_late_p99_ms\":{:.3f},"
        "{}}}\n",
        percentile_ms(latencies_ns, 0.5), percentile_ms(latencies_ns, 0.99), percentile_ms(latencies_ns, 0.999),
        percentile_ms(latencies_ns, 1), percentile_ms(late_ns, 0.99), answers.json());
    return EXIT_SUCCESS;
}

// --- events: CALLSTART and CALLSTOP in turn on one connection, and what every subscriber hears of them

struct Heard {
    std::uint64_t count = 0, wrong = 0;
};

// Event n is the start (even) or stop (odd) of call n / 2, whose number is in USER1.
bool is_event(std::string_view document, std::uint64_t number) {
    const std::string_view head = document.substr(0, 120);
    return text_behind(head, "<EVENTTYPE>") == (number % 2 == 0 ? "CALLSTART" : "CALLSTOP") &&
           text_behind(document, "<USER1>") == fmt::format_int(number / 2).c_str();
}

void append_event_request(std::string& out, std::uint64_t number) {
    fmt::format_to(std::back_inserter(out),
                   "<REQUEST><TYPE>{}</TYPE><REQUESTID>1</REQUESTID><DEVICEID>{}</DEVICEID><USER1>{}</USER1>"
                   "</REQUEST>\r\n",
                   number % 2 == 0 ? "CALLSTART" : "CALLSTOP", device(number / 2), number / 2);
}

int events(const Options& options) {
    LoadClients subscribers, source;
    subscribers.open(options.events_port, options.clients);
    source.open(options.port, 1);
    std::size_t accepted = 0, answered = 0;
    for (std::size_t i = 0; i < options.clients; ++i)
        subscribers[i].send(
            "<REQUEST><TYPE>EVENTS</TYPE><REQUESTID>5</REQUESTID><EVENTCLASS>CALL</EVENTCLASS>"
            "<EVENTVALUE></EVENTVALUE></REQUEST>\r\n");
    while (accepted < options.clients) {
        subscribers.turn(now_ns() + kNsPerSecond, [&](std::size_t, std::string_view document) {
            if (!document.starts_with("<RESULT>")) die("EVENTS: " + std::string(document));
            ++accepted;
        });
        if (subscribers.closed() > 0) die("the appliance closed a subscriber");
    }

    std::vector<Heard> heard(options.clients);
    const auto total = static_cast<std::uint64_t>(options.seconds * options.rate);
    std::vector<std::int64_t> sent_at, lags_ns;
    std::uint64_t all = 0;
    std::string text;
    const std::int64_t begin_ns = now_ns();
    std::int64_t last_ns = begin_ns, sent_ns = 0;
    while (all < total * options.clients && now_ns() - std::max(last_ns, begin_ns) < kPatienceNs / 3) {
        const std::int64_t now = now_ns();
        text.clear();
        const auto due = std::min(total, static_cast<std::uint64_t>(seconds_of(now - begin_ns) * options.rate) + 1);
        while (sent_at.size() < due) {
            append_event_request(text, sent_at.size());
            sent_at.push_back(now);
        }
        if (!text.empty()) source[0].send(text);
        if (due == total && sent_ns == 0) sent_ns = now;
        source.turn(0, [&](std::size_t, std::string_view document) {
            ++answered;
            if (text_behind(document, "<RESULTTYPE>") != "API_OK") die(std::string(document));
        });
        subscribers.turn(now + kNsPerSecond / 1000, [&](std::size_t subscriber, std::string_view document) {
            Heard& one = heard[subscriber];
            if (!is_event(document, one.count)) ++one.wrong;
            last_ns = now_ns();
            if (subscriber % 100 == 0 && one.count < sent_at.size()) lags_ns.push_back(last_ns - sent_at[one.count]);
            ++one.count;
            ++all;
        });
    }
    const auto complete = std::ranges::count_if(heard, [&](const Heard& one) { return one.count == total; });
    const auto in_order = std::ranges::count_if(heard, [](const Heard& one) { return one.wrong == 0; });
    fmt::print(
        "{{\"events\":{},\"subscribers\":{},\"complete\":{},\"in_order\":{},\"closed\":{},\"deliveries\":{},"
        "\"deliveries_per_s\":{:.0f},\"took_s\":{:.2f},\"behind_s\":{:.2f},\"lag_p50_ms\":{:.1f},"
        "\"lag_p99_ms\":{:.1f}}}\n",
        total, options.clients, complete, in_order, subscribers.closed(), all,
        static_cast<double>(all) / seconds_of(last_ns - begin_ns), seconds_of(last_ns - begin_ns),
        seconds_of(last_ns - sent_ns), percentile_ms(lags_ns, 0.5), percentile_ms(lags_ns, 0.99));
    return EXIT_SUCCESS;
}

// --- hold: many connections open at once, each of them served

int hold(const Options& options) {
    LoadClients clients;
    const double before_kib = resident_kib(options.pid);
    const std::int64_t begin_ns = now_ns();
    clients.open(options.port, options.clients);
    const std::int64_t opened_ns = now_ns();
    Answers answers(options.clients, options.echo);
    std::string text;
    std::int64_t round_ns = 0;
    constexpr std::uint64_t kRounds = 3;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
        const std::int64_t round_begin_ns = now_ns();
        text.clear();
        append_request(text, "test", round);
        for (std::size_t i = 0; i < options.clients; ++i)
            if (clients.open(i)) clients[i].send(text);
        while (answers.count() + clients.closed() < (round + 1) * options.clients &&
               now_ns() - round_begin_ns < kPatienceNs)
            clients.turn(now_ns() + kNsPerSecond,
                         [&](std::size_t client, std::string_view document) { answers.take(client, document); });
        round_ns = now_ns() - round_begin_ns;
    }
    const double kib = resident_kib(options.pid) - before_kib;
    fmt::print(
        "{{\"clients\":{},\"closed\":{},\"rounds\":{},\"opened_s\":{:.2f},\"round_s\":{:.3f},"
        "\"kib_a_client\":{:.2f},{}}}\n",
        options.clients, clients.closed(), kRounds, seconds_of(opened_ns - begin_ns), seconds_of(round_ns),
        kib / static_cast<double>(options.clients), answers.json());
    return EXIT_SUCCESS;
}

// --- ask: the requests of standard input in turn; how long each took, by its first word

int ask(const Options& options) {
    std::vector<std::string> labels, requests;
    for (std::string line; std::getline(std::cin, line);) {
        const std::size_t blank = line.find(' ');
        if (blank == std::string::npos) die("not 'LABEL REQUEST': " + line);
        labels.push_back(line.substr(0, blank));
        requests.push_back(line.substr(blank + 1) + "\r\n");
    }
    std::map<std::string, std::vector<std::int64_t>> latencies_ns;
    std::map<std::string, std::size_t> results;
    std::size_t at = 0;
    std::int64_t asked_ns = now_ns();
    ask_in_turn(options.port, requests, [&](std::string_view document) {
        const std::int64_t now = now_ns();
        latencies_ns[labels[at]].push_back(now - asked_ns);
        if (text_behind(document.substr(0, 200), "<RESULTTYPE>") != "API_OK") die(std::string(document));
        constexpr std::string_view kResult = "<SEARCHRESULT>";
        for (std::size_t from = document.find(kResult); from != std::string_view::npos;
             from = document.find(kResult, from + kResult.size()))
            ++results[labels[at]];
        ++at;
        asked_ns = now_ns();
    });
    fmt::print("{{");
    for (bool first = true; auto& [label, times] : latencies_ns)
        fmt::print("{}\"{}\":{{\"count\":{},\"results\":{},\"p50_ms\":{:.3f},\"p99_ms\":{:.3f},\"max_ms\":{:.3f}}}",
                   std::exchange(first, false) ? "" : ",", label, times.size(), results[label],
                   percentile_ms(times, 0.5), percentile_ms(times, 0.99), percentile_ms(times, 1));
    fmt::print("}}\n");
    return EXIT_SUCCESS;
}

// --- echo: the peer

class Echo : public std::enable_shared_from_this<Echo> {
public:
    explicit Echo(boost::asio::ip::tcp::socket&& socket) : socket_(std::move(socket)), bytes_(64u << 10) {
        socket_.set_option(boost::asio::ip::tcp::no_delay(true));
    }
    void read() {
        socket_.async_read_some(boost::asio::buffer(bytes_),
                                [self = shared_from_this()](const boost::system::error_code& error, std::size_t count) {
                                    if (!error) self->write(count);
                                });
    }

private:
    void write(std::size_t count) {
        boost::asio::async_write(socket_, boost::asio::buffer(bytes_.data(), count),
                                 [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                                     if (!error) self->read();
                                 });
    }

    boost::asio::ip::tcp::socket socket_;
    std::vector<char> bytes_;
};

int echo() {
    boost::asio::io_context context{1};
    using boost::asio::ip::tcp;
    tcp::acceptor acceptor(context, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    std::function<void()> accept = [&] {
        acceptor.async_accept([&](const boost::system::error_code& error, tcp::socket socket) {
            if (!error) std::make_shared<Echo>(std::move(socket))->read();
            accept();
        });
    };
    accept();
    fmt::print("ready xml=127.0.0.1:{}\n", acceptor.local_endpoint().port());
    std::fflush(stdout);
    context.run();
    return EXIT_SUCCESS;
}

void raise_open_files() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace spantape::bench

int main(int argc, char** argv) {
    using namespace spantape::bench;
    Options options;
    CLI::App app{"Load on the XML API; prints one JSON object."};
    app.require_subcommand(1);
    std::vector<std::pair<CLI::App*, int (*)(const Options&)>> commands;
    const auto add = [&](const char* name, const char* what, int (*run)(const Options&)) {
        CLI::App* command = app.add_subcommand(name, what);
        command->add_option("--port", options.port, "XML API")->required();
        command->add_option("--clients", options.clients, "Connections")->capture_default_str();
        command->add_option("--seconds", options.seconds)->capture_default_str();
        command->add_option("--kind", options.kind)->check(CLI::IsMember({"test", "status", "update", "mix"}));
        command->add_flag("--echo", options.echo, "The other side is `api_load echo`");
        commands.emplace_back(command, run);
        return command;
    };
    add("pipelined", "As many requests as are answered", pipelined)
        ->add_option("--depth", options.depth, "Requests outstanding on a connection");
    add("paced", "Requests at their times", paced)->add_option("--rate", options.rate, "A second");
    CLI::App* events_command = add("events", "Events to --clients subscribers", events);
    events_command->add_option("--rate", options.rate, "Events a second");
    events_command->add_option("--events-port", options.events_port)->required();
    add("hold", "Connections open at once", hold)->add_option("--pid", options.pid, "Of the appliance");
    add("ask", "The lines 'LABEL REQUEST' of standard input in turn", ask);
    CLI::App* echo_command = app.add_subcommand("echo", "The peer: prints its port, sends back what it gets");
    CLI11_PARSE(app, argc, argv);
    raise_open_files();
    if (echo_command->parsed()) return echo();
    for (const auto& [command, run] : commands)
        if (command->parsed()) return run(options);
    return EXIT_FAILURE;
}
