// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/blackout_keeper.h"

#include <memory>
#include <utility>

#include <boost/asio/post.hpp>

namespace spantape::api {

Result<> BlackoutKeeper::resume(TimeNs now_ns) {
    if (tools_.path.empty()) return {};
    auto known = load_running_blackouts(tools_.path);
    if (!known) return std::unexpected(known.error());
    written_ = *known;
    tools_.control.resume_blackouts(*known, now_ns);
    return {};
}

void BlackoutKeeper::keep(std::function<void()> done) {
    if (tools_.path.empty() || frozen_) return done();
    const bool changed = tools_.control.running_blackouts() != written_;
    if (!changed && !writing_) return done();
    (changed ? waiting_ : under_way_).push_back(std::move(done));
    if (!writing_) write();
}

void BlackoutKeeper::write() {
    writing_ = true;
    written_ = tools_.control.running_blackouts();
    under_way_ = std::exchange(waiting_, {});
    boost::asio::post(tools_.pool, [this, blackouts = *written_] {
        auto saved = std::make_shared<Result<>>(save_running_blackouts(tools_.path, blackouts));
        boost::asio::post(tools_.control_thread, [this, saved] {
            writing_ = false;
            if (!*saved) {
                tools_.log("blackouts would not go on after a restart: " + saved->error().message);
                written_.reset();  // tried again at the next tick
            }
            for (auto& done : std::exchange(under_way_, {})) done();
            if (!waiting_.empty()) write();
        });
    });
}

}  // namespace spantape::api
