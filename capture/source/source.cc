// SPDX-License-Identifier: AGPL-3.0-or-later
// Turns the configured names of sources into sources.
#include "capture/source/source.h"

#include <limits>
#include <utility>

#include "capture/source/dpdk_source.h"
#include "capture/source/file_source.h"
#include "capture/source/live_source.h"

namespace spantape {

namespace {

struct Spec {
    std::string_view scheme;
    std::string rest;
};

Result<Spec> read_spec(const std::string& text) {
    const std::size_t colon = text.find(':');
    const std::string_view scheme = std::string_view(text).substr(0, colon);
    if (colon == std::string::npos || (scheme != "pcap" && scheme != "file" && scheme != "dpdk")) {
        return fail("{}: unknown kind of source (there are pcap:IFACE, file:PATH and dpdk:DEVARGS)", text);
    }
    Spec spec{scheme, text.substr(colon + 1)};
    if (spec.rest.empty()) {
        const std::string_view what = scheme == "pcap" ? "interface" : scheme == "file" ? "path" : "device";
        return fail("{}: the {} is missing", text, what);
    }
    return spec;
}

template <class T>
Result<T> named(const std::string& spec, Result<T> result) {
    if (!result) return fail("{}: {}", spec, result.error().message);
    return result;
}

}  // namespace

Result<std::vector<std::unique_ptr<Source>>> open_sources(const std::vector<std::string>& specs,
                                                          const SourceOptions& options) {
    constexpr std::size_t kMostSources = std::numeric_limits<std::uint8_t>::max() + std::size_t{1};
    if (specs.size() > kMostSources) return fail("{} sources: {} are the most", specs.size(), kMostSources);
    std::vector<std::unique_ptr<Source>> sources;
    std::vector<FileSource::Input> files;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        const auto spec = read_spec(specs[i]);
        if (!spec) return std::unexpected(spec.error());
        const auto index = static_cast<std::uint8_t>(i);
        if (spec->scheme == "pcap") {
            auto source = named(specs[i], LiveSource::open(specs[i], spec->rest, index, options));
            if (!source) return std::unexpected(source.error());
            sources.push_back(std::move(*source));
        } else if (spec->scheme == "dpdk") {
            auto source = named(specs[i], DpdkSource::open(specs[i], spec->rest, index, options));
            if (!source) return std::unexpected(source.error());
            sources.push_back(std::move(*source));
        } else if (options.worker == 0) {
            auto file = named(specs[i], open_capture_file(spec->rest));
            if (!file) return std::unexpected(file.error());
            files.push_back({specs[i], index, std::move(*file)});
        }
    }
    if (!files.empty()) sources.push_back(std::make_unique<FileSource>(std::move(files), options.pace));
    return sources;
}

}  // namespace spantape
