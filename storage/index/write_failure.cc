// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/write_failure.h"

#include <cstdarg>
#include <filesystem>

#include <rocksdb/listener.h>

namespace spantape {

namespace {

constexpr std::uintmax_t kRoomBytes = 1u << 20;

class NoLog final : public rocksdb::Logger {
public:
    using rocksdb::Logger::Logv;
    void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

class Listener final : public rocksdb::EventListener {
public:
    explicit Listener(WriteFailure failed) : failed_(std::move(failed)) {}
    void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status* /*error*/) override {
        failed_->store(true);
    }
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                              bool* recover) override {
        *recover = false;
    }

private:
    WriteFailure failed_;
};

}  // namespace

WriteFailure watch_for_write_failure(rocksdb::DBOptions& options) {
    auto failed = std::make_shared<std::atomic<bool>>(false);
    options.info_log = std::make_shared<NoLog>();
    options.listeners.push_back(std::make_shared<Listener>(failed));
    return failed;
}

bool room_to_open(const std::string& directory) {
    std::error_code error;
    std::uintmax_t logs = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory, error))
        if (file.path().extension() == ".log") logs += file.file_size(error);
    const auto space = std::filesystem::space(directory, error);
    return !error && space.available >= kRoomBytes + logs;
}

}  // namespace spantape
