// SPDX-License-Identifier: AGPL-3.0-or-later
// ZIP archives as a stream. libarchive is known only here.
#include <archive.h>
#include <archive_entry.h>

#include <set>

#include "storage/export/audio_file.h"

namespace spantape {
namespace {

struct Free {
    void operator()(archive* writer) const { archive_write_free(writer); }
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

class ZipFile final : public ExportedFile {
public:
    ZipFile(std::vector<ZipMember> members, TimeNs now_ns)
        : writer_(archive_write_new()), members_(std::move(members)), now_ns_(now_ns) {}

    Result<> open() {
        if (!writer_) return fail("ZIP: no memory");
        // Audio is not worth deflating: compressed formats do not shrink, and WAV little for its time.
        if (archive_write_set_format_zip(writer_.get()) != ARCHIVE_OK ||
            archive_write_zip_set_compression_store(writer_.get()) != ARCHIVE_OK ||
            archive_write_set_bytes_per_block(writer_.get(), 0) != ARCHIVE_OK ||
            archive_write_open2(writer_.get(), this, nullptr, &ZipFile::collect, nullptr, nullptr) != ARCHIVE_OK)
            return error();
        return {};
    }

    std::optional<std::uint64_t> bytes() const override { return std::nullopt; }

    Result<std::string> next() override {
        while (collected_.empty() && !closed_)
            if (const auto stepped = step(); !stepped) return std::unexpected(stepped.error());
        return std::exchange(collected_, {});
    }

private:
    static la_ssize_t collect(archive* /*writer*/, void* self, const void* bytes, std::size_t count) {
        static_cast<ZipFile*>(self)->collected_.append(static_cast<const char*>(bytes), count);
        return static_cast<la_ssize_t>(count);
    }

    // The next header, piece of a member, or the end.
    Result<> step() {
        if (!member_) {
            if (number_ == members_.size()) {
                closed_ = true;
                return archive_write_close(writer_.get()) == ARCHIVE_OK ? Result<>() : error();
            }
            return begin(members_[number_++]);
        }
        const auto piece = member_->next();
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) {
            member_.reset();
            return archive_write_finish_entry(writer_.get()) == ARCHIVE_OK ? Result<>() : error();
        }
        const la_ssize_t written = archive_write_data(writer_.get(), piece->data(), piece->size());
        return written == static_cast<la_ssize_t>(piece->size()) ? Result<>() : error();
    }

    Result<> begin(ZipMember& member) {
        auto opened = member.open();
        if (!opened) return std::unexpected(opened.error());
        member_ = std::move(*opened);
        const std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
        if (!entry) return fail("ZIP: no memory");
        archive_entry_set_pathname_utf8(entry.get(), different(member.name).c_str());
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0644);
        archive_entry_set_mtime(entry.get(), now_ns_ / kNsPerSecond, 0);
        if (const auto size = member_->bytes()) archive_entry_set_size(entry.get(), static_cast<la_int64_t>(*size));
        return archive_write_header(writer_.get(), entry.get()) == ARCHIVE_OK ? Result<>() : error();
    }

    std::string different(const std::string& name) {
        std::string tried = name;
        const std::size_t dot = std::min(name.rfind('.'), name.size());
        for (int number = 2; !names_.insert(tried).second; ++number)
            tried = fmt::format("{}-{}{}", name.substr(0, dot), number, name.substr(dot));
        return tried;
    }

    [[nodiscard]] std::unexpected<Error> error() const {
        const char* why = archive_error_string(writer_.get());
        return fail("ZIP: {}", why != nullptr ? why : "cannot be written");
    }

    std::unique_ptr<archive, Free> writer_;
    std::vector<ZipMember> members_;
    TimeNs now_ns_;
    std::size_t number_ = 0;  // of the member that comes next
    std::unique_ptr<ExportedFile> member_;
    std::set<std::string> names_;
    std::string collected_;
    bool closed_ = false;
};

}  // namespace

Result<std::unique_ptr<ExportedFile>> zip_file(std::vector<ZipMember> members, TimeNs now_ns) {
    auto file = std::make_unique<ZipFile>(std::move(members), now_ns);
    if (const auto opened = file->open(); !opened) return std::unexpected(opened.error());
    return file;
}

}  // namespace spantape
