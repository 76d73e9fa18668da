// SPDX-License-Identifier: AGPL-3.0-or-later
// The functions of the manual behind RequestHandler: one table names them all; what is not built yet answers
// API_COMMAND_NOT_SUPPORTED. Lives on the control thread; searches and audio run on the pool and come back.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/control/call_control.h"
#include "api/protocol/message.h"
#include "storage/index/index.h"

namespace spantape::api {

struct FunctionContext {
    CallControl& control;
    ControlOutputs& outputs;
    Index& index;
    std::string segment_directory;
    boost::asio::io_context& control_thread;
    boost::asio::thread_pool& pool;
    std::function<TimeNs()> now;                   // capture clock
    std::function<std::vector<Element>()> status;  // counters of all threads, for APPLIANCESTATUS
};

class Functions : public RequestHandler {
public:
    using Done = std::function<void(Reply&&)>;

    explicit Functions(FunctionContext context);

    void handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) override;
    // A document given to the writer outside of CallControl is durable and indexed.
    void on_recording_stored(std::uint64_t ident);

    // Every function name of the manual, canonical, and whether it is built: what README's table shows.
    [[nodiscard]] static std::map<std::string, bool> table();

private:
    using Function = void (Functions::*)(const Request&, const Client&, Done);
    struct Entry {
        Function function = nullptr;  // nullptr: not built yet
        std::string instead;          // deprecated: what replaces it
    };
    [[nodiscard]] static const std::map<std::string, Entry>& entries();

    // call_functions.cc
    void test(const Request& request, const Client& client, Done done);
    void call_start(const Request& request, const Client& client, Done done);
    void call_stop(const Request& request, const Client& client, Done done);
    void call_update(const Request& request, const Client& client, Done done);
    void record_start(const Request& request, const Client& client, Done done);
    void record_stop(const Request& request, const Client& client, Done done);
    void update_last_recording(const std::string& device_id, FieldUpdate fields, std::string notes, Done done);
    void update_stored(std::uint64_t ident, FieldUpdate fields, std::string message, Done done);
    void put_update(Recording&& document, Reply&& reply, Done done);

    // status_functions.cc
    void device_list(const Request& request, const Client& client, Done done);
    void device_status(const Request& request, const Client& client, Done done);
    void device_recording_status(const Request& request, const Client& client, Done done);
    void channels(const Request& request, const Client& client, Done done);
    void events(const Request& request, const Client& client, Done done);
    void appliance_status(const Request& request, const Client& client, Done done);

    // recording_functions.cc
    void call_list(const Request& request, const Client& client, Done done);
    void export_audio(const Request& request, const Client& client, Done done);

    // Runs `work` on the pool and `then(result)` back on the control thread.
    template <class Work, class Then>
    void on_pool(Work work, Then then);

    FunctionContext context_;
    struct Updating {  // a stored recording's document under way to the disk
        Recording document;
        std::deque<std::pair<Reply, Done>> waiting;  // one for each document put, in order
    };
    std::map<std::uint64_t, Updating> updating_;
};

template <class Work, class Then>
void Functions::on_pool(Work work, Then then) {
    boost::asio::post(context_.pool, [this, work = std::move(work), then = std::move(then)]() mutable {
        auto result = std::make_shared<decltype(work())>(work());
        boost::asio::post(context_.control_thread,
                          [result, then = std::move(then)]() mutable { then(std::move(*result)); });
    });
}

// The reply of a function that failed, or was refused.
[[nodiscard]] Reply refused(ResultCode code, std::string message);

}  // namespace spantape::api
