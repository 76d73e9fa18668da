// SPDX-License-Identifier: AGPL-3.0-or-later
// Several messages, parted by the byte 0x1e, go through one SipDialogs; its events must fit together.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>

#include "capture/sip/body.h"
#include "capture/sip/dialogs.h"
#include "capture/sip/sdp.h"
#include "capture/sip/sdp_crypto.h"
#include "capture/sip/text.h"

namespace {

using namespace spantape;

constexpr std::uint8_t kSeparator = 0x1e;

// Aborts when an event speaks of a call that is not under way, or carries text that is not printable.
class EventCheck {
public:
    void operator()(const SipEvent& event) {
        std::visit([this](const auto& what) { this->check(what); }, event.what);
    }
    [[nodiscard]] std::size_t under_way() const { return calls_.size(); }

private:
    static void require(bool holds) {
        if (!holds) std::abort();
    }
    static void require_printable(const std::string& text) { require(sip_text::printable(text, 4096) == text); }
    void check(const SipRegistered& registered) const {
        require_printable(registered.user);
        require_printable(registered.contact_user);
    }
    void check(const SipCallStarted& started) {
        require(calls_.insert(started.call).second);
        require_printable(started.call_id);
        require_printable(started.request_user);
        for (const SipParty& party : {started.from, started.to}) {
            require_printable(party.user);
            require_printable(party.host);
            require_printable(party.display_name);
        }
    }
    void check(const SipCallMedia& media) const {
        require(calls_.contains(media.call) && !media.media.empty());
        for (const MediaDescription& description : media.media) {
            require(description.endpoint.port != 0);
            for (const PayloadMapping& payload : description.payloads)
                require(payload.payload_type < 128 && payload.clock_rate_hz != 0 && !payload.encoding.empty());
        }
    }
    void check(const SipCallAnswered& answered) const { require(calls_.contains(answered.call)); }
    void check(const SipCallEnded& ended) { require(calls_.erase(ended.call) == 1); }

    std::set<std::uint64_t> calls_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> input(data, size);
    EventCheck check;
    SipDialogs dialogs({.max_calls = 100, .max_users = 4}, [&](SipEvent&& event) { check(event); });
    const std::uint8_t addresses[] = {192, 0, 2, 1, 192, 0, 2, 2};
    const Endpoint ends[] = {{IpAddress::from_v4(addresses), 5060}, {IpAddress::from_v4(addresses + 4), 5060}};
    TimeNs now_ns = 1'700'000'000 * kNsPerSecond;
    int direction = 0;
    for (auto begin = input.begin(); begin != input.end();) {
        const auto end = std::find(begin, input.end(), kSeparator);
        const std::string copy(begin, end);  // of its own, so that reading past its end is noticed
        const std::span message(reinterpret_cast<const std::uint8_t*>(copy.data()), copy.size());
        dialogs.on_message(now_ns, ends[direction], ends[1 - direction], message);
        [[maybe_unused]] const bool like_sip = looks_like_sip(message);
        dialogs.expire(now_ns += 7 * kNsPerSecond);
        direction = 1 - direction;
        begin = end == input.end() ? end : end + 1;
    }
    if (check.under_way() != dialogs.calls()) std::abort();
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    parse_sdp(find_sdp("multipart/mixed;boundary=b", text), CallParty::caller);
    parse_sdp(text, CallParty::callee);
    for (const SrtpKey& key : parse_sdp_crypto(text))
        if (key.mki_bytes > kMaxMkiBytes) std::abort();
    return 0;
}
