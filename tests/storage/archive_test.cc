// SPDX-License-Identifier: AGPL-3.0-or-later
// What an archive action leaves in its target, whatever happens while it does.
#include "storage/archive.h"

#include <csignal>
#include <fstream>

#include <sys/resource.h>
#include <boost/json.hpp>

#include "storage/archiver.h"
#include "storage/audio/playout.h"
#include "storage/export/wav.h"
#include "storage/purge.h"
#include "storage/signing_key.h"
#include "tests/storage/test_store.h"

namespace spantape {
namespace {

namespace fs = std::filesystem;

constexpr TimeNs kDayNs = 86'400 * kNsPerSecond;
constexpr TimeNs kNowNs = 1'800'000'000 * kNsPerSecond;  // 2027
const std::string kUs = "00112233aabbccdd";

std::string text_of(const std::string& path) {
    const auto bytes = read_bytes(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Files below a directory, relative to it, sorted; without the mark.
std::vector<std::string> files_below(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& each : fs::recursive_directory_iterator(folder))
        if (each.is_regular_file() && each.path().filename() != ".spantape-archive")
            names.push_back(fs::relative(each.path(), folder));
    std::ranges::sort(names);
    return names;
}

class ArchiveTest : public testing::Test {
protected:
    ArchiveTest() {
        for (Recording& recording : store_.recordings_) {
            recording.start_ns = kNowNs - kDayNs;
            recording.stop_ns = recording.start_ns + 5 * kNsPerSecond;
            recording.device_id = "2001";
            recording.filename = fmt::format("/var/lib/spantape/20270114/2001/2001-10-00-{:02}.wav", recording.ident);
            recording.archive_action = 7;
            put(recording);
        }
        action_.number = 7;
        action_.name = "year";
        action_.path = target_.path();
    }

    void put(const Recording& recording) {
        Index::Batch batch;
        batch.recordings.push_back(recording);
        ASSERT_TRUE(store_.index->put(batch));
    }
    [[nodiscard]] ArchiveSource source() const { return {*store_.index, {store_.segments(), nullptr}, kUs}; }
    [[nodiscard]] Recording& recording(std::uint64_t ident) { return store_.recordings_.at(ident - 1); }
    [[nodiscard]] std::string path_to(const std::string& name) const { return target_.path() + "/" + name; }

    std::expected<ArchivedFile, ArchiveFailure> archive_it(std::uint64_t ident, const std::string& identity = kUs) {
        ArchiveSource from = source();
        from.identity = identity;
        return archive(from, recording(ident), action_, "", kNowNs, [this] { return go_on_; });
    }
    // What lies there is the recording's, whole, and nothing else lies beside it.
    void expect_copy(std::uint64_t ident, const std::string& name) {
        const std::string audio = text_of(path_to(name));
        const auto sidecar = read_sidecar(sidecar_path(path_to(name)));
        ASSERT_TRUE(sidecar && *sidecar) << name;
        EXPECT_EQ((*sidecar)->ident, ident);
        EXPECT_EQ((*sidecar)->bytes, audio.size());
        EXPECT_EQ((*sidecar)->sha256, sha256_hex(audio));
        EXPECT_EQ(audio, exported(ident));
    }
    std::string exported(std::uint64_t ident) {
        auto audio = RecordingAudio::open(*store_.index, {store_.segments(), nullptr}, recording(ident), 0);
        std::string bytes;
        EXPECT_TRUE(export_wav(**audio, [&](std::span<const char> piece) {
            bytes.append(piece.data(), piece.size());
            return true;
        }));
        return bytes;
    }

    TestStore store_;
    const TemporaryDirectory target_;
    ArchiveAction action_;
    bool go_on_ = true;
};

TEST_F(ArchiveTest, ACopyHasThePlaceThatFilenameNamesAndASidecar) {
    recording(1).ani = "\"555\"";
    put(recording(1));
    const auto file = archive_it(1);
    ASSERT_TRUE(file) << file.error().why;
    EXPECT_EQ(file->name, "20270114/2001/2001-10-00-01.wav");
    EXPECT_FALSE(file->was_there);
    EXPECT_EQ(files_below(target_.path()),
              (std::vector<std::string>{"20270114/2001/2001-10-00-01.wav", "20270114/2001/2001-10-00-01.wav.json"}));
    expect_copy(1, file->name);
    const auto sidecar = boost::json::parse(text_of(sidecar_path(path_to(file->name))));
    EXPECT_EQ(sidecar.at("archive").at("sha256").as_string(), file->sha256);
    EXPECT_EQ(sidecar.at("archive").at("name").as_string(), "year");
    EXPECT_EQ(sidecar.at("archive").at("store").as_string(), kUs);
    EXPECT_EQ(sidecar.at("recording"), boost::json::parse(to_public_json(recording(1))));
    EXPECT_TRUE(*store_.index->recording(1)) << "copied, not moved";
}

TEST_F(ArchiveTest, OnceMoreFindsWhatIsThere) {
    const auto first = archive_it(1);
    ASSERT_TRUE(first);
    const auto written = fs::last_write_time(path_to(first->name));
    const auto again = archive_it(1);
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->was_there);
    EXPECT_EQ(again->name, first->name);
    EXPECT_EQ(again->sha256, first->sha256);
    EXPECT_EQ(fs::last_write_time(path_to(first->name)), written);
}

TEST_F(ArchiveTest, BrokenOffAnywhereTheNextAttemptFinishes) {
    const auto first = archive_it(1);
    ASSERT_TRUE(first);
    const std::string audio = path_to(first->name);
    // After the sidecar's name, before the audio's.
    fs::remove(audio);
    ASSERT_TRUE(archive_it(1));
    expect_copy(1, first->name);
    // While the audio was being written.
    fs::remove(audio);
    fs::remove(sidecar_path(audio));
    const std::string part = path_to("20270114/2001/.part-" + kUs + "-1");
    std::ofstream(part) << std::string(1'000'000, 'x');
    ASSERT_TRUE(archive_it(1));
    expect_copy(1, first->name);
    EXPECT_FALSE(fs::exists(part));
    // The disk gave the audio back otherwise than it took it.
    auto bytes = read_bytes(audio);
    bytes[bytes.size() / 2] ^= std::byte{1};
    write_bytes(audio, bytes);
    const auto repaired = archive_it(1);
    ASSERT_TRUE(repaired);
    EXPECT_FALSE(repaired->was_there);
    expect_copy(1, first->name);
    EXPECT_EQ(files_below(target_.path()).size(), 2u);
}

TEST_F(ArchiveTest, WhatIsAnothersIsNeverOverwritten) {
    recording(2).filename = recording(3).filename = recording(1).filename;
    put(recording(2));
    put(recording(3));
    fs::create_directories(path_to("20270114/2001"));
    std::ofstream(path_to("20270114/2001/2001-10-00-01.wav")) << "a file of somebody";
    std::ofstream(path_to("20270114/2001/2001-10-00-01-2.wav.json")) << "{}";
    ASSERT_EQ(archive_it(1)->name, "20270114/2001/2001-10-00-01-3.wav");
    ASSERT_EQ(archive_it(2)->name, "20270114/2001/2001-10-00-01-4.wav");
    // Another recorder has a recording of this number and name.
    ASSERT_EQ(archive_it(1, "another recorder")->name, "20270114/2001/2001-10-00-01-5.wav");
    expect_copy(1, "20270114/2001/2001-10-00-01-3.wav");
    expect_copy(2, "20270114/2001/2001-10-00-01-4.wav");
    EXPECT_EQ(text_of(path_to("20270114/2001/2001-10-00-01.wav")), "a file of somebody");
    EXPECT_EQ(text_of(path_to("20270114/2001/2001-10-00-01-2.wav.json")), "{}");
    // Those in front are gone; ours is found all the same.
    fs::remove(path_to("20270114/2001/2001-10-00-01.wav"));
    fs::remove(path_to("20270114/2001/2001-10-00-01-2.wav.json"));
    const auto again = archive_it(1);
    EXPECT_TRUE(again->was_there);
    EXPECT_EQ(again->name, "20270114/2001/2001-10-00-01-3.wav");
}

TEST_F(ArchiveTest, NamesThatLeadOutOfTheTargetAreNotTaken) {
    for (const char* filename : {"", "/../../x.wav", "/20270114/../x.wav", "/20270114/2001/.wav", "x.wav"}) {
        recording(1).filename = filename;
        const auto file = archive_it(1);
        ASSERT_TRUE(file) << file.error().why;
        EXPECT_EQ(fs::path(file->name).filename(), "recording-1.wav") << filename;
    }
    EXPECT_EQ(files_below(target_.path()).size(), 2u);
}

TEST_F(ArchiveTest, AFullTargetIsSaidAndLeavesNothingBehind) {
    ASSERT_TRUE(check_archive_target(target_.path(), *store_.index));
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{20'000, before.rlim_max};  // less than the audio, more than the sidecar
    setrlimit(RLIMIT_FSIZE, &small);
    const auto full = archive_it(1);
    setrlimit(RLIMIT_FSIZE, &before);
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().of, ArchiveFailure::Of::target);
    EXPECT_NE(full.error().why.find(target_.path()), std::string::npos) << full.error().why;
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
    ASSERT_TRUE(archive_it(1));
    expect_copy(1, "20270114/2001/2001-10-00-01.wav");
}

TEST_F(ArchiveTest, WhatIsStoppedLeavesNothingBehind) {
    go_on_ = false;
    const auto stopped = archive_it(1);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().of, ArchiveFailure::Of::stopped);
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
}

TEST_F(ArchiveTest, ATargetIsKnownByItsMark) {
    Index& index = *store_.index;
    const auto missing = check_archive_target(target_.path() + "/not there", index);
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message.find("No such file or directory"), std::string::npos);
    std::ofstream(path_to("file")) << "x";
    EXPECT_FALSE(check_archive_target(path_to("file"), index));
    EXPECT_FALSE(check_archive_target("/proc", index)) << "nothing can be written there";
    ASSERT_TRUE(check_archive_target(target_.path(), index));
    ASSERT_TRUE(check_archive_target(target_.path(), index));
    fs::remove(path_to(".spantape-archive"));  // the share is not mounted: its mount point is seen
    const auto unmounted = check_archive_target(target_.path(), index);
    ASSERT_FALSE(unmounted);
    EXPECT_NE(unmounted.error().message.find("is the share mounted?"), std::string::npos);
    std::ofstream(path_to(".spantape-archive")) << "";
    EXPECT_TRUE(check_archive_target(target_.path(), index));
}

