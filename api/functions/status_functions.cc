// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Status Functions (devices and channels), Event Interface (the subscription).
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "api/control/event_document.h"
#include "api/functions/device_text.h"
#include "api/functions/functions.h"
#include "api/functions/parameters.h"
#include "api/functions/sliced.h"
#include "api/functions/system_status.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

namespace {

std::string devices_section(const std::vector<const Device*>& devices, std::uint32_t core_id) {
    std::string out = "<DEVICES>";
    append_element(out, "COUNT", fmt::to_string(devices.size()));
    for (const Device* device : devices) append_device(out, *device, core_id);
    return out + "</DEVICES>";
}

void append_channel(std::string& out, const Channels::Channel& channel, std::size_t id) {
    out += "<CHANNEL>";
    append_element(out, "ID", fmt::to_string(id));
    append_element(out, "STATE", name_of(channel.state));
    append_element(out, "PLAYBACKEXTENSION", "");
    append_element(out, "RECORDINGDEVICEALIAS", "");
    append_element(out, "RECORDINGDEVICE", "");
    append_element(out, "LASTSTATECHANGE", manual_time(channel.since_ns));
    append_element(out, "LASTSTATECHANGEUNIXTIME", fmt::to_string(channel.since_ns / kNsPerSecond));
    out += "</CHANNEL>";
}

constexpr const char* kNoMatch = "Could not find a device matching given parameters";

}  // namespace

// As of recordings: by the agent of the call, else by whose phone it is.
bool Functions::is_visible(const Device& device, const Call* call, const Visibility& to) const {
    if (to.all) return true;
    auto agent = call != nullptr ? static_cast<std::int32_t>(call->fields.agent_id) : 0;
    const User* owner = agent == 0 ? context_.directory.directory().by_phone(device.id) : nullptr;
    if (owner != nullptr) agent = owner->id;
    return to.sees(agent, device.id);
}

void Functions::device_list(const FunctionCall& call, Done done) {
    auto append = [this, visible = access_.visibility(call.caller)](std::string& out, const auto& entry) {
        if (!is_visible(entry.second, entry.second.latest_call(), visible)) return false;
        append_device(out, entry.second, context_.control.options().core_id);
        return true;
    };
    in_slices(sliced("DEVICES", context_.control.devices(), std::move(append)), {}, std::move(done));
}

std::vector<const Device*> Functions::devices_named(const FunctionCall& call) const {
    auto found = context_.control.matching_devices(device_address(call.parameters));
    const Visibility visible = access_.visibility(call.caller);
    std::erase_if(found, [&](const Device* device) { return !is_visible(*device, device->latest_call(), visible); });
    return found;
}

void Functions::device_status(const FunctionCall& call, Done done) {
    const auto found = devices_named(call);
    if (found.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, kNoMatch));
    Reply reply;
    reply.message = "Found the following matching devices";
    reply.body_xml = devices_section(found, context_.control.options().core_id);
    done(std::move(reply));
}

void Functions::device_recording_status(const FunctionCall& call, Done done) {
    const auto found = devices_named(call);
    if (found.empty()) return done(refused(ResultCode::API_DEVICE_INVALID, kNoMatch));
    Reply reply;
    reply.message = "Following active call instances found for specified deviceID, devicealias, crm_user or sys_user";
    const Visibility visible = access_.visibility(call.caller);
    for (const Device* device : found)
        append_device_calls(reply.body_xml, *device, context_.control.options().core_id,
                            [&](const Call& instance) { return is_visible(*device, &instance, visible); });
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
    const TimeNs failing_ns = context_.storing_fails_since ? context_.storing_fails_since() : 0;
    Reply reply;
    append_element(reply.body_xml, "COUNT", fmt::to_string(context_.control.channels().all().size()));
    reply.body_xml += "<CHANNELS>";
    auto next = [this, failing_ns, at = std::size_t{0}](Reply& to) mutable {
        const auto& all = context_.control.channels().all();
        for (const std::size_t end = std::min(all.size(), at + kSliceEntries); at < end; ++at) {
            Channels::Channel channel = all[at];
            if (failing_ns != 0 && channel.state != ChannelState::idle)
                channel = {ChannelState::error, std::max(channel.since_ns, failing_ns)};
            append_channel(to.body_xml, channel, at + 1);
        }
        if (at < all.size()) return true;
        to.body_xml += "</CHANNELS>";
        return false;
    };
    in_slices(std::move(next), std::move(reply), std::move(done));
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
