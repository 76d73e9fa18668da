// SPDX-License-Identifier: AGPL-3.0-or-later
// Writes through libpcap, with a large buffer under it.
#include <pcap/pcap.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "tools/gen/sink.h"

namespace spantape::gen {
namespace {

class PcapSink : public PacketSink {
public:
    PcapSink(std::string path, pcap_t* pcap, pcap_dumper_t* dumper)
        : path_(std::move(path)), pcap_(pcap), dumper_(dumper) {}
    ~PcapSink() override {
        if (dumper_ != nullptr) pcap_dump_close(dumper_);
        pcap_close(pcap_);
    }

    Result<> put(TimeNs time_ns, std::span<const std::uint8_t> packet) override {
        pcap_pkthdr header{};
        header.ts.tv_sec = time_ns / kNsPerSecond;
        header.ts.tv_usec = time_ns % kNsPerSecond;  // nanoseconds, as the file was opened
        header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
        pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, packet.data());
        return {};
    }

    Result<> finish() override {
        // pcap_dump() reports nothing; the stream remembers.
        const bool failed = std::ferror(pcap_dump_file(dumper_)) != 0 || pcap_dump_flush(dumper_) != 0;
        const int reason = errno;
        pcap_dump_close(std::exchange(dumper_, nullptr));
        if (failed) return fail("{}: cannot be written: {}", path_, std::strerror(reason));
        return {};
    }

private:
    std::string path_;
    pcap_t* pcap_;
    pcap_dumper_t* dumper_;
};

}  // namespace

Result<std::unique_ptr<PacketSink>> open_pcap_sink(const std::string& path) {
    FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
    if (file == nullptr) return fail("{}: cannot be created: {}", path, std::strerror(errno));
    std::setvbuf(file, nullptr, _IOFBF, 1 << 20);
    pcap_t* pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
    pcap_dumper_t* dumper = pcap != nullptr ? pcap_dump_fopen(pcap, file) : nullptr;
    if (dumper == nullptr) {
        std::fclose(file);
        if (pcap != nullptr) pcap_close(pcap);
        return fail("{}: the pcap header cannot be written", path);
    }
    return std::make_unique<PcapSink>(path, pcap, dumper);
}

}  // namespace spantape::gen
