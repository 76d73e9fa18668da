// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/live_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "capture/source/link_types.h"

namespace spantape {

namespace {

constexpr int kSnapBytes = 65'535;
// How long the kernel may hold a block of packets back that is not full yet. Libpcap's immediate mode would hold none
// back, but takes a slot of the largest packet's size for each one out of the ring: a few hundred milliseconds of
// calls where this way seconds fit, and a wake-up each.
constexpr int kBlockTimeoutMs = 1;
constexpr TimeNs kLookAfterNs = kNsPerSecond;

using Handle = std::unique_ptr<pcap, decltype(&pcap_close)>;

std::string why_not(int status, pcap* handle) {
    const std::string detail = pcap_geterr(handle);
    switch (status) {
        case PCAP_ERROR_NO_SUCH_DEVICE:
            return "no such interface";
        case PCAP_ERROR_PERM_DENIED:
        case PCAP_ERROR_PROMISC_PERM_DENIED:
            return "no permission to capture (needs CAP_NET_RAW, or root)";
        case PCAP_ERROR_IFACE_NOT_UP:
            return "the interface is down";
        default:
            return detail.empty() ? pcap_statustostr(status) : detail;
    }
}

Result<Handle> activate(const std::string& interface, const SourceOptions& options) {
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    Handle handle(pcap_create(interface.c_str(), why.data()), pcap_close);
    if (!handle) return fail("{}", why.data());
    pcap_set_snaplen(handle.get(), kSnapBytes);
    pcap_set_promisc(handle.get(), 1);
    pcap_set_timeout(handle.get(), kBlockTimeoutMs);
    pcap_set_buffer_size(handle.get(), static_cast<int>(std::min(options.kernel_ring_bytes, 1u << 30)));
    pcap_set_tstamp_precision(handle.get(), PCAP_TSTAMP_PRECISION_NANO);
    const int status = pcap_activate(handle.get());
    if (status < 0) return fail("{}", why_not(status, handle.get()));  // above 0: a warning, it works
    if (pcap_setnonblock(handle.get(), 1, why.data()) < 0) return fail("{}", why.data());
    return handle;
}

}  // namespace

LiveSource::LiveSource(std::string spec, std::string interface, std::uint8_t index, const SourceOptions& options)
    : name_(std::move(spec)),
      interface_(std::move(interface)),
      index_(index),
      options_(options),
      counts_card_drops_(options.workers == 1 || options.worker == 0),
      buffer_(kSnapBytes) {}

LiveSource::~LiveSource() {
    if (handle_ != nullptr) pcap_close(handle_);
}

Result<std::unique_ptr<Source>> LiveSource::open(const std::string& spec, const std::string& interface,
                                                 std::uint8_t index, const SourceOptions& options) {
    std::unique_ptr<LiveSource> source(new LiveSource(spec, interface, index, options));
    if (auto begun = source->begin(); !begun) return std::unexpected(begun.error());
    return source;
}

// An error leaves all as it is.
Result<> LiveSource::begin() {
    auto handle = activate(interface_, options_);
    if (!handle) return std::unexpected(handle.error());
    const int number = pcap_datalink(handle->get());
    const auto link = link_type_of(number);
    if (!link) return fail("the interface has link type {}, which is not supported", link_type_name(number));
    if (options_.workers > 1)
        if (auto joined = join_fanout(handle->get()); !joined) return joined;
    if (handle_ != nullptr) pcap_close(handle_);
    handle_ = handle->release();
    link_ = *link;
    interface_number_ = if_nametoindex(interface_.c_str());
    wait_fd_ = pcap_get_selectable_fd(handle_);
    last_dropped_ = last_card_dropped_ = 0;
    gone_ = false;
    error_.set("");
    read_drops();
    return {};
}

// The kernel's hash is symmetric: both directions between two ports come to one worker. Fragments are spread by their
// addresses alone, and whole: the kernel must not reassemble them, as its limits are not ours.
Result<> LiveSource::join_fanout(pcap* handle) {
    const int group = (options_.fanout_group + index_) & 0xffff;  // a group belongs to one interface
    const int argument = group | PACKET_FANOUT_HASH << 16;
    if (setsockopt(pcap_fileno(handle), SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) < 0) {
        return fail("cannot share the interface among {} workers (fanout group {}): {}", options_.workers, group,
                    std::strerror(errno));
    }
    // Until it joined, this socket was given every packet.
    not_before_ns_ = wall_clock_ns();
    return {};
}

std::size_t LiveSource::poll(std::span<Packet> burst) {
    if (gone_) {
        look_for_interface(monotonic_ns());
        return 0;
    }
    buffer_.clear();
    Burst taken{this, burst.first(std::min(burst.size(), kBurstPackets))};
    const int got = pcap_dispatch(handle_, static_cast<int>(taken.packets.size()), &LiveSource::take,
                                  reinterpret_cast<std::uint8_t*>(&taken));
    packets_.add(taken.count);
    bytes_.add(taken.bytes);
    if (got < 0) {
        gone_ = true;
        error_.set(pcap_geterr(handle_));
        return taken.count;
    }
    look_after(monotonic_ns());
    return taken.count;
}

void LiveSource::take(std::uint8_t* burst, const pcap_pkthdr* header, const std::uint8_t* data) {
    Burst& taken = *reinterpret_cast<Burst*>(burst);
    LiveSource& source = *taken.source;
    const TimeNs time_ns = static_cast<TimeNs>(header->ts.tv_sec) * kNsPerSecond + header->ts.tv_usec;
    if (source.not_before_ns_ != 0) {
        if (time_ns < source.not_before_ns_) return;
        source.not_before_ns_ = 0;
    }
    const Packet packet{data, header->caplen, header->len, time_ns, source.link_, source.index_};
    taken.packets[taken.count++] = source.buffer_.keep(packet);
    taken.bytes += header->caplen;
}

// Another one of its name, once there is one and it is up: as after a driver was loaded again.
void LiveSource::look_for_interface(TimeNs now_ns) {
    if (now_ns - looked_after_ns_ < kLookAfterNs) return;
    looked_after_ns_ = now_ns;
    if (if_nametoindex(interface_.c_str()) == 0) return;
    if (const auto begun = begin(); !begun) error_.set(begun.error().message.c_str());
}

void LiveSource::look_after(TimeNs now_ns) {
    if (now_ns - looked_after_ns_ < kLookAfterNs) return;
    looked_after_ns_ = now_ns;
    read_drops();
    check_interface();
}

void LiveSource::read_drops() {
    pcap_stat sums{};
    if (pcap_stats(handle_, &sums) < 0) return;
    dropped_kernel_.add(static_cast<std::uint32_t>(sums.ps_drop - last_dropped_));
    if (counts_card_drops_) dropped_card_.add(static_cast<std::uint32_t>(sums.ps_ifdrop - last_card_dropped_));
    last_dropped_ = sums.ps_drop;
    last_card_dropped_ = sums.ps_ifdrop;
}

// An interface that is down comes back with the same number and the capture goes on; one that was removed does not.
void LiveSource::check_interface() {
    if (interface_number_ == 0) return;
    ifreq request{};
    interface_.copy(request.ifr_name, sizeof request.ifr_name - 1);
    const int fd = pcap_fileno(handle_);
    if (if_nametoindex(interface_.c_str()) != interface_number_) {
        gone_ = true;
        error_.set("the interface was removed");
    } else if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) == 0) {
        error_.set("the interface is down");
    } else {
        error_.set("");
    }
}

SourceCounters LiveSource::counters() const {
    return {packets_.get(), bytes_.get(), dropped_kernel_.get(), dropped_card_.get()};
}

}  // namespace spantape
