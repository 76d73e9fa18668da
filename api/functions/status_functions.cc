// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Status Functions (devices and channels), Event Interface (the subscription).
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "api/control/event_document.h"
#include "api/functions/functions.h"
#include "api/functions/parameters.h"
#include "api/functions/system_status.h"

namespace spantape::api {

namespace {

// GROUP … USER15, then CALLTYPE as the manual's examples have it, and CALLDIRECTION as its lists name it.
void add_call_fields(std::vector<Element>& out, const Recording& fields) {
    out.push_back(leaf("GROUP", fields.group));
    out.push_back(leaf("GATE", fields.gate));
    out.push_back(leaf("ANI", fields.ani));
    out.push_back(leaf("DNIS", fields.dnis));
    for (std::size_t i = 0; i < fields.user.size(); ++i)
        out.push_back(leaf(std::string(user_parameter(i)), fields.user[i]));
    out.push_back(leaf("CALLTYPE", fields.direction));
    out.push_back(leaf("CALLDIRECTION", fields.direction));
    out.push_back(leaf("ISTRUNK", ""));  // a SPAN port does not tell
    out.push_back(leaf("STATION", fields.station));
}

void add_times(std::vector<Element>& out, const Call* call) {
    out.push_back(leaf("STARTTIME", call != nullptr ? manual_time(call->start_ns) : ""));
    out.push_back(leaf("STOPTIME", call != nullptr ? manual_time(call->stop_ns) : ""));
}

void add_recording_flags(std::vector<Element>& out, const Call* call) {
    const ActiveRecording* recording = call != nullptr ? call->recording_now() : nullptr;
    out.push_back(leaf("ISRECORDING", recording != nullptr ? "Y" : "N"));
    out.push_back(leaf("ISRECORDINGVIDEO", "N"));
    out.push_back(leaf("FILENAME", recording != nullptr ? recording->fields.filename
                                   : call != nullptr    ? call->fields.filename
                                                        : ""));
    out.push_back(leaf("CALLID", call != nullptr ? call->fields.call_id : ""));
    // manual, SESSIONID: "For DEVICESTATUS and DEVICELIST, this value is based on the call and device."
    out.push_back(leaf(
        "SESSIONID", call != nullptr ? fmt::format("{}-{}", call->fields.device_id, call->fields.global_call_id) : ""));
    out.push_back(leaf("CALLINSTANCE", call != nullptr ? call->fields.call_instance : ""));
}

void add_identity(std::vector<Element>& out, const Device& device, const Call* call) {
    // The agent of the call, where one was named for it; else the device's.
    const auto either = [&](const std::string Recording::* field, const std::string& own) {
        return call != nullptr && !(call->fields.*field).empty() ? call->fields.*field : own;
    };
    out.push_back(leaf("DEVICEID", device.id));
    out.push_back(leaf("DEVICEALIAS", either(&Recording::device_alias, device.alias)));
    out.push_back(leaf("SYS_USER", either(&Recording::sys_user, device.sys_user)));
    out.push_back(leaf("CRM_USER", either(&Recording::crm_user, device.crm_user)));
}

// DEVICELIST's and DEVICESTATUS's section: the instance that is active or was last.
Element device_section(const Device& device, std::uint32_t core_id) {
    const Call* call = device.latest_call();
    Recording none;
    none.direction = "";
    none.station = device.station;
    constexpr std::size_t kChildren = 31;
    Element section{"DEVICE", {}, {}};
    section.children.reserve(kChildren);
    add_identity(section.children, device, call);
    add_call_fields(section.children, call != nullptr ? call->fields : none);
    add_times(section.children, call);
    section.children.push_back(leaf("COREIDENT", fmt::to_string(core_id)));
    Element recording{"RECORDING", {}, {}};
    add_recording_flags(recording.children, call);
    section.children.push_back(std::move(recording));
    return section;
}

Element devices_section(const std::vector<const Device*>& devices, std::uint32_t core_id) {
    Element section{"DEVICES", {}, {}};
    section.children.reserve(devices.size() + 1);
    section.children.push_back(leaf("COUNT", fmt::to_string(devices.size())));
    for (const Device* device : devices) section.children.push_back(device_section(*device, core_id));
    return section;
}

constexpr const char* kNoMatch = "Could not find a device matching given parameters";

}  // namespace

// As of recordings: by the agent of its last call, else by whose phone it is.
void Functions::keep_visible(std::vector<const Device*>& devices, const Caller& caller) const {
    const Visibility visible = access_.visibility(caller);
    if (visible.all) return;
    std::erase_if(devices, [&](const Device* device) {
        const Call* call = device->latest_call();
        auto agent = call != nullptr ? static_cast<std::int32_t>(call->fields.agent_id) : 0;
        const User* owner = agent == 0 ? context_.directory.directory().by_phone(device->id) : nullptr;
        if (owner != nullptr) agent = owner->id;
        return !visible.sees(agent, device->id);
    });
}

void Functions::device_list(const FunctionCall& call, Done done) {
    std::vector<const Device*> all;
    for (const auto& [id, device] : context_.control.devices()) all.push_back(&device);
    keep_visible(all, call.caller);
    Reply reply;
    reply.body.push_back(devices_section(all, context_.control.options().core_id));
    done(std::move(reply));
}

void Functions::device_status(const FunctionCall& call, Done done) {
    auto found = context_.control.matching_devices(device_address(call.parameters));
    keep_visible(found, call.caller);
    if (found.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, kNoMatch));
    Reply reply;
    reply.message = "Found the following matching devices";
    reply.body.push_back(devices_section(found, context_.control.options().core_id));
    done(std::move(reply));
}

