// SPDX-License-Identifier: AGPL-3.0-or-later
// Stations, and the settings that the configuration gives and functions change: terminology, locations and sites,
// archive actions.
#include "api/control/directory.h"

namespace spantape {

namespace {

std::string_view name_of(Place::Kind kind) { return kind == Place::Kind::site ? "site" : "location"; }

}  // namespace

// manual: IMPORTWORKSTATION
DirectoryResult<> Directory::set_station(const Station& wanted) {
    if (wanted.name.empty()) return refuse(DirectoryFault::blank, "STATIONNAME must not be blank");
    if (wanted.device_id.empty()) return refuse(DirectoryFault::blank, "DEVICEID must not be blank");
    if (!has_place(Place::Kind::location, wanted.location_id))
        return refuse(DirectoryFault::no_location, fmt::format("there is no location {}", wanted.location_id));
    if (full(1)) return refuse_full();
    DirectoryDone done;
    if (const Station* same = station(wanted.name); same != nullptr && *same == wanted) return done;
    if (const Station* other = station_of(wanted.device_id); other != nullptr && other->name != wanted.name)
        change(done.changes, *other, std::nullopt);
    const Station* old = station(wanted.name);
    change(done.changes, old == nullptr ? std::nullopt : std::optional<DirectoryEntry>(*old), wanted);
    return done;
}

DirectoryResult<> Directory::set_term(const Term& term) {
    if (term.name.empty()) return refuse(DirectoryFault::blank, "NAME must not be blank");
    DirectoryDone done;
    const auto at = terms_.find(term.name);
    if (at != terms_.end() && at->second == term.value) return done;
    if (full(1)) return refuse_full();
    change(done.changes, at == terms_.end() ? std::nullopt : std::optional<DirectoryEntry>(Term{term.name, at->second}),
           term);
    return done;
}

DirectoryResult<> Directory::reset_term(const std::string& name) {
    DirectoryDone done;
    if (const auto at = terms_.find(name); at != terms_.end())
        change(done.changes, Term{name, at->second}, std::nullopt);
    else if (!base_.terms.contains(name))
        return refuse(DirectoryFault::not_found, fmt::format("there is no term '{}'", name));
    return done;
}

DirectoryResult<> Directory::set_place(const Place& place) {
    DirectoryDone done{.id = place.id};
    if (place.id <= 0)
        return refuse(DirectoryFault::blank, fmt::format("a {} has a number above 0", name_of(place.kind)));
    const auto at = places_.find({place.kind, place.id});
    if (at != places_.end() && at->second == place.name) return done;
    if (full(1)) return refuse_full();
    change(done.changes,
           at == places_.end() ? std::nullopt : std::optional<DirectoryEntry>(Place{place.kind, place.id, at->second}),
           place);
    return done;
}

DirectoryResult<> Directory::remove_place(Place::Kind kind, std::int32_t id) {
    const auto at = places_.find({kind, id});
    if (at == places_.end())
        return refuse(DirectoryFault::not_found,
                      fmt::format("there is no {} {} beside those of the configuration", name_of(kind), id));
    const auto& base = kind == Place::Kind::site ? base_.sites : base_.locations;
    if (!base.contains(id) && place_uses_.contains({kind, id}))
        return refuse(DirectoryFault::not_unique, fmt::format("{} {} is in use", name_of(kind), id));
    DirectoryDone done{.id = id};
    change(done.changes, Place{kind, id, at->second}, std::nullopt);
    return done;
}

DirectoryResult<> Directory::set_archive_action(const ArchiveAction& action) {
    DirectoryDone done;
    const auto at = archive_actions_.find(action.number);
    if (at != archive_actions_.end() && at->second == action) return done;
    if (full(1)) return refuse_full();
    change(done.changes, at == archive_actions_.end() ? std::nullopt : std::optional<DirectoryEntry>(at->second),
           action);
    return done;
}

DirectoryResult<> Directory::remove_archive_action(std::int64_t number) {
    const auto at = archive_actions_.find(number);
    if (at == archive_actions_.end())
        return refuse(DirectoryFault::not_found,
                      fmt::format("there is no archive action {} beside those of the configuration", number));
    DirectoryDone done;
    change(done.changes, ArchiveAction(at->second), std::nullopt);
    return done;
}

DirectoryResult<> Directory::set_schedule(const std::optional<ScheduleEntry>& schedule) {
    DirectoryDone done;
    if (schedule == schedule_) return done;
    if (full(1)) return refuse_full();
    const auto before = schedule_ ? std::optional<DirectoryEntry>(*schedule_) : std::nullopt;
    change(done.changes, before, schedule ? std::optional<DirectoryEntry>(*schedule) : std::nullopt);
    return done;
}

void Directory::set_base_archive_actions(const std::vector<ArchiveAction>& actions) {
    base_.archive_actions.clear();
    for (const ArchiveAction& action : actions) base_.archive_actions[action.number] = action;
    ++archive_version_;
}

void Directory::set_base_schedule(std::vector<RuleText> rules) {
    base_.schedule = std::move(rules);
    ++schedule_version_;
}

std::map<std::string, std::string> Directory::terms() const {
    auto all = terms_;
    all.insert(base_.terms.begin(), base_.terms.end());
    return all;
}

std::map<std::int32_t, std::string> Directory::places(Place::Kind kind) const {
    std::map<std::int32_t, std::string> all = kind == Place::Kind::site ? base_.sites : base_.locations;
    for (const auto& [key, name] : places_)
        if (key.first == kind) all[key.second] = name;
    return all;
}

bool Directory::has_place(Place::Kind kind, std::int32_t id) const {
    return places_.contains({kind, id}) ||
           (kind == Place::Kind::site ? base_.sites.contains(id) : base_.locations.contains(id));
}

std::map<std::int64_t, ArchiveAction> Directory::archive_actions() const {
    auto all = archive_actions_;
    all.insert(base_.archive_actions.begin(), base_.archive_actions.end());
    return all;
}

const ArchiveAction* Directory::archive_action(std::int64_t number) const {
    if (const auto at = archive_actions_.find(number); at != archive_actions_.end()) return &at->second;
    const auto at = base_.archive_actions.find(number);
    return at == base_.archive_actions.end() ? nullptr : &at->second;
}

}  // namespace spantape