TEST_F(ArchiveTest, OnlyOursThatAreOldEnoughExpire) {
    action_.keep_days = 30;
    ASSERT_TRUE(archive_it(1));
    ASSERT_TRUE(archive_it(2, "another recorder"));
    ArchiveAction other = action_;
    other.number = 8;
    ASSERT_TRUE(archive(source(), recording(3), other, "", kNowNs, [] { return true; }));
    ASSERT_TRUE(archive(source(), recording(4), action_, "", kNowNs + kDayNs, [] { return true; }));
    std::ofstream(path_to("20270114/2001/note.json")) << "{}";
    const auto expire = [&](TimeNs now_ns) {
        return remove_expired(
            action_, kUs, now_ns, [] { return true; }, [](const std::string& line) { FAIL() << line; });
    };
    EXPECT_TRUE(expire(kNowNs + 30 * kDayNs - 1).empty());
    const ArchivedCopy gone{1, 7, target_.path(), "20270114/2001/2001-10-00-01.wav"};
    EXPECT_EQ(expire(kNowNs + 30 * kDayNs), std::vector{gone});
    EXPECT_EQ(files_below(target_.path()).size(), 7u);
    EXPECT_FALSE(fs::exists(path_to(gone.name)) || fs::exists(path_to(gone.name) + ".json"));
    EXPECT_EQ(expire(kNowNs + 31 * kDayNs).size(), 1u);
    action_.keep_days = 0;
    EXPECT_TRUE(expire(kNowNs + 9999 * kDayNs).empty());
}