void Functions::device_recording_status(const FunctionCall& call, Done done) {
    auto found = context_.control.matching_devices(device_address(call.parameters));
    keep_visible(found, call.caller);
    if (found.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, kNoMatch));
    Reply reply;
    reply.message = "Following active call instances found for specified deviceID, devicealias, crm_user or sys_user";
    for (const Device* device : found) {
        Element section{"DEVICE", {}, {}};
        add_identity(section.children, *device, device->latest_call());
        section.children.push_back(leaf("COREIDENT", fmt::to_string(context_.control.options().core_id)));
        for (const auto& instance : device->calls) {
            if (!instance->active()) continue;
            Element recording{"RECORDING", {}, {}};
            add_call_fields(recording.children, instance->fields);
            add_times(recording.children, instance.get());
            add_recording_flags(recording.children, instance.get());
            recording.children.push_back(leaf("STATUS", instance->recording_now() == nullptr ? "notrecording"
                                                        : instance->session && instance->session->paused
                                                            ? "recordpaused"
                                                            : "recording"));
            section.children.push_back(std::move(recording));
        }
        reply.body.push_back(std::move(section));
    }
    done(std::move(reply));
}

void Functions::system_status(const FunctionCall& /*call*/, Done done) {
    on_pool([path = context_.control.options().recording_path] { return api::system_status(path); },
            [this, done = std::move(done)](std::vector<Element> elements) mutable {
                Reply reply;
                reply.body = std::move(elements);
                if (context_.problems) std::ranges::move(context_.problems(), std::back_inserter(reply.body));
                done(std::move(reply));
            });
}

void Functions::channels(const FunctionCall& /*call*/, Done done) {
    const auto& all = context_.control.channels().all();
    Element section{"CHANNELS", {}, {}};
    section.children.reserve(all.size());
    const TimeNs failing_ns = context_.storing_fails_since ? context_.storing_fails_since() : 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        Channels::Channel channel = all[i];
        if (failing_ns != 0 && channel.state != ChannelState::idle)
            channel = {ChannelState::error, std::max(channel.since_ns, failing_ns)};
        section.children.push_back(
            {"CHANNEL",
             {},
             {leaf("ID", fmt::to_string(i + 1)), leaf("STATE", std::string(name_of(channel.state))),
              leaf("PLAYBACKEXTENSION", ""), leaf("RECORDINGDEVICEALIAS", ""), leaf("RECORDINGDEVICE", ""),
              leaf("LASTSTATECHANGE", manual_time(channel.since_ns)),
              leaf("LASTSTATECHANGEUNIXTIME", fmt::to_string(channel.since_ns / kNsPerSecond))}});
    }
    Reply reply;
    reply.body.push_back(leaf("COUNT", fmt::to_string(all.size())));
    reply.body.push_back(std::move(section));
    done(std::move(reply));
}

void Functions::events(const FunctionCall& call, Done done) {
    const std::string event_class = call.parameters.text("EVENTCLASS").value_or("ALL");
    Reply reply;
    reply.body = {leaf("EVENTXREF", call.request.request_id_text), leaf("EVENTCLASS", event_class),
                  leaf("EVENTTYPE", "")};
    std::function<bool(const Event&)> visible;
    if (!access_.visibility(call.caller).all)  // asked anew for each event: groups change
        visible = [this, caller = call.caller](const Event& event) {
            return access_.visibility(caller).sees(event.agent_id, event.device_id);
        };
    reply.subscription =
        Reply::Subscription{event_class, call.parameters.text_or_empty("EVENTVALUE"), std::move(visible)};
    done(std::move(reply));
}

void Functions::appliance_status(const FunctionCall& /*call*/, Done done) {
    Reply reply;
    reply.body = context_.status();
    done(std::move(reply));
}

// Ours: which calls have no full recording, and why; the latest of them.
void Functions::assurance(const FunctionCall& /*call*/, Done done) {
    const Assurance& assurance = context_.control.assurance();
    const auto leaf = [](const char* name, std::string text) { return Element{name, std::move(text), {}}; };
    Reply reply;
    const Assurance::Counts& counts = assurance.counts();
    for (const auto& [name, count] :
         {std::pair("WHOLE", counts.whole), std::pair("SHORT", counts.short_of),
          std::pair("BYDECISION", counts.by_decision), std::pair("UNANSWERED", counts.unanswered)})
        reply.body.push_back(leaf(name, fmt::to_string(count)));
    Element reasons{"REASONS", {}, {}};
    for (std::size_t reason = 0; reason < kShortfalls; ++reason)
        if (counts.by_reason[reason] != 0)
            reasons.children.push_back({"REASON",
                                        {},
                                        {leaf("NAME", std::string(name_of(static_cast<Shortfall>(reason)))),
                                         leaf("COUNT", fmt::to_string(counts.by_reason[reason]))}});
    reply.body.push_back(std::move(reasons));
    Element calls{"CALLS", {}, {}};
    for (auto call = assurance.latest().rbegin(); call != assurance.latest().rend(); ++call) {
        std::string lacks;
        for (const Shortfall each : call->lacks) lacks += fmt::format("{}{}", lacks.empty() ? "" : ",", name_of(each));
        calls.children.push_back(
            {"CALL",
             {},
             {leaf("TIME", manual_time(call->at_ns)), leaf("RECORDID", fmt::to_string(call->ident)),
              leaf("GLOBALCALLID", call->global_call_id), leaf("DEVICEID", call->device_id), leaf("LACKS", lacks)}});
    }
    reply.body.push_back(std::move(calls));
    done(std::move(reply));
}

}  // namespace spantape::api
