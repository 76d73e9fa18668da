// SPDX-License-Identifier: AGPL-3.0-or-later
// IP fragments -> whole datagrams (RFC 791 §3.2, RFC 8200 §4.5). A table of fixed size, allocated at the start and
// touched only as far as fragments come: none is allocated per packet. Belongs to one worker.
//
// The table is in sets, one a pair of addresses: a flood of fragments between two hosts pushes out only what is of its
// own set. Within a set the oldest gives way.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/packet/drop_reason.h"

namespace spantape {

// One fragment, as its IP header tells.
struct Fragment {
    IpAddress source;
    IpAddress destination;
    std::uint32_t id = 0;
    std::uint8_t protocol = 0;  // IPv4: part of the datagram's name; IPv6: what the first fragment says counts
    bool ipv6 = false;
    bool more = false;                    // not the datagram's end
    std::uint32_t offset = 0;             // bytes
    std::span<const std::uint8_t> bytes;  // all of them: a fragment that was cut short cannot be joined
    TimeNs time_ns = 0;                   // capture time
};

class Fragments {
public:
    // Linux waits as long for IPv4. RFC 1122 §3.3.2 and RFC 8200 §4.5 say 60 s, for links that we do not stand behind:
    // at a mirror port the parts of a datagram come together, and the longer parts wait, the more likely are they
    // joined with those of another datagram under the same 16-bit id (RFC 4963).
    static constexpr TimeNs kTimeoutNs = 30 * kNsPerSecond;
    // A whole datagram is remembered for so long, so that a second mirror's copies of its fragments begin no new one.
    static constexpr TimeNs kRememberNs = kNsPerSecond;

    struct Joined {
        DropReason reason = DropReason::none;
        std::uint8_t protocol = 0;            // none: the datagram's
        std::span<const std::uint8_t> bytes;  // none: the datagram's payload of IP, valid until release()
    };
    // Packets that were held and are decided now.
    struct Settled {
        std::uint64_t joined = 0;
        std::uint64_t incomplete = 0;
    };

    Fragments();
    ~Fragments();
    Fragments(const Fragments&) = delete;
    Fragments& operator=(const Fragments&) = delete;

    // In any order. Gives reason none for the fragment that made the datagram whole; held while parts are missing;
    // fragment_joined for the copy of a part that is in a datagram already; fragment_incomplete where it contradicts
    // the parts that came before (another length; with IPv6 any overlap that is no plain copy, RFC 5722 §4; with IPv4
    // what came first stays); bad_ip where it cannot be a fragment (RFC 8200 §4.5: an odd length, beyond 65,535 bytes).
    Joined add(const Fragment& fragment);

    // The caller is through with all datagrams given so far. To be called at least once every 64 packets: beyond 4 MiB
    // of datagrams none is joined.
    void release() { lent_bytes_ = 0; }
    // Gives up what waited too long by the capture clock.
    void expire(TimeNs now_ns);
    // Gives up everything: nothing more will come.
    void give_up();
    [[nodiscard]] Settled take_settled();

private:
    struct Assembly;

    Assembly& assembly_of(const Fragment& fragment);
    Assembly& begin(Assembly& assembly, const Fragment& fragment);
    void drop(Assembly& assembly);
    void take(Assembly& assembly, const Fragment& fragment);
    Joined refuse(Assembly& assembly);
    Joined finish(Assembly& assembly, TimeNs now_ns);
    [[nodiscard]] std::uint8_t* buffer_of(const Assembly& assembly) const;
    [[nodiscard]] bool repeats(const Assembly& assembly, const Fragment& fragment) const;
    [[nodiscard]] bool contradicts(const Assembly& assembly, const Fragment& fragment) const;

    std::unique_ptr<Assembly[]> table_;
    std::unique_ptr<std::uint8_t[]> buffers_;  // one of 64 KiB for each entry of the table
    std::unique_ptr<std::uint8_t[]> lent_;     // whole datagrams until release()
    std::size_t lent_bytes_ = 0;
    std::uint64_t begun_ = 0;
    Settled settled_;
};

}  // namespace spantape