TEST_F(ArchiveTest, ErasingTakesTheCopiesOrSaysWhichAreLeft) {
    const auto file = archive_it(1);
    ASSERT_TRUE(file);
    Index& index = *store_.index;
    ASSERT_TRUE(index.put_archived({1, 7, target_.path(), file->name}));
    const auto unmounted = erase_archived(index, 1, kUs);  // without its mark
    ASSERT_TRUE(unmounted);
    ASSERT_EQ(unmounted->left.size(), 1u);
    EXPECT_NE(unmounted->left.front().find("out of reach"), std::string::npos) << unmounted->left.front();
    EXPECT_TRUE(fs::exists(path_to(file->name)));
    ASSERT_TRUE(check_archive_target(target_.path(), index));
    const auto erased = erase_archived(index, 1, kUs);
    ASSERT_TRUE(erased);
    EXPECT_TRUE(erased->left.empty());
    EXPECT_EQ(erased->erased.size(), 1u);
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
    EXPECT_FALSE(fs::exists(path_to("20270114"))) << "empty directories go";
    EXPECT_TRUE(fs::exists(target_.path()));
    EXPECT_TRUE(index.archived(1)->empty());
}

TEST_F(ArchiveTest, AnExportThatLacksSomethingIsKnown) {
    EXPECT_EQ(*missing_from_export(source(), recording(1)), "");
    recording(1).streams[0].payloads[0].encoding = "EVS";
    EXPECT_NE(missing_from_export(source(), recording(1))->find("exported as silence"), std::string::npos);
    recording(1).streams[0].payloads[0].encoding = "telephone-event";
    EXPECT_EQ(*missing_from_export(source(), recording(1)), "");
    store_.change(store_.chunks[2 * 2], sizeof(ChunkHeader) + 40);  // of recording 3
    EXPECT_NE(*missing_from_export(source(), recording(3)), "");
}

