// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Import Functions; User, Group, and Role Functions; STATIONS; FETCHTERMINOLOGY. Each takes a request that was
// read and checked, changes the directory in memory, and gives the changes and what to answer once they are durable.
#pragma once

#include <functional>
#include <string>

#include "api/control/directory.h"
#include "api/functions/function_table.h"

namespace spantape::api {

struct DirectoryRequest {
    const Parameters& parameters;
    TimeNs now_ns = 0;           // wall clock
    std::string password_hash;   // of PASSWORD; "" without
    bool users_dialect = false;  // api.dialect "5.x-users"
};

struct DirectoryAnswer {
    Reply reply;
    DirectoryChanges changes = {};
    // Of a long list: writes the next slice of it to the reply; false: it was the last. The directory may change
    // between two.
    std::function<bool(Reply&)> slices = {};
};

using DirectoryFunction = DirectoryAnswer (*)(Directory& directory, const DirectoryRequest& request);

// import_functions.cc
DirectoryAnswer import_user(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer import_agent_phone(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer import_workstation(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer stations(Directory& directory, const DirectoryRequest& request);
// The PASSWORD that must be hashed before the request can be carried out; "" when there is none, or when the directory
// (nullptr: as it will be then is not known) refuses the request anyway.
[[nodiscard]] std::string password_to_hash(const Directory* directory, const Parameters& parameters);

// group_functions.cc
DirectoryAnswer add_group(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer modify_group_permission(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer modify_user_group_permission(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer modify_role(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer modify_role_group_permission(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer modify_user_role(Directory& directory, const DirectoryRequest& request);

// Ours: CLASSES of a role (function_table.h), separated by commas; without them it has none.
DirectoryAnswer role_classes(Directory& directory, const DirectoryRequest& request);
// Ours: makes and revokes a user's tokens; one that is made is in the answer, and nowhere else.
DirectoryAnswer user_token(Directory& directory, const DirectoryRequest& request);

// terminology_functions.cc
DirectoryAnswer fetch_terminology(Directory& directory, const DirectoryRequest& request);
// Ours: NAME and VALUE; without VALUE back to the configuration's.
DirectoryAnswer terminology_set(Directory& directory, const DirectoryRequest& request);
// Ours: ID and NAME; without NAME it is removed.
DirectoryAnswer location_set(Directory& directory, const DirectoryRequest& request);
DirectoryAnswer site_set(Directory& directory, const DirectoryRequest& request);

// schedule_functions.cc. Ours: the schedule's rules, listed and changed.
DirectoryAnswer schedule_set(Directory& directory, const DirectoryRequest& request);

// archive_functions.cc. Ours: archive actions, listed and changed.
DirectoryAnswer archive_action_set(Directory& directory, const DirectoryRequest& request);

// --- for those files
// What a refusal is answered with; an agent that is not found is so by one code or the other, as the function's page
// says.
[[nodiscard]] DirectoryAnswer refused_by(const DirectoryError& error,
                                         ResultCode not_found = ResultCode::API_USER_NOT_FOUND);
[[nodiscard]] inline Element leaf(std::string name, std::string text) { return {std::move(name), std::move(text), {}}; }
[[nodiscard]] inline bool adds(const Parameters& parameters) { return parameters.text("ACTION") == "ADD"; }
[[nodiscard]] inline bool deletes(const Parameters& parameters) { return parameters.text("ACTION") == "DELETE"; }

}  // namespace spantape::api
