// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/output_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace spantape::cli {
namespace {

namespace fs = std::filesystem;

class Outputs : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "spantape-output-XXXXXX";
        path = mkdtemp(pattern.data());
        auto opened = OutputDirectory::open(path + "/a/b");
        ASSERT_TRUE(opened) << opened.error().message;
        directory = std::move(*opened);
    }
    void TearDown() override { fs::remove_all(path); }

    std::string put(const std::string& name, std::string_view bytes) {
        auto file = OutputFile::create(*directory, directory->choose(name));
        if (!file || !(*file)->write(bytes)) return "failed";
        return (*file)->keep().value_or("failed");
    }
    static std::string content(const std::string& file) {
        std::ifstream input(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(input), {}};
    }
    [[nodiscard]] long files() const {
        return std::distance(fs::directory_iterator(path + "/a/b"), fs::directory_iterator{});
    }

    std::string path;
    std::unique_ptr<OutputDirectory> directory;
};

TEST_F(Outputs, NothingIsEverReplaced) {
    const std::string first = put("c.wav", "one");
    const std::string second = put("c.wav", "two");
    EXPECT_EQ(first, path + "/a/b/c.wav");
    EXPECT_EQ(second, path + "/a/b/c-2.wav");
    EXPECT_EQ(content(first), "one");
    EXPECT_EQ(content(second), "two");
    EXPECT_EQ(directory->choose("c.wav"), path + "/a/b/c-3.wav");
    EXPECT_EQ(directory->choose("c.wav"), path + "/a/b/c-4.wav");
    EXPECT_EQ(files(), 2);
}

TEST_F(Outputs, ANameTakenMeanwhileIsLeftAlone) {
    auto file = OutputFile::create(*directory, directory->choose("c.wav"));
    ASSERT_TRUE(file && (*file)->write(std::string_view("ours")));
    std::ofstream(path + "/a/b/c.wav") << "theirs";
    EXPECT_EQ((*file)->keep().value_or("failed"), path + "/a/b/c-2.wav");
    EXPECT_EQ(content(path + "/a/b/c.wav"), "theirs");
    EXPECT_EQ(content(path + "/a/b/c-2.wav"), "ours");
}

TEST_F(Outputs, AFileThatIsNotKeptLeavesNothing) {
    {
        auto file = OutputFile::create(*directory, directory->choose("c.wav"));
        ASSERT_TRUE(file && (*file)->write(std::string_view("half")));
        EXPECT_FALSE(fs::exists(path + "/a/b/c.wav"));
    }
    EXPECT_EQ(files(), 0);
}

TEST_F(Outputs, ADirectoryThatCannotBeIsNamed) {
    std::ofstream(path + "/file") << "x";
    const auto opened = OutputDirectory::open(path + "/file/d");
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find(path + "/file/d"), std::string::npos);
    EXPECT_FALSE(OutputDirectory::open(path + "/file"));
}

TEST(FileNames, AreOnlyTheLastPartAndHarmless) {
    EXPECT_EQ(file_name_from("/var/lib/20260301/1001/1001-16-05-09.wav", ".wav", "46"), "1001-16-05-09.wav");
    EXPECT_EQ(file_name_from("1001-16-05-09", ".wav", "46"), "1001-16-05-09.wav");
    EXPECT_EQ(file_name_from("", ".wav", "46"), "46.wav");
    EXPECT_EQ(file_name_from("/a/..", ".wav", "46"), "46.wav");
    EXPECT_EQ(file_name_from("a/.hidden.wav", ".wav", "46"), "hidden.wav");
    EXPECT_EQ(file_name_from("-rf.wav", ".wav", "46"), "rf.wav");
    EXPECT_EQ(file_name_from("a\n*\"b\\c.wav", ".wav", "46"), "a___b_c.wav");
    EXPECT_LE(file_name_from(std::string(5000, 'x'), ".wav", "46").size(), 220U);
}

}  // namespace
}  // namespace spantape::cli