// ---- which are archived, and when

// What the window holds, and half a second around it, is zero; the rest is as it was; the sidecar tells.
TEST_F(ArchiveTest, ABlackoutThatReachesBackSilencesACopy) {
    ASSERT_TRUE(check_archive_target(target_.path(), *store_.index));
    const auto file = archive_it(1);
    ASSERT_TRUE(file);
    std::string before = text_of(path_to(file->name));
    std::fill(before.begin() + 44, before.end(), 'x');
    std::ofstream(path_to(file->name), std::ios::binary) << before;
    const TimeNs start_ns = recording(1).start_ns;
    const BlackoutWindow window{start_ns + 2 * kNsPerSecond, start_ns + 3 * kNsPerSecond};
    const ArchivedCopy copy{1, action_.number, action_.path, file->name};
    const auto of_phone = [](const std::string& phone) {
        return [phone](const Recording& recording, const auto&) { return recording.device_id == phone; };
    };
    EXPECT_FALSE(silence_archived(copy, kUs, window, of_phone("2002")).value());
    EXPECT_FALSE(silence_archived(copy, "another store's", window, of_phone("2001")).value());
    EXPECT_FALSE(
        silence_archived(copy, kUs, {start_ns - kNsPerSecond, start_ns}, of_phone("2001")).value());  // before it
    EXPECT_EQ(text_of(path_to(file->name)), before);
    for (int times = 0; times < 2; ++times) ASSERT_TRUE(silence_archived(copy, kUs, window, of_phone("2001")).value());

    constexpr std::size_t kHeader = 44, kSecond = 8000 * 2 * 2;
    std::string expected = before;
    const std::size_t from = kHeader + kSecond * 3 / 2, to = std::min(kHeader + kSecond * 7 / 2, before.size());
    ASSERT_LT(from, to);
    std::fill(expected.begin() + from, expected.begin() + static_cast<std::ptrdiff_t>(to), '\0');
    EXPECT_NE(expected, before) << "there was nothing to silence";
    EXPECT_EQ(text_of(path_to(file->name)), expected);
    const auto sidecar = boost::json::parse(text_of(sidecar_path(path_to(file->name))));
    EXPECT_EQ(sidecar.at("archive").at("sha256").as_string(), sha256_hex(expected));
    EXPECT_EQ(sidecar.at("recording").at("blackouts").as_array().size(), 2u);
    EXPECT_EQ(sidecar.at("recording").at("blackouts").at(0).at("from").to_number<double>(),
              static_cast<double>(window.from_ns) / 1e9);
    EXPECT_EQ(files_below(target_.path()).size(), 2u);

    fs::remove(target_.path() + "/.spantape-archive");  // the share is not mounted
    EXPECT_FALSE(silence_archived(copy, kUs, window, of_phone("2001")));
}

