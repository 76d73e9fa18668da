// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tests/api/protocol/test_appliance.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

namespace spantape::api::test {
namespace {

std::size_t number(const Request& request, std::string_view name, std::size_t otherwise) {
    const auto text = request.find(name);
    return text ? std::stoul(std::string(*text)) : otherwise;
}

Reply file_reply(FakeFunctions& functions, const Request& request) {
    const std::size_t total = number(request, "BYTES", 0);
    const std::size_t piece = number(request, "PIECE", 4096);
    const std::size_t fail_after = number(request, "FAILAFTER", SIZE_MAX);
    Reply reply;
    reply.file = FileAnswer{"audio/wav", std::string(request.text("NAME")), total, {}};
    reply.file->read = [&functions, total, piece, fail_after, at = std::size_t{0}]() mutable -> Result<std::string> {
        ++functions.pieces_read;
        if (at >= fail_after) return fail("the disk is gone");
        std::string bytes(std::min(piece, total - at), '\0');
        for (char& byte : bytes) byte = static_cast<char>('a' + at++ % 23);
        return bytes;
    };
    return reply;
}

Reply events_reply(const Request& request) {
    Reply reply;
    reply.subscription = {std::string(request.text("EVENTCLASS")), std::string(request.text("EVENTVALUE"))};
    reply.body = {{"EVENTXREF", request.request_id_text, {}}, {"EVENTCLASS", "ALL", {}}, {"EVENTTYPE", "", {}}};
    return reply;
}

}  // namespace

void FakeFunctions::handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) {
    last_was_web = client.web;
    ++handled;
    if (request.type == "HOLD") return held.push_back(std::move(done));
    if (request.type == "FILE") return done(file_reply(*this, request));
    if (request.type == "EVENTS") return done(events_reply(request));
    Reply reply;
    if (request.type == "BIG") {
        reply.body.push_back({"BULK", std::string(number(request, "BYTES", 0), 'x'), {}});
    } else if (request.type == "PUBLISH") {
        const auto count = static_cast<int>(number(request, "COUNT", 1));
        for (int i = 0; i < count; ++i) {
            servers->publish(make_event("CALL", "CALLSTART", std::string(request.text("DEVICEID")), i));
        }
    } else if (request.type == "TEST") {
        for (const auto& [name, value] : request.parameters) reply.body.push_back({name, value, {}});
    } else {
        reply.code = ResultCode::API_UNKNOWN_MESSAGE_TYPE;
    }
    done(std::move(reply));
}

Event make_event(const std::string& event_class, const std::string& type, const std::string& device_id, int number) {
    return {event_class, type, "Api", device_id, {{"DEVICEID", device_id, {}}, {"NUMBER", std::to_string(number), {}}}};
}

TestAppliance::TestAppliance(ServerOptions options) {
    for (std::string* listener : {&options.xml, &options.events, &options.webapi, &options.webapi_tls}) {
        if (!listener->empty()) *listener = "127.0.0.1:0";
    }
    if (options.certificate.empty()) options.webapi_tls.clear();
    options.log = [this](const std::string& line) { log_.push_back(line); };
    auto started = Servers::start(control_, pool_, options, functions_);
    if (!started) {
        fmt::print(stderr, "{}\n", started.error().message);
        std::abort();
    }
    servers_ = std::move(*started);
    functions_.servers = servers_.get();
    addresses_ = servers_->addresses();
    thread_ = std::thread([this] {
        const auto guard = boost::asio::make_work_guard(control_);
        control_.run();
    });
}

TestAppliance::~TestAppliance() {
    control_.stop();
    thread_.join();
    servers_.reset();
    pool_.join();
}

int TestAppliance::port(const std::string& listener) const {
    const auto at = (" " + addresses_).find(" " + listener + "=");
    return std::stoi(addresses_.substr(addresses_.find(':', at) + 1));
}

void TestAppliance::on_control(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(control_, [&] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void TestAppliance::publish(const Event& event) {
    on_control([&] { servers_->publish(event); });
}

ServerCounters TestAppliance::counters() {
    ServerCounters counters;
    on_control([&] { counters = servers_->counters(); });
    return counters;
}

void TestAppliance::release(std::size_t index, const std::string& message) {
    on_control([&] { functions_.held[index]({ResultCode::API_OK, message, {}, {}, {}}); });
}

bool TestAppliance::eventually(const std::function<bool()>& condition, int timeout_ms) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    bool holds = false;
    while (!holds && std::chrono::steady_clock::now() < until) {
        on_control([&] { holds = condition(); });
        if (!holds) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return holds;
}

bool TestAppliance::stop(int timeout_ms) {
    auto stopped = std::make_shared<std::promise<void>>();
    on_control([&] { servers_->stop([stopped] { stopped->set_value(); }); });
    return stopped->get_future().wait_for(std::chrono::milliseconds(timeout_ms)) == std::future_status::ready;
}

std::vector<std::string> TestAppliance::log_lines() {
    std::vector<std::string> lines;
    on_control([&] { lines = log_; });
    return lines;
}

}  // namespace spantape::api::test
