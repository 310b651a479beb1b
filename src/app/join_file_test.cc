// Claims about the file by which an administrator's machines join.
#include "app/join_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace flotilla {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class JoinFile : public testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }
  Result<std::optional<JoinToken>> read(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
    return read_join_file(path_);
  }
  std::string refusal(const std::string& text, mode_t mode = 0600) {
    const auto token = read(text, mode);
    return token ? "none" : token.error().message;
  }
  const fs::path path_ = fs::path(testing::TempDir()) / ("join-" + std::to_string(::getpid()));
  const std::string token_ = JoinToken::generate({}).text();
};

TEST_F(JoinFile, OneThatIsNotThereIsNoTrouble) {
  const auto token = read_join_file(path_);
  ASSERT_TRUE(token);
  EXPECT_FALSE(*token);
}

TEST_F(JoinFile, HoldsATokenAndRemarks) {
  const auto token = read("# of the office\n\n  " + token_ + "\r\n");
  ASSERT_TRUE(token && *token) << (token ? "" : token.error().message);
  EXPECT_EQ((*token)->text(), token_);
}

TEST_F(JoinFile, OneThatOthersCanReadIsRefusedWithWhatToDo) {
  for (const mode_t mode : {0644, 0640, 0602}) EXPECT_THAT(refusal(token_, mode), HasSubstr("chmod 600"));
}

TEST_F(JoinFile, WithoutATokenOrWithSeveralOrAWrongOneItSaysSo) {
  EXPECT_THAT(refusal("# nothing\n"), HasSubstr("expected one line with a token"));
  EXPECT_THAT(refusal(token_ + "\n" + token_ + "\n"), HasSubstr("got 2 lines"));
  EXPECT_THAT(refusal("hunter2\n"), testing::AllOf(HasSubstr("begins with flt1-"), HasSubstr(path_.string())));
}

TEST_F(JoinFile, AFolderInItsPlaceIsRefused) {
  fs::create_directory(path_);
  EXPECT_FALSE(read_join_file(path_));
}

}  // namespace
}  // namespace flotilla
