// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/chained_log_file.h"

#include <cerrno>
#include <cmath>
#include <cstring>

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json/parse.hpp>

#include "storage/chained_log.h"

namespace spantape {

namespace chained_log {

namespace {

namespace json = boost::json;

constexpr std::string_view kSignatureMember = ",\"signature\":\"";
constexpr std::size_t kMaxDepth = 16;

std::string with_signature(std::string object, const SigningKey& key) {
    const std::string signature = key.sign(object);
    object.pop_back();
    return fmt::format("{}{}{}\"}}", object, kSignatureMember, signature);
}

struct Signed {
    std::string text;  // without the signature
    std::string_view signature;
};
std::optional<Signed> split_signature(std::string_view line) {
    constexpr std::size_t kTail = kSignatureMember.size() + kSignatureHexDigits + 2;
    if (line.size() <= kTail || !line.ends_with("\"}")) return std::nullopt;
    const std::string_view tail = line.substr(line.size() - kTail);
    if (!tail.starts_with(kSignatureMember)) return std::nullopt;
    std::string text(line.substr(0, line.size() - kTail));
    text.push_back('}');
    return Signed{std::move(text), tail.substr(kSignatureMember.size(), kSignatureHexDigits)};
}

std::optional<json::object> parse_object(std::string_view text) {
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::error_code error;
    json::value value = json::parse(text, error, {}, options);
    if (error || !value.is_object()) return std::nullopt;
    return std::move(value.get_object());
}

std::optional<std::uint64_t> number_in(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_uint64()) return value->get_uint64();
    if (value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
    return std::nullopt;
}

std::string text_in(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

File::~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Lock::Lock(int descriptor, int how) : descriptor_(descriptor) {
    while (flock(descriptor, how) != 0 && errno == EINTR) {
    }
}
Lock::~Lock() { flock(descriptor_, LOCK_UN); }

Result<> write_all(int file, std::string_view bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const auto put = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail("{}", strerror(errno));
        bytes.remove_prefix(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<std::string> read_at(int file, std::uint64_t offset, std::size_t bytes) {
    std::string text(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
        const auto got = pread(file, text.data() + done, bytes - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail("{}", strerror(errno));
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    text.resize(done);
    return text;
}

Result<std::uint64_t> size_of(int file) {
    struct stat status{};
    if (fstat(file, &status) != 0) return fail("{}", strerror(errno));
    return static_cast<std::uint64_t>(status.st_size);
}

std::string make_line(std::uint64_t n, TimeNs time_ns, std::string_view members, std::string_view previous,
                      const SigningKey& key) {
    const std::string_view own = members.substr(1, members.size() - 2);
    return with_signature(
        fmt::format("{{\"n\":{},\"time\":{}.{:06},{}{}\"previous\":\"{}\"}}", n, time_ns / kNsPerSecond,
                    time_ns % kNsPerSecond / 1000, own, own.empty() ? "" : ",", previous),
        key);
}

std::string head_path(const std::string& log_path) { return log_path + ".head"; }

std::string log_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string make_head(const Head& head, std::string_view log, const SigningKey& key) {
    std::string text =
        with_signature(fmt::format("{{\"log\":\"{}\",\"n\":{},\"hash\":\"{}\"}}", log, head.n, head.hash), key);
    text.resize(kHeadBytes - 1, ' ');
    return text + "\n";
}

std::optional<Head> parse_head(std::string_view text, std::string_view log, const VerifyingKey& key) {
    const std::size_t end = text.find_last_not_of(" \n");
    if (end == std::string_view::npos) return std::nullopt;
    const auto parts = split_signature(text.substr(0, end + 1));
    if (!parts || !key.verify(parts->text, parts->signature)) return std::nullopt;
    const auto object = parse_object(parts->text);
    if (!object || text_in(*object, "log") != log) return std::nullopt;
    const auto n = number_in(*object, "n");
    if (!n) return std::nullopt;
    return Head{*n, text_in(*object, "hash")};
}

}  // namespace chained_log

Result<LogLine> parse_log_line(std::string_view text) {
    using namespace chained_log;
    if (text.size() > kMaxLogLineBytes) return fail("it is {} bytes long", text.size());
    const auto parts = split_signature(text);
    if (!parts) return fail("it carries no signature");
    auto object = parse_object(text);
    if (!object) return fail("it is no JSON object");
    LogLine line;
    const auto n = number_in(*object, "n");
    const boost::json::value* time = object->if_contains("time");
    line.previous = text_in(*object, "previous");
    if (!n || *n == 0) return fail("it has no number");
    if (time == nullptr || !time->is_number()) return fail("it has no time");
    const double time_s = time->to_number<double>();
    if (!(time_s >= 0 && time_s < 9e9)) return fail("it has no time");
    if (line.previous.size() != kSha256HexDigits) return fail("it names no line before");
    line.n = *n;
    line.time_ns = std::llround(time_s * 1e6) * 1000;
    line.signed_text = parts->text;
    line.signature = parts->signature;
    line.members = std::move(*object);
    return line;
}

}  // namespace spantape
