// SPDX-License-Identifier: AGPL-3.0-or-later
// A text that one thread changes, seldom, and any thread reads.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace spantape {

class SharedText {
public:
    // By the owner. Takes the mutex only when it changes.
    void set(std::string_view text) {
        if (text == text_) return;  // nobody else writes
        const std::lock_guard lock(mutex_);
        text_ = text;
    }
    [[nodiscard]] std::string get() const {
        const std::lock_guard lock(mutex_);
        return text_;
    }

private:
    mutable std::mutex mutex_;
    std::string text_;  // written by the owner
};

}  // namespace spantape
