// SPDX-License-Identifier: AGPL-3.0-or-later
// Every RTP stream that the worker sees in a capture, as JSON: for the end-to-end tests, which compare it with what
// other software counts. A stream counts only once it is bound to a session, and RTP without SIP is never bound; so all
// of the capture's hosts are watched, as the API's calls would watch a device's address.
//   stream_census FILE HOST…        HOST: an IPv4 or IPv6 address
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "capture/worker.h"

namespace spantape {
namespace {

constexpr std::uint64_t kSession = 1;
constexpr std::size_t kRingBytes = 256u << 10;  // a burst of the largest packets fits
constexpr std::uint32_t kMaxStreams = 4096;

[[noreturn]] void give_up(const std::string& why) {
    fmt::print(stderr, "stream_census: {}\n", why);
    std::exit(1);
}

class Census {
public:
    explicit Census(const std::string& file)
        : links_(kMaxStreams, control_, signalling_),
          worker_({.max_streams = kMaxStreams, .ring_bytes = kRingBytes, .media_timeout_ns = 1000000 * kNsPerSecond},
                  open(file), links_) {}

    void watch(const IpAddress& host) {
        if (!links_.decisions.push({.kind = Decision::Kind::watch, .session = kSession, .endpoint = {host, 0}}))
            give_up("too many hosts");
    }
    void run() {
        while (!ended_) turn();
        if (!links_.decisions.push({.kind = Decision::Kind::end_session, .session = kSession})) give_up("no room");
        for (ended_ = false; !ended_;) turn();
    }
    void print() const {
        const char* between = "";
        fmt::print("{{\"streams\": [");
        for (const WorkerEvent& each : left_) {
            const auto frames = frames_.find(each.stream);
            fmt::print(
                "{}\n {{\"source\": \"{}\", \"destination\": \"{}\", \"ssrc\": {}, \"stored\": {}, \"frames\": {}, "
                "\"duplicates\": {}, \"lost\": {}, \"dropped_us\": {}}}",
                between, each.flow.source.to_string(), each.flow.destination.to_string(), each.flow.ssrc,
                each.counters.stored, frames == frames_.end() ? 0 : frames->second, each.counters.duplicates,
                each.counters.lost_before, each.counters.dropped_us);
            between = ",";
        }
        fmt::print("],\n \"packets\": {}}}\n", worker_.counters().packets.get());
    }

private:
    static std::vector<std::unique_ptr<Source>> open(const std::string& file) {
        auto sources = open_sources({"file:" + file}, {.pace = Pace::max});
        if (!sources) give_up(sources.error().message);
        return std::move(*sources);
    }
    void turn() {
        worker_.step();
        while (const auto handle = links_.writer.opened.pop()) open_.push_back(*handle);
        for (StreamHandle* handle : open_) drain(*handle);
        while (!links_.signalling.front().empty()) links_.signalling.pop();
        while (const auto event = links_.events.pop()) take(*event);
    }
    void drain(StreamHandle& handle) {
        for (auto record = handle.ring.front(); !record.empty(); record = handle.ring.front()) {
            RingRecord head;
            std::memcpy(&head, record.data(), sizeof head);
            if (head.kind == RingRecordKind::frame) ++frames_[handle.stream_id];
            handle.ring.pop();
        }
    }
    void take(const WorkerEvent& event) {
        if (event.kind == WorkerEvent::Kind::stream_left) left_.push_back(event);
        if (event.kind == WorkerEvent::Kind::source_ended || event.kind == WorkerEvent::Kind::session_ended)
            ended_ = true;
    }

    Wakeup control_;
    Wakeup signalling_;
    WorkerLinks links_;
    Worker worker_;
    bool ended_ = false;
    std::vector<StreamHandle*> open_;
    std::map<std::uint64_t, std::uint64_t> frames_;  // by stream: what is on the rings, whatever the counters say
    std::vector<WorkerEvent> left_;
};

}  // namespace
}  // namespace spantape

int main(int argc, char** argv) {
    using namespace spantape;
    if (argc < 2) give_up("which file?");
    Census census(argv[1]);
    for (int i = 2; i < argc; ++i) {
        const auto host = IpAddress::parse(argv[i]);
        if (!host) give_up(fmt::format("{} is no address", argv[i]));
        census.watch(*host);
    }
    census.run();
    census.print();
    return 0;
}
