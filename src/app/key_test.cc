// Keys on disk, what a running node sees of them, and where the local key goes.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/client_key.h"
#include "app/key_file.h"
#include "app/key_watch.h"
#include "app/local_key.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

class KeyTest : public testing::Test {
 protected:
  KeyTest() {
    std::string pattern = (fs::temp_directory_path() / "flotilla-keys-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    home_ = folder_ / "home";
  }
  ~KeyTest() override { fs::remove_all(folder_); }

  KeyFile::Made made(const std::string& name, Scopes scopes = Scopes(Scope::infer)) const {
    auto made = KeyFile(home_).create(name, scopes);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? *made : KeyFile::Made{};
  }

  fs::path folder_, home_;
};

TEST_F(KeyTest, IsKeptAsAHashThatOnlyItsOwnerReads) {
  const auto ann = made("ann", Scopes(Scope::infer, Scope::models));
  EXPECT_TRUE(ann.is_first);
  EXPECT_FALSE(made("").is_first);
  struct stat status{};
  ASSERT_EQ(::stat(KeyFile(home_).path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  std::ifstream file(KeyFile(home_).path());
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(text.find(ann.text.substr(3)), std::string::npos);
  const auto keys = KeyFile(home_).read().value();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].digest, key_digest(ann.text));
  EXPECT_EQ(keys[0].scopes, ann.key.scopes);
  EXPECT_EQ(keys[1].name, keys[1].id);
}

TEST_F(KeyTest, IsRevokedByNameOrIdAndTheLastOneIsCalledThat) {
  const auto ann = made("ann"), bob = made("bob");
  EXPECT_FALSE(KeyFile(home_).create("ann", Scopes(Scope::infer)));
  EXPECT_FALSE(KeyFile(home_).create(bob.key.id, Scopes(Scope::infer)));
  EXPECT_EQ(KeyFile(home_).revoke("carl").error().code, Code::not_found);
  EXPECT_FALSE(KeyFile(home_).revoke("ann")->was_last);
  EXPECT_TRUE(KeyFile(home_).revoke(bob.key.id)->was_last);
  EXPECT_TRUE(KeyFile(home_).read()->empty());
}

TEST_F(KeyTest, AFileThatIsNotUnderstoodIsNoKeyAndIsNotReplaced) {
  fs::create_directories(home_);
  for (const auto* text : {"", "[]", "{}", R"({"keys": {}})", R"({"keys": [7]})",
                           R"({"keys": [{"id": "a", "name": "a", "scopes": ["infer"]}]})",
                           R"({"keys": [{"id": "a", "name": "a", "scopes": ["infer"], "sha256": "00"}]})",
                           R"({"keys": [{"id": "a", "name": "a", "scopes": [], "sha256":
            "0000000000000000000000000000000000000000000000000000000000000000"}]})"}) {
    std::ofstream(KeyFile(home_).path()) << text;
    EXPECT_EQ(KeyFile(home_).read().error().code, Code::corrupt) << text;
    EXPECT_FALSE(KeyFile(home_).create("ann", Scopes(Scope::infer))) << text;
    EXPECT_FALSE(KeyWatch::start(home_)) << text;
  }
}

TEST_F(KeyTest, WatchSeesEveryChangeAndKeepsTheKeysOfAFileThatIsDamaged) {
  auto watch = KeyWatch::start(home_).value();
  EXPECT_TRUE(watch.now().empty());
  const auto ann = made("ann");
  EXPECT_EQ(watch.now().scopes_of(ann.text, false), Scopes(Scope::infer));
  const auto bob = made("bob", Scopes(Scope::admin));
  EXPECT_EQ(watch.now().scopes_of(bob.text, false), Scopes(Scope::admin));
  ASSERT_TRUE(KeyFile(home_).revoke("ann"));
  EXPECT_FALSE(watch.now().scopes_of(ann.text, false));
  std::ofstream(KeyFile(home_).path()) << "no keys";
  EXPECT_TRUE(watch.now().scopes_of(bob.text, false));
  fs::remove(KeyFile(home_).path());
  EXPECT_TRUE(watch.now().empty());
}

TEST_F(KeyTest, TheLocalKeyGoesToItsOwnNodeOnly) {
  fs::create_directories(home_);
  const auto digest = make_local_key(home_, "192.168.1.5", 52415);
  ASSERT_TRUE(digest);
  EXPECT_EQ(key_digest(local_key_for(home_, "http://192.168.1.5:52415")), *digest);
  for (const auto* other : {"http://localhost:52415", "http://127.0.0.1:52415", "http://[::1]:52415"})
    EXPECT_EQ(local_key_for(home_, other), "") << other << ": nobody holds its port for us";
  ASSERT_TRUE(make_local_key(home_, "::", 52415));
  EXPECT_NE(local_key_for(home_, "http://[::1]:52415"), "");
  const auto anywhere = make_local_key(home_, "0.0.0.0", 52415);
  for (const auto* near : {"http://localhost:52415", "http://127.0.0.1:52415/", "localhost:52415"})
    EXPECT_EQ(key_digest(local_key_for(home_, near)), *anywhere) << near;
  for (const auto* other :
       {"http://localhost:52416", "http://[::1]:52415", "http://localhost", "http://192.168.1.6:52415",
        "http://localhost.evil.example:52415", "http://localhost@evil.example:52415", "https://localhost:52415",
        "http://evil.example:52415", ""})
    EXPECT_EQ(local_key_for(home_, other), "") << other;
  auto watch = KeyWatch::start(home_).value();
  watch.set_local(*anywhere);
  EXPECT_TRUE(watch.now().empty());  // it is none of the keys that make the API ask
  EXPECT_EQ(watch.now().scopes_of(local_key_for(home_, "localhost:52415"), true), Scopes(Scope::admin));
  forget_local_key(home_);
  EXPECT_EQ(local_key_for(home_, "http://localhost:52415"), "");
}

TEST_F(KeyTest, AKeyThatIsGivenGoesBeforeTheLocalOne) {
  fs::create_directories(home_);
  ASSERT_TRUE(make_local_key(home_, "127.0.0.1", 52415));
  const VerbOptions given{.api_url = "http://localhost:52415", .key = "sk-given", .home = home_};
  const VerbOptions none{.api_url = "http://localhost:52415", .key = "", .home = home_};
  EXPECT_EQ(client_key(given), "sk-given");
  EXPECT_EQ(client_key(none), local_key_for(home_, none.api_url));
}

}  // namespace
}  // namespace flotilla
