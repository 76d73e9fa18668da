// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/device_text.h"

#include <string_view>

#include <fmt/format.h>

#include "api/control/event_document.h"
#include "api/functions/parameters.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

namespace {

// GROUP … USER15, then CALLTYPE as the manual's examples have it, and CALLDIRECTION as its lists name it.
void append_call_fields(std::string& out, const Recording& fields) {
    append_element(out, "GROUP", fields.group);
    append_element(out, "GATE", fields.gate);
    append_element(out, "ANI", fields.ani);
    append_element(out, "DNIS", fields.dnis);
    for (std::size_t i = 0; i < fields.user.size(); ++i) append_element(out, user_parameter(i), fields.user[i]);
    append_element(out, "CALLTYPE", fields.direction);
    append_element(out, "CALLDIRECTION", fields.direction);
    append_element(out, "ISTRUNK", "");  // a SPAN port does not tell
    append_element(out, "STATION", fields.station);
}

void append_times(std::string& out, const Call* call) {
    append_element(out, "STARTTIME", call != nullptr ? manual_time(call->start_ns) : "");
    append_element(out, "STOPTIME", call != nullptr ? manual_time(call->stop_ns) : "");
}

void append_recording_flags(std::string& out, const Call* call) {
    const ActiveRecording* recording = call != nullptr ? call->recording_now() : nullptr;
    append_element(out, "ISRECORDING", recording != nullptr ? "Y" : "N");
    append_element(out, "ISRECORDINGVIDEO", "N");
    std::string_view filename = call != nullptr ? call->fields.filename : std::string_view();
    if (recording != nullptr) filename = recording->fields.filename;
    append_element(out, "FILENAME", filename);
    append_element(out, "CALLID", call != nullptr ? call->fields.call_id : "");
    // manual, SESSIONID: "For DEVICESTATUS and DEVICELIST, this value is based on the call and device."
    append_element(out, "SESSIONID",
                   call != nullptr ? fmt::format("{}-{}", call->fields.device_id, call->fields.global_call_id) : "");
    append_element(out, "CALLINSTANCE", call != nullptr ? call->fields.call_instance : "");
}

void append_identity(std::string& out, const Device& device, const Call* call) {
    // The agent of the call, where one was named for it; else the device's.
    const auto either = [&](const std::string Recording::* field, const std::string& own) -> const std::string& {
        return call != nullptr && !(call->fields.*field).empty() ? call->fields.*field : own;
    };
    append_element(out, "DEVICEID", device.id);
    append_element(out, "DEVICEALIAS", either(&Recording::device_alias, device.alias));
    append_element(out, "SYS_USER", either(&Recording::sys_user, device.sys_user));
    append_element(out, "CRM_USER", either(&Recording::crm_user, device.crm_user));
}

std::string_view status_of(const Call& call) {
    if (call.recording_now() == nullptr) return "notrecording";
    return call.session && call.session->paused ? "recordpaused" : "recording";
}

}  // namespace

void append_device(std::string& out, const Device& device, std::uint32_t core_id) {
    const Call* call = device.latest_call();
    Recording none;
    none.direction = "";
    none.station = device.station;
    out += "<DEVICE>";
    append_identity(out, device, call);
    append_call_fields(out, call != nullptr ? call->fields : none);
    append_times(out, call);
    append_element(out, "COREIDENT", fmt::to_string(core_id));
    out += "<RECORDING>";
    append_recording_flags(out, call);
    out += "</RECORDING></DEVICE>";
}

void append_device_calls(std::string& out, const Device& device, std::uint32_t core_id,
                         const std::function<bool(const Call&)>& visible) {
    out += "<DEVICE>";
    append_identity(out, device, device.latest_call());
    append_element(out, "COREIDENT", fmt::to_string(core_id));
    for (const auto& instance : device.calls) {
        if (!instance->active() || !visible(*instance)) continue;
        out += "<RECORDING>";
        append_call_fields(out, instance->fields);
        append_times(out, instance.get());
        append_recording_flags(out, instance.get());
        append_element(out, "STATUS", status_of(*instance));
        out += "</RECORDING>";
    }
    out += "</DEVICE>";
}

}  // namespace spantape::api
