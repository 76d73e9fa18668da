// SPDX-License-Identifier: AGPL-3.0-or-later
// RIFF/WAVE (Microsoft Multimedia Programming Interface, 1991) and RF64 (EBU Tech 3306) headers, and the export.
#include "storage/export/wav.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "storage/durable_file.h"

namespace spantape {
namespace {

constexpr std::uint32_t kSampleBytes = 2;
constexpr std::uint64_t kRiffHeaderBytes = 44;
constexpr std::uint64_t kRf64HeaderBytes = 80;

std::uint64_t data_bytes(const AudioFormat& format, std::uint64_t frames) {
    return frames * format.channels * kSampleBytes;
}

bool needs_rf64(std::uint64_t data) { return data + kRiffHeaderBytes - 8 > std::numeric_limits<std::uint32_t>::max(); }

template <class Integer>
void put_little_endian(std::string& out, Integer value) {
    for (std::size_t i = 0; i < sizeof value; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

void put_format_chunk(std::string& out, const AudioFormat& format) {
    out += "fmt ";
    put_little_endian<std::uint32_t>(out, 16);
    put_little_endian<std::uint16_t>(out, 1);  // PCM
    put_little_endian<std::uint16_t>(out, format.channels);
    put_little_endian<std::uint32_t>(out, format.sample_rate_hz);
    put_little_endian<std::uint32_t>(out, format.sample_rate_hz * format.channels * kSampleBytes);
    put_little_endian<std::uint16_t>(out, static_cast<std::uint16_t>(format.channels * kSampleBytes));
    put_little_endian<std::uint16_t>(out, 8 * kSampleBytes);
}

// Owns a file that gets its name only when it is complete.
class PartFile {
public:
    explicit PartFile(std::string path) : path_(std::move(path)), part_(path_ + ".part-XXXXXX") {
        fd_ = ::mkostemp(part_.data(), O_CLOEXEC);
    }
    ~PartFile() {
        if (fd_ < 0) return;
        ::close(fd_);
        if (!complete_) ::unlink(part_.c_str());
    }
    PartFile(const PartFile&) = delete;
    PartFile& operator=(const PartFile&) = delete;

    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    bool write(std::span<const char> bytes) {
        while (!bytes.empty()) {
            const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
        return true;
    }
    bool complete() {
        complete_ = ::fchmod(fd_, 0640) == 0 && ::fsync(fd_) == 0 && std::rename(part_.c_str(), path_.c_str()) == 0;
        return complete_;
    }

private:
    std::string path_;
    std::string part_;
    int fd_ = -1;
    bool complete_ = false;
};

}  // namespace

std::string wav_header(const AudioFormat& format, std::uint64_t frames) {
    const std::uint64_t data = data_bytes(format, frames);
    const bool rf64 = needs_rf64(data);
    constexpr std::uint32_t kSeeDs64 = 0xffffffff;
    std::string out = rf64 ? "RF64" : "RIFF";
    put_little_endian<std::uint32_t>(out, rf64 ? kSeeDs64 : static_cast<std::uint32_t>(kRiffHeaderBytes - 8 + data));
    out += "WAVE";
    if (rf64) {
        out += "ds64";
        put_little_endian<std::uint32_t>(out, 28);
        put_little_endian<std::uint64_t>(out, kRf64HeaderBytes - 8 + data);
        put_little_endian<std::uint64_t>(out, data);
        put_little_endian<std::uint64_t>(out, frames);
        put_little_endian<std::uint32_t>(out, 0);  // no table
    }
    put_format_chunk(out, format);
    out += "data";
    put_little_endian<std::uint32_t>(out, rf64 ? kSeeDs64 : static_cast<std::uint32_t>(data));
    return out;
}

Result<WavPlaces> wav_places(int file) {
    std::array<std::byte, 80> head{};
    const auto end = lseek(file, 0, SEEK_END);
    constexpr std::int64_t kShortHead = 44;
    if (end < kShortHead) return fail("is no WAV file");
    if (auto read =
            read_at(file, std::span(head).first(std::min<std::size_t>(head.size(), static_cast<std::size_t>(end))), 0);
        !read)
        return std::unexpected(read.error());
    const bool rf64 = std::memcmp(head.data(), "RF64", 4) == 0;
    const std::size_t format = rf64 ? 48 : 12;
    const auto is_at = [&](std::size_t at, const char* text) { return std::memcmp(head.data() + at, text, 4) == 0; };
    if ((!rf64 && !is_at(0, "RIFF")) || !is_at(8, "WAVE") || !is_at(format, "fmt ") || !is_at(format + 24, "data"))
        return fail("is no WAV file of ours");
    std::uint16_t channels = 0, bits = 0;
    WavPlaces places{.data = format + 32, .end = static_cast<std::uint64_t>(end)};
    std::memcpy(&channels, head.data() + format + 10, sizeof channels);
    std::memcpy(&places.rate_hz, head.data() + format + 12, sizeof places.rate_hz);
    std::memcpy(&bits, head.data() + format + 22, sizeof bits);
    places.frame_bytes = channels * 2u;
    if (bits != 16 || channels == 0 || places.rate_hz == 0) return fail("is no WAV file of ours");
    return places;
}

std::uint64_t wav_bytes(const AudioFormat& format, std::uint64_t frames) {
    const std::uint64_t data = data_bytes(format, frames);
    return data + (needs_rf64(data) ? kRf64HeaderBytes : kRiffHeaderBytes);
}

Result<> export_wav(RecordingAudio& audio, const std::function<bool(std::span<const char>)>& sink) {
    if (!sink(wav_header(audio.format(), audio.total_frames()))) return fail("WAV export: the receiver stopped");
    std::vector<char> bytes;
    for (;;) {
        const auto samples = audio.next();
        if (!samples) return std::unexpected(samples.error());
        if (samples->empty()) return {};
        bytes.clear();
        for (const std::int16_t sample : *samples) {
            bytes.push_back(static_cast<char>(sample & 0xff));
            bytes.push_back(static_cast<char>(sample >> 8 & 0xff));
        }
        if (!sink(bytes)) return fail("WAV export: the receiver stopped");
    }
}

Result<> export_wav_file(RecordingAudio& audio, const std::string& path) {
    PartFile file(path);
    if (!file.is_open()) return fail("{}: cannot be created: {}", path, std::strerror(errno));
    int write_error = 0;
    const auto exported = export_wav(audio, [&](std::span<const char> bytes) {
        if (file.write(bytes)) return true;
        write_error = errno;
        return false;
    });
    if (write_error != 0) return fail("{}: cannot be written: {}", path, std::strerror(write_error));
    if (!exported) return fail("{}: {}", path, exported.error().message);
    if (!file.complete()) return fail("{}: cannot be completed: {}", path, std::strerror(errno));
    return {};
}

}  // namespace spantape
