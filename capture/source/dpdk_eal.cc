// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/dpdk_eal.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <vector>

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <unistd.h>

namespace spantape {

namespace {

constexpr std::size_t kMostComplaintBytes = 600;

// Filled by DPDK's log, from whichever thread it is.
struct Complaints {
    std::mutex mutex;
    std::string text;
};

Complaints& complaints() {
    static Complaints all;
    return all;
}

// The write function of DPDK's log stream.
ssize_t take_line(void*, const char* bytes, std::size_t size) {
    if (rte_log_cur_msg_loglevel() <= static_cast<int>(RTE_LOG_WARNING)) {
        std::string line(bytes, size);
        while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
        std::ranges::replace(line, '\n', ' ');
        Complaints& all = complaints();
        const std::lock_guard lock(all.mutex);
        if (!line.empty() && all.text.size() + line.size() <= kMostComplaintBytes)
            all.text += (all.text.empty() ? ": " : "; ") + line;
    }
    return static_cast<ssize_t>(size);
}

void divert_log() {
    cookie_io_functions_t functions{};
    functions.write = take_line;
    FILE* stream = fopencookie(nullptr, "w", functions);
    if (stream == nullptr) return;
    setvbuf(stream, nullptr, _IOLBF, 0);
    rte_openlog_stream(stream);
}

std::uint64_t read_number(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::uint64_t number = 0;
    file >> number;
    return number;
}

// Of all sizes, in MiB.
std::uint64_t free_huge_mib() {
    std::uint64_t kib = 0;
    std::error_code error;
    for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
        unsigned page_kib = 0;  // hugepages-2048kB
        if (std::sscanf(size.path().filename().c_str(), "hugepages-%ukB", &page_kib) == 1)
            kib += read_number(size.path() / "free_hugepages") * page_kib;
    }
    return kib >> 10;
}

Result<bool> use_huge_pages(const DpdkOptions& options) {
    if (options.huge == DpdkHuge::never) return false;
    const std::uint64_t there_mib = free_huge_mib();
    if (there_mib >= options.memory_mib) return true;
    if (options.huge == DpdkHuge::automatic) return false;
    return fail(
        "capture.dpdk_huge is always and capture.dpdk_memory_mib {}, but only {} MiB of huge pages are free "
        "(vm.nr_hugepages)",
        options.memory_mib, there_mib);
}

// One lcore, which may run on every CPU that the caller may: DPDK starts a thread for each further one.
std::string lcores(const cpu_set_t& cpus) {
    std::string list;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &cpus)) list += fmt::format("{}{}", list.empty() ? "" : ",", cpu);
    return fmt::format("--lcores=0@({})", list);
}

// With huge pages everything stays in memory; without, DPDK knows no such mode, and makes no file either.
std::vector<std::string> arguments(const DpdkOptions& options, bool huge, const cpu_set_t& cpus) {
    std::vector<std::string> all = {"spantape", "--no-telemetry", fmt::format("--file-prefix=spantape-{}", getpid()),
                                    lcores(cpus)};
    // No device is taken at the start: an allowed one that cannot be a network card keeps all others from being.
    all.insert(all.end(), {"-a", "0000:00:00.0"});
    if (huge)
        all.emplace_back("--in-memory");
    else
        all.insert(all.end(), {"--no-huge", "--no-shconf", "-m", fmt::to_string(options.memory_mib)});
    all.insert(all.end(), options.eal_arguments.begin(), options.eal_arguments.end());
    return all;
}

// What the EAL changes of the thread and the process that start it is put back.
class Restore {
public:
    Restore() {
        pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus);
        for (int number = 1; number < kSignals; ++number)
            known_[number] = sigaction(number, nullptr, &old_[number]) == 0;
    }
    ~Restore() {
        pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
        for (int number = 1; number < kSignals; ++number)
            if (known_[number] && number != SIGKILL && number != SIGSTOP) sigaction(number, &old_[number], nullptr);
    }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

    cpu_set_t cpus{};

private:
    static constexpr int kSignals = 32;  // the real-time ones are nobody's here
    struct sigaction old_[kSignals] = {};
    bool known_[kSignals] = {};
};

Result<> start(const DpdkOptions& options) {
    const auto huge = use_huge_pages(options);
    if (!huge) return std::unexpected(huge.error());
    divert_log();
    const Restore restore;
    // DPDK keeps pointers into its arguments.
    static std::vector<std::string> words;
    static std::vector<char*> pointers;
    words = arguments(options, *huge, restore.cpus);
    pointers.clear();
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    take_dpdk_complaints();
    const int status = rte_eal_init(static_cast<int>(words.size()), pointers.data());
    const int error = rte_errno;
    rmdir(rte_eal_get_runtime_dir());  // made whatever is asked for, and empty
    if (status >= 0) return {};
    return fail("DPDK could not be initialised ({}{}, {} MiB{})", rte_strerror(error), take_dpdk_complaints(),
                options.memory_mib, *huge ? " of huge pages" : "");
}

}  // namespace

std::string take_dpdk_complaints() {
    Complaints& all = complaints();
    const std::lock_guard lock(all.mutex);
    return std::exchange(all.text, {});
}

Result<> start_eal(const DpdkOptions& options) {
    static std::mutex mutex;
    static std::optional<Result<>> result;
    const std::lock_guard lock(mutex);
    if (!result) result = start(options);
    return *result;
}

}  // namespace spantape
