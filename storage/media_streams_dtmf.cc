// SPDX-License-Identifier: AGPL-3.0-or-later
// recording.mask_dtmf: what payload types mean on a stream, and which of its frames carry digits.
#include <algorithm>
#include <cctype>

#include "storage/media_streams.h"

namespace spantape {

namespace {

// Where no description was seen: the type that nearly all phones use, with what RFC 4733 §2.3 says of its payload.
constexpr std::uint8_t kUsualEventType = 101;
constexpr std::size_t kEventBytes = 4;
constexpr std::uint8_t kLastDigit = 16;  // 0-9, *, #, A-D, flash

bool is_telephone_event(std::string_view encoding) {
    constexpr std::string_view kName = "telephone-event";
    return std::ranges::equal(encoding, kName, [](unsigned char a, char b) { return std::tolower(a) == b; });
}

}  // namespace

void MediaStreams::payloads(const EndpointPayloads& command) {
    SessionRules& rules = rules_[command.session];
    ++rules.version;
    const auto known = std::ranges::find(rules.payloads, command.endpoint, &EndpointPayloads::endpoint);
    if (known == rules.payloads.end()) {
        rules.payloads.push_back(command);
        return;
    }
    for (const PayloadMapping& mapping : command.payloads) {
        std::erase_if(known->payloads,
                      [&](const PayloadMapping& old) { return old.payload_type == mapping.payload_type; });
        known->payloads.push_back(mapping);
    }
}

// What the receiver said counts first, then what the sender said, then what anybody else did.
void MediaStreams::learn_payloads(Stream& stream) {
    Dtmf& dtmf = *stream.dtmf;
    std::uint64_t version = 1;
    for (const std::uint64_t session : stream.sessions)
        if (const auto rules = rules_.find(session); rules != rules_.end()) version += rules->second.version;
    if (version == dtmf.version) return;
    dtmf.version = version;
    std::vector<std::pair<int, const EndpointPayloads*>> said;
    for (const std::uint64_t session : stream.sessions) {
        const auto rules = rules_.find(session);
        if (rules == rules_.end()) continue;
        for (const EndpointPayloads& each : rules->second.payloads)
            said.emplace_back(each.endpoint == stream.handle->flow.destination ? 2
                              : each.endpoint == stream.handle->flow.source    ? 1
                                                                               : 0,
                              &each);
    }
    std::ranges::stable_sort(said, {}, [](const auto& each) { return each.first; });
    std::vector<PayloadMapping> all;  // the last of a number counts
    for (const auto& [order, each] : said) all.insert(all.end(), each->payloads.begin(), each->payloads.end());
    dtmf.described = !all.empty();
    dtmf.formats = payload_table(all);
    dtmf.events.reset();
    for (const PayloadMapping& mapping : all)
        if (mapping.payload_type < dtmf.events.size())
            dtmf.events.set(mapping.payload_type, is_telephone_event(mapping.encoding));
}

// Before frames are taken: all that is on the ring by now.
void MediaStreams::look_for_tones(Stream& stream) {
    see_sessions(stream);
    learn_payloads(stream);
    Dtmf& dtmf = *stream.dtmf;
    RingRecord record;
    for (auto bytes = stream.handle->ring.peek(dtmf.scanned); !bytes.empty();
         bytes = stream.handle->ring.peek(dtmf.scanned)) {
        std::memcpy(&record, bytes.data(), sizeof record);
        if (record.kind != RingRecordKind::frame || sizeof record + record.payload_bytes > bytes.size()) continue;
        dtmf.mask.scan(dtmf.formats[record.payload_type & 0x7f],
                       {reinterpret_cast<const std::uint8_t*>(bytes.data()) + sizeof record, record.payload_bytes});
    }
}

bool MediaStreams::is_event(const Dtmf& dtmf, const RingRecord& record, const std::byte* payload) {
    if (dtmf.described) return dtmf.events[record.payload_type & 0x7f];
    return record.payload_type == kUsualEventType && record.payload_bytes == kEventBytes &&
           std::to_integer<std::uint8_t>(*payload) <= kLastDigit;
}

}  // namespace spantape
