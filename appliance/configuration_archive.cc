// SPDX-License-Identifier: AGPL-3.0-or-later
// The keys of an archive action: of the last one in Configuration::archive, which the loader has just begun.
#include <cmath>

#include "appliance/configuration_checks.h"
#include "appliance/configuration_keys.h"

namespace spantape {

namespace {

using C = Configuration;
using A = ArchiveAction;

constexpr double kTenYearsS = 10 * 366 * 86'400.0;

// For documentation, which has no action: one as it might be.
const A& of(const C& configuration) {
    static const A example{.number = 1, .name = "one year", .path = "/mnt/archive"};
    return configuration.archive.empty() ? example : configuration.archive.back();
}

constexpr ConfigurationKey kKeys[] = {
    {"archive", "number",
     IntegerKey{[](C& c, std::int64_t value) { c.archive.back().number = value; },
                [](const C& c) { return of(c).number; }, 1, INT64_MAX},
     "What ARCHIVEACTION and recording.archive_action name; required."},
    {"archive", "name",
     TextKey{[](C& c, std::string value) { c.archive.back().name = std::move(value); },
             [](const C& c) { return of(c).name; }, check_any},
     "For people: in logs and beside the files."},
    {"archive", "path",
     TextKey{[](C& c, std::string value) { c.archive.back().path = std::move(value); },
             [](const C& c) { return of(c).path; }, check_archive_path},
     "Directory that is there already, or where a share is mounted; required. Files are named as FILENAME is, below "
     "YYYYMMDD/DEVICE, each with its recording's fields and its SHA-256 beside it. Its first use leaves "
     ".spantape-archive in it: without that file it is taken for a share that is not mounted."},
    {"archive", "mode",
     ChoiceKey{[](C& c, std::size_t position) { c.archive.back().mode = static_cast<ArchiveMode>(position); },
               [](const C& c) { return static_cast<std::size_t>(of(c).mode); }, kArchiveModes},
     "copy leaves the recording in the store; move purges it there when the copy was read back and is whole, unless it "
     "is locked or the format does not hold all of its audio."},
    {"archive", "format",
     ChoiceKey{[](C& c, std::size_t position) { c.archive.back().format = static_cast<ArchiveFormat>(position); },
               [](const C& c) { return static_cast<std::size_t>(of(c).format); }, kArchiveFormats},
     "Of the files."},
    {"archive", "keep_days",
     IntegerKey{[](C& c, std::int64_t value) { c.archive.back().keep_days = static_cast<std::uint32_t>(value); },
                [](const C& c) { return std::int64_t{of(c).keep_days}; }, 0, 36'500},
     "Days after which files are removed from there, from when they were archived; 0: never."},
    {"archive", "wait",
     NumberKey{
         [](C& c, double value) { c.archive.back().wait_ns = std::llround(value * static_cast<double>(kNsPerSecond)); },
         [](const C& c) { return seconds(of(c).wait_ns); }, 0, kTenYearsS},
     "Seconds from a recording's end until it is archived: 86400 is a day."},
};

}  // namespace

std::span<const ConfigurationKey> archive_keys() { return kKeys; }

}  // namespace spantape
