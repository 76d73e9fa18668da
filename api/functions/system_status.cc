// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/system_status.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include <fmt/format.h>

namespace spantape::api {

namespace {

constexpr double kMiB = 1024.0 * 1024, kGiB = kMiB * 1024;

Element leaf(std::string name, std::string text) { return {std::move(name), std::move(text), {}}; }

std::string text_of(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// "name : value" lines of a file such as /proc/meminfo; calls `take` with both, trimmed, and with two empty texts at
// an empty line.
template <class Take>
void for_each_line(std::string_view text, Take take) {
    const auto trimmed = [](std::string_view part) {
        const std::size_t begin = std::min(part.find_first_not_of(" \t"), part.size());
        part.remove_prefix(begin);
        return part.substr(0, part.find_last_not_of(" \t") + 1);
    };
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t colon = std::min(line.find(':'), line.size());
        take(trimmed(line.substr(0, colon)), trimmed(line.substr(std::min(colon + 1, line.size()))));
    }
    take(std::string_view(), std::string_view());
}

void add_disk(std::vector<Element>& out, const std::string& path) {
    struct statvfs disk{};
    double total = 0, free = 0;
    if (statvfs(path.c_str(), &disk) == 0) {
        total = static_cast<double>(disk.f_blocks) * static_cast<double>(disk.f_frsize);
        free = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
    }
    out.push_back(leaf("RECORDINGSPACEINFO", fmt::format("{:.2f}GB of {:.2f}GB", free / kGiB, total / kGiB)));
    out.push_back(leaf("RECORDINGTOTALDISKCAPACITY", fmt::format("{:.0f}", total / kMiB)));
    out.push_back(leaf("RECORDINGTOTALDISKFREE", fmt::format("{:.0f}", free / kMiB)));
    out.push_back(leaf("RECORDINGTOTALDISKFREEPCT", fmt::format("{:.2f}", total > 0 ? 100 * free / total : 0)));
}

// Free is what programs can have: without what the page cache gives back at once.
void add_memory(std::vector<Element>& out) {
    double total = 0, available = 0;
    for_each_line(text_of("/proc/meminfo"), [&](std::string_view name, std::string_view value) {
        if (name == "MemTotal") total = std::strtod(std::string(value).c_str(), nullptr) / 1024;
        if (name == "MemAvailable") available = std::strtod(std::string(value).c_str(), nullptr) / 1024;
    });
    const double used = total - available;
    out.push_back(leaf("SYSTEMRAMTOTAL", fmt::format("{:.0f}", total)));
    out.push_back(leaf("SYSTEMRAMFREE", fmt::format("{:.0f}", available)));
    out.push_back(leaf("SYSTEMRAMUSED", fmt::format("{:.0f}", used)));
    out.push_back(leaf("SYSTEMRAMUSEDPCT", fmt::format("{:.0f}", total > 0 ? 100 * used / total : 0)));
}

}  // namespace

std::vector<Element> processor_elements(std::string_view cpuinfo) {
    std::vector<Element> processors;
    std::map<std::string, std::string, std::less<>> said;
    for_each_line(cpuinfo, [&](std::string_view name, std::string_view value) {
        if (!name.empty()) {
            said[std::string(name)] = value;
            return;
        }
        if (said.contains("processor")) {
            const double mhz = std::strtod(said["cpu MHz"].c_str(), nullptr);
            const std::string type = said.contains("cpu family")
                                         ? fmt::format("x86 Family {} Model {} Stepping {}", said["cpu family"],
                                                       said["model"], said["stepping"])
                                         : said["model name"];
            processors.push_back(
                {fmt::format("PROCESSOR{}", processors.size()),
                 {},
                 {leaf("SYSTEMPROCESSORSPEED", fmt::format("{:.0f}MHz", mhz)), leaf("SYSTEMPROCESSORTYPE", type)}});
        }
        said.clear();
    });
    return processors;
}

std::string uptime_text(long seconds) {
    return fmt::format("{} days, {} hours, {} minutes, {} seconds.", seconds / 86'400, seconds / 3600 % 24,
                       seconds / 60 % 60, seconds % 60);
}

std::vector<Element> system_status(const std::string& recording_path) {
    std::vector<Element> out{leaf("RECORDINGPATH", recording_path + "/")};
    add_disk(out, recording_path);
    struct sysinfo system{};
    sysinfo(&system);
    out.push_back(leaf("SYSTEMUPTIME", uptime_text(system.uptime)));
    for (Element& processor : processor_elements(text_of("/proc/cpuinfo"))) out.push_back(std::move(processor));
    add_memory(out);
    return out;
}

}  // namespace spantape::api
