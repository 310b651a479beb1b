#include "base/replace_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

namespace flotilla {
namespace {

namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "flotilla-base-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  static std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  fs::path folder_;
};

TEST_F(ReplaceFile, TheNewTextStandsInPlaceOfTheOld) {
  const auto path = folder_ / "file";
  ASSERT_TRUE(replace_file(path, "a longer first text"));
  ASSERT_TRUE(replace_file(path, "second"));
  EXPECT_EQ(text_of(path), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "nothing is left beside it";
}

TEST_F(ReplaceFile, WhatACrashLeftBesideItIsWrittenOver) {
  std::ofstream(folder_ / "file.new") << "half of a text that was longer than this one is";
  ASSERT_TRUE(replace_file(folder_ / "file", "whole"));
  EXPECT_EQ(text_of(folder_ / "file"), "whole");
}

TEST_F(ReplaceFile, TheModeIsTheOneAskedFor) {
  ASSERT_TRUE(replace_file(folder_ / "file", "secret", 0600));
  struct stat found{};
  ASSERT_EQ(::stat((folder_ / "file").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777u, 0600u);
}

TEST_F(ReplaceFile, AFailureLeavesTheOldTextAndNamesThePath) {
  const auto path = folder_ / "folder" / "file";
  const auto missing = replace_file(path, "x");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_TRUE(missing.error().message.contains(path.string())) << missing.error().message;
  ASSERT_TRUE(replace_file(folder_ / "file", "old"));
  fs::create_directory(folder_ / "file.new");
  EXPECT_FALSE(replace_file(folder_ / "file", "new"));
  EXPECT_EQ(text_of(folder_ / "file"), "old");
}

TEST_F(ReplaceFile, AFullDiskIsCalledFull) {
  fs::create_symlink("/dev/full", folder_ / "file.new");
  const auto full = replace_file(folder_ / "file", "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::no_space);
  EXPECT_FALSE(fs::exists(folder_ / "file"));
}

}  // namespace
}  // namespace flotilla