class ArchiverTest : public ArchiveTest {
protected:
    ArchiverTest() { restart(); }
    // go_on: asked while it copies; else go_on_ says.
    void restart(std::function<bool()> go_on = {}) {
        if (!go_on) go_on = [this] { return go_on_; };
        archiver_ = std::make_unique<Archiver>(
            ArchiverTools{.index = *store_.index,
                          .segments = {store_.segments(), nullptr},
                          .identity = kUs,
                          .note = [this](boost::json::object entry, bool) { notes_.push_back(std::move(entry)); },
                          .log = [this](const char*, const std::string& line) { log_.push_back(line); },
                          .go_on = std::move(go_on)});
        set();
    }
    void set(std::int64_t default_action = 0) { archiver_->set_actions({action_}, default_action); }
    // Everything that is due, once; what was carried out. purge: those that were moved, as the daemon does.
    std::vector<std::uint64_t> run(bool purge_moved = true) {
        std::vector<std::uint64_t> idents;
        while (const auto job = archiver_->next(now_ns_, monotonic_ns_)) {
            idents.push_back(job->due.ident);
            archiver_->carry_out(*job, now_ns_, monotonic_ns_);
            if (idents.size() > 100) {
                ADD_FAILURE() << "without an end";
                break;
            }
        }
        if (purge_moved) purge_what_moves();
        return idents;
    }
    void purge_what_moves() {
        const auto moving = archiver_->moving();
        if (moving.empty()) return;
        const auto purged =
            purge({.index = *store_.index,
                   .segment_directory = store_.segments(),
                   .put_record = records_in_own_segments(store_.segments(), *store_.index),
                   .forget_keys = {},
                   .refuse = [this](const Recording& recording) { return archiver_->keeps(recording); }},
                  moving);
        ASSERT_TRUE(purged) << purged.error().message;
        archiver_->moved(purged->purged, monotonic_ns_);
    }
    [[nodiscard]] std::vector<ArchiveDue> due() const { return *store_.index->archive_due(kFirstDue, 100); }
    static std::vector<std::uint64_t> all() { return {1, 2, 3, 4, 5}; }

    TimeNs now_ns_ = kNowNs, monotonic_ns_ = kNsPerSecond;
    std::vector<boost::json::object> notes_;
    std::vector<std::string> log_;
    std::unique_ptr<Archiver> archiver_;
};

TEST_F(ArchiverTest, EachIsArchivedOnce) {
    EXPECT_EQ(run(), all());
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
    EXPECT_EQ(files_below(target_.path()).size(), 10u);
    EXPECT_EQ(archiver_->counts().archived, 5u);
    ASSERT_EQ(notes_.size(), 5u);
    EXPECT_EQ(notes_[0].at("what").as_string(), "archive");
    EXPECT_EQ(notes_[0].at("sha256").as_string(), sha256_hex(text_of(path_to("20270114/2001/2001-10-00-01.wav"))));
    restart();
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
}

TEST_F(ArchiverTest, KilledBetweenTheCopyAndItsMarkItIsNotCopiedAgain) {
    ASSERT_TRUE(archive_it(1));
    ASSERT_TRUE(archive_it(2));
    fs::remove(path_to("20270114/2001/2001-10-00-02.wav"));
    EXPECT_EQ(run(), all());
    EXPECT_EQ(files_below(target_.path()).size(), 10u);
    EXPECT_TRUE(notes_[0].at("was_there").as_bool());
    EXPECT_FALSE(notes_[1].at("was_there").as_bool());
    expect_copy(2, "20270114/2001/2001-10-00-02.wav");
    EXPECT_TRUE(due().empty());
}

TEST_F(ArchiverTest, TheWaitRunsFromTheEnd) {
    action_.wait_ns = 2 * kDayNs;
    recording(3).stop_ns += kNsPerSecond;
    put(recording(3));
    set();
    now_ns_ = recording(1).stop_ns + action_.wait_ns - 1;
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
    ++now_ns_;
    EXPECT_EQ(run(), (std::vector<std::uint64_t>{1, 2, 4, 5}));
    archiver_->survey();
    EXPECT_EQ(archiver_->counts().waiting, 1u);
    now_ns_ += kNsPerSecond;
    EXPECT_EQ(run(), std::vector<std::uint64_t>{3});
}

TEST_F(ArchiverTest, TheActionIsTheRecordingsOrTheConfiguredOne) {
    recording(1).archive_action = -1;
    recording(2).archive_action = 0;
    recording(3).archive_action = 99;
    for (int ident = 1; ident <= 3; ++ident) put(recording(ident));
    EXPECT_EQ(run(), (std::vector<std::uint64_t>{4, 5}));
    set(7);
    EXPECT_EQ(run(), std::vector<std::uint64_t>{1});
    archiver_->survey();
    archiver_->survey();
    EXPECT_EQ(archiver_->counts().unknown_action, 1u);
    EXPECT_EQ(archiver_->counts().waiting, 0u);
    ASSERT_EQ(log_.size(), 1u) << "told once";
    EXPECT_NE(log_[0].find("no such archive action: 99"), std::string::npos);
    action_.number = 99;  // there is one now
    set();
    EXPECT_EQ(run(), std::vector<std::uint64_t>{3});
}

TEST_F(ArchiverTest, AChangedActionIsTheOneThatCounts) {
    recording(1).archive_action = 8;  // before it was archived
    put(recording(1));
    EXPECT_EQ(run(), (std::vector<std::uint64_t>{2, 3, 4, 5}));
    const TemporaryDirectory second;
    ArchiveAction other = action_;
    other.number = 8;
    other.path = second.path();
    archiver_->set_actions({action_, other}, 0);
    recording(2).archive_action = 8;  // and after
    put(recording(2));
    EXPECT_EQ(run(), (std::vector<std::uint64_t>{1, 2}));
    EXPECT_EQ(files_below(second.path()).size(), 4u);
    EXPECT_EQ(store_.index->archived(2)->size(), 2u);
}

TEST_F(ArchiverTest, AMovedOneIsTakenFromTheStoreAndItsCopyStays) {
    action_.mode = ArchiveMode::move;
    set();
    std::map<std::uint64_t, std::string> before;
    for (const std::uint64_t ident : all()) before[ident] = exported(ident);
    EXPECT_EQ(run(), all());
    EXPECT_EQ(archiver_->counts().moved, 5u);
    for (const std::uint64_t ident : all()) {
        EXPECT_FALSE(*store_.index->recording(ident));
        EXPECT_EQ(text_of(path_to(fmt::format("20270114/2001/2001-10-00-{:02}.wav", ident))), before[ident]);
        EXPECT_EQ(store_.index->archived(ident)->size(), 1u);
    }
    EXPECT_TRUE(due().empty());
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
}

TEST_F(ArchiverTest, KilledBeforeTheStoreLetGoAMoveIsCarriedOn) {
    action_.mode = ArchiveMode::move;
    set();
    EXPECT_EQ(run(false), all());
    EXPECT_EQ(due().size(), 5u);
    restart();
    fs::resize_file(path_to("20270114/2001/2001-10-00-03.wav"), 100);  // the copy was not whole after all
    EXPECT_EQ(run(), all());
    EXPECT_FALSE(*store_.index->recording(1));
    EXPECT_FALSE(*store_.index->recording(3));
    EXPECT_GT(fs::file_size(path_to("20270114/2001/2001-10-00-03.wav")), 10'000u);
}

TEST_F(ArchiverTest, ALockedOneIsCopiedAndMovedWhenItIsUnlocked) {
    action_.mode = ArchiveMode::move;
    set();
    recording(2).locked = true;
    put(recording(2));
    EXPECT_EQ(run(), all());
    EXPECT_TRUE(*store_.index->recording(2));
    expect_copy(2, "20270114/2001/2001-10-00-02.wav");
    EXPECT_EQ(run(), std::vector<std::uint64_t>()) << "not looked at again and again";
    recording(2).locked = false;
    put(recording(2));
    EXPECT_EQ(run(), std::vector<std::uint64_t>{2});
    EXPECT_FALSE(*store_.index->recording(2));
    EXPECT_EQ(files_below(target_.path()).size(), 10u);
}

TEST_F(ArchiverTest, WhatIsLockedOrChangedBetweenCopyAndPurgeStays) {
    action_.mode = ArchiveMode::move;
    set();
    run(false);
    recording(2).locked = true;
    put(recording(2));
    recording(3).archive_action = 0;
    put(recording(3));
    purge_what_moves();
    EXPECT_FALSE(*store_.index->recording(1));
    EXPECT_TRUE(*store_.index->recording(2));
    EXPECT_TRUE(*store_.index->recording(3));
    EXPECT_TRUE(archiver_->moving().empty());
    EXPECT_EQ(archiver_->counts().moved, 3u);
    monotonic_ns_ += Archiver::kFirstRetryNs;
    run();
    EXPECT_TRUE(*store_.index->recording(2));
    EXPECT_TRUE(due().empty());
}

TEST_F(ArchiverTest, WhatTheCopyLacksIsNotTakenFromTheStore) {
    action_.mode = ArchiveMode::move;
    set();
    recording(1).streams[1].payloads[0].encoding = "EVS";
    put(recording(1));
    EXPECT_EQ(run(), all());
    EXPECT_TRUE(*store_.index->recording(1));
    EXPECT_FALSE(*store_.index->recording(2));
    ASSERT_EQ(log_.size(), 1u);
    EXPECT_NE(log_[0].find("recording 1 is copied, not moved"), std::string::npos) << log_[0];
    EXPECT_TRUE(due().empty());
}

TEST_F(ArchiverTest, AMissingTargetIsSaidOnceAndTriedAgain) {
    const std::string elsewhere = target_.path() + "-away";
    fs::rename(target_.path(), elsewhere);
    TimeNs tried_ns = 0;
    int attempts = 0;
    for (; monotonic_ns_ < 3600 * kNsPerSecond; monotonic_ns_ += kNsPerSecond) {
        if (run().empty()) continue;
        EXPECT_LE(monotonic_ns_ - tried_ns, Archiver::kLastRetryNs + kNsPerSecond);
        tried_ns = monotonic_ns_;
        ++attempts;
    }
    EXPECT_GT(attempts, 5);
    EXPECT_LT(attempts, 20);
    EXPECT_EQ(log_.size(), 1u) << log_.back();
    EXPECT_NE(log_[0].find(target_.path()), std::string::npos);
    EXPECT_EQ(archiver_->counts().failing_targets, 1u);
    EXPECT_EQ(archiver_->counts().failed, static_cast<std::uint64_t>(attempts));
    EXPECT_EQ(due().size(), 5u) << "nothing is lost";
    fs::rename(elsewhere, target_.path());
    monotonic_ns_ += Archiver::kLastRetryNs;
    run();
    run();  // the list is gone through from where it was, then from its beginning
    EXPECT_TRUE(due().empty());
    EXPECT_EQ(log_.size(), 2u);
    EXPECT_EQ(archiver_->counts().failing_targets, 0u);
    EXPECT_EQ(files_below(target_.path()).size(), 10u);
}

TEST_F(ArchiverTest, OneThatFailsDoesNotHoldUpTheOthers) {
    recording(2).filename = "/20270114/2001/" + std::string(300, 'x') + ".wav";
    put(recording(2));
    EXPECT_EQ(run(), all());
    EXPECT_EQ(files_below(target_.path()).size(), 8u);
    EXPECT_EQ(due().size(), 1u);
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
    monotonic_ns_ += Archiver::kFirstRetryNs;
    EXPECT_EQ(run(), std::vector<std::uint64_t>{2});
    EXPECT_EQ(log_.size(), 1u);
}

TEST_F(ArchiverTest, WhatIsErasedWhileItIsCopiedLeavesNoCopy) {
    const auto job = archiver_->next(now_ns_, monotonic_ns_);
    ASSERT_TRUE(job);
    ASSERT_TRUE(check_archive_target(target_.path(), *store_.index));
    restart([this, ident = job->due.ident] { return store_.index->purge(ident, {}).has_value(); });
    EXPECT_FALSE(archiver_->carry_out(*job, now_ns_, monotonic_ns_));
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
    EXPECT_TRUE(store_.index->archived(job->due.ident)->empty());
    EXPECT_TRUE(log_.empty());
}

TEST_F(ArchiverTest, WhatABlackoutReachesWhileItIsCopiedIsCopiedAnew) {
    const auto job = archiver_->next(now_ns_, monotonic_ns_);
    ASSERT_TRUE(job);
    ASSERT_TRUE(check_archive_target(target_.path(), *store_.index));
    Recording& reached = recording(job->due.ident);
    restart([&] {
        reached.redacted += 3;
        put(reached);
        return true;
    });
    EXPECT_FALSE(archiver_->carry_out(*job, now_ns_, monotonic_ns_));
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
    EXPECT_TRUE(store_.index->archived(job->due.ident)->empty());
    restart();
    const auto idents = run();
    EXPECT_NE(std::ranges::find(idents, reached.ident), idents.end());
    EXPECT_EQ(store_.index->archived(reached.ident)->size(), 1u);
}

TEST_F(ArchiverTest, RetentionWaitsForWhatIsStillToBeArchived) {
    recording(1).archive_action = -1;
    recording(2).archive_action = 0;
    recording(3).archive_action = 99;
    for (int ident = 1; ident <= 3; ++ident) put(recording(ident));
    EXPECT_EQ(archiver_->still_to_archive(all()), (std::set<std::uint64_t>{4, 5}));
    set(7);
    EXPECT_EQ(archiver_->still_to_archive(all()), (std::set<std::uint64_t>{1, 4, 5}));
    run();
    EXPECT_TRUE(archiver_->still_to_archive(all()).empty());
}

TEST_F(ArchiverTest, ExpiredCopiesAreForgottenAndNotMadeAgain) {
    action_.keep_days = 1;
    set();
    run();
    now_ns_ += 2 * kDayNs;
    notes_.clear();
    archiver_->remove_expired(now_ns_);
    EXPECT_EQ(files_below(target_.path()), std::vector<std::string>());
    EXPECT_EQ(archiver_->counts().expired, 5u);
    ASSERT_EQ(notes_.size(), 5u);
    EXPECT_EQ(notes_[0].at("what").as_string(), "archive_expired");
    EXPECT_TRUE(store_.index->archived(1)->empty());
    EXPECT_EQ(run(), std::vector<std::uint64_t>());
}

}  // namespace
}  // namespace spantape
