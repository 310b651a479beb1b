#include "hub/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <future>

#include "base/units.h"
#include "hub/closest_names.h"
#include "hub/hub_test_kit.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

TEST_F(HubTest, ATakerReceivesOnlyItsLayersBytes) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  EXPECT_EQ(connection.link().bytes, header_bytes_of(model));
  EXPECT_FALSE(model.info.complete);
  EXPECT_EQ(model.info.name, smollm2);
  EXPECT_EQ(model.info.fingerprint, owner_->find(smollm2, "")->info.fingerprint);

  const auto ranges = stage_ranges(*model.gguf, {15, 30}, false);
  EXPECT_EQ(taker_->missing(model.info.fingerprint, ranges), ranges);
  std::uint64_t last = 0, total = 0;
  const auto stored = fetch(*taker_, connection.link(), model, ranges, [&](std::uint64_t done, std::uint64_t all) {
    EXPECT_GT(done, last);
    last = done;
    total = all;
  });
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(connection.link().bytes, header_bytes_of(model) + bytes_of(ranges));
  EXPECT_EQ(last, bytes_of(ranges));
  EXPECT_EQ(total, bytes_of(ranges));
  EXPECT_TRUE(same_bytes(*stored, ranges));
  EXPECT_TRUE(taker_->missing(model.info.fingerprint, ranges).empty());

  struct stat file{};
  ASSERT_EQ(::stat(stored->files[0].c_str(), &file), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(file.st_size), stored->gguf->parts()[0].file_bytes);
  EXPECT_LT(static_cast<std::uint64_t>(file.st_blocks) * 512, bytes_of(ranges) + header_bytes_of(model) + mib);
}

TEST_F(HubTest, APartOutlivesTheProcess) {
  std::vector<FileRange> ranges;
  {
    Connection connection(*owner_);
    const StoredModel model = fetch_header(*taker_, connection.link());
    ranges = stage_ranges(*model.gguf, {3, 5}, true);
    ASSERT_TRUE(fetch(*taker_, connection.link(), model, ranges));
  }
  taker_ = open_store("taker", {folder_ / "none"});
  ASSERT_EQ(taker_->list().size(), 1u);
  const auto model = taker_->find(smollm2, "");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE(model->info.complete);
  EXPECT_TRUE(taker_->missing(model->info.fingerprint, ranges).empty());
  EXPECT_TRUE(same_bytes(*model, ranges));
  auto [closed, nobody] = make_memory_link_pair();
  closed->close({Code::closed, "no peer is needed"});
  EXPECT_TRUE(taker_->fetch_header(*closed, smollm2, model->info.fingerprint));
  EXPECT_TRUE(fetch(*taker_, *closed, *model, ranges));
}

TEST_F(HubTest, APartThatHasAllOfTheFileIsAsGoodAsTheFile) {
  {
    Connection connection(*owner_);
    StoredModel model = fetch_header(*taker_, connection.link());
    ASSERT_TRUE(fetch(*taker_, connection.link(), model, stage_ranges(*model.gguf, {0, 30}, true)));
    const auto whole = fetch(*taker_, connection.link(), model, Store::whole(model));
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_TRUE(whole->info.complete && whole->is_part);
    EXPECT_EQ(taker_->list().at(0).info, owner_->find(smollm2, "")->info);
    EXPECT_TRUE(same_bytes(*whole, Store::whole(model)));
  }
  const auto third = open_store("third", {folder_ / "none"});
  Connection connection(*taker_);  // the owner is gone
  const StoredModel model = fetch_header(*third, connection.link());
  const auto ranges = stage_ranges(*model.gguf, {10, 20}, false);
  ASSERT_TRUE(fetch(*third, connection.link(), model, ranges));
  EXPECT_TRUE(same_bytes(third->list().at(0), ranges));
  {
    std::fstream file(taker_->list().at(0).files[0], std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(ranges[0].offset + 12345));
    const int old = file.peek();
    file.seekp(static_cast<std::streamoff>(ranges[0].offset + 12345));
    file.put(static_cast<char>(old ^ 1));
  }
  ASSERT_TRUE(taker_->verify(model.info.fingerprint, {}));
  EXPECT_FALSE(taker_->list().at(0).info.complete) << "until what changed is there again";
}

TEST_F(HubTest, AChangedByteOnDiskIsNoticedAndFetchedAgain) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  const auto ranges = stage_ranges(*model.gguf, {2, 4}, false);
  ASSERT_EQ(ranges.size(), 2u);
  ASSERT_TRUE(fetch(*taker_, connection.link(), model, ranges));
  ASSERT_TRUE(taker_->verify(model.info.fingerprint, ranges));
  EXPECT_TRUE(taker_->missing(model.info.fingerprint, ranges).empty());
  {
    std::fstream file(model.files[0], std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(ranges[1].offset + 12345));
    const int old = file.peek();
    file.seekp(static_cast<std::streamoff>(ranges[1].offset + 12345));
    file.put(static_cast<char>(old ^ 1));
  }
  ASSERT_TRUE(taker_->verify(model.info.fingerprint, {ranges[0]}));
  EXPECT_TRUE(taker_->missing(model.info.fingerprint, ranges).empty()) << "the other range was not asked about";
  ASSERT_TRUE(taker_->verify(model.info.fingerprint, ranges));
  EXPECT_EQ(taker_->missing(model.info.fingerprint, ranges), std::vector{ranges[1]});
  ASSERT_TRUE(fetch(*taker_, connection.link(), model, ranges));
  EXPECT_TRUE(same_bytes(model, ranges));
}

TEST_F(HubTest, WhoAsksWhatIsMissingDoesNotWaitForTheDisk) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  const auto part = taker_->part(model.info.fingerprint);
  // The index is written to a file of this name first: a pipe that nobody reads holds the writer up.
  const auto slow = part->folder() / "ranges.json.new";
  ASSERT_EQ(::mkfifo(slow.c_str(), 0600), 0);
  const FileRange range{.file_index = 0, .offset = header_bytes_of(model), .bytes = 1};
  auto adding = std::async(std::launch::async, [&] { return part->add(range, Digest{}); });
  ASSERT_EQ(adding.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  auto listing = std::async(std::launch::async, [&] { return taker_->list().size(); });
  const bool waited = listing.wait_for(std::chrono::seconds(5)) == std::future_status::timeout;
  const std::ifstream reader(slow);
  EXPECT_FALSE(waited);
  EXPECT_FALSE(adding.get());  // a pipe cannot be synced
  EXPECT_EQ(part->missing({range}), FileRanges{range});
}

TEST_F(HubTest, APartMayGoWhileOthersAskForIt) {
  Connection connection(*owner_);
  const auto gguf = fetch_header(*taker_, connection.link()).gguf;
  const FileRange range{.file_index = 0, .offset = 0, .bytes = 1};
  std::atomic<bool> stop{false};
  std::vector<std::jthread> asking;
  for (int i = 0; i < 3; ++i)
    asking.emplace_back([&] {
      while (!stop) EXPECT_EQ(taker_->missing(gguf->fingerprint(), {range}), FileRanges{range});
    });
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(taker_->drop_part(gguf->fingerprint()));
    EXPECT_TRUE(taker_->begin_part(*gguf));
  }
  stop = true;
}

TEST_F(HubTest, ADamagedHeaderOrIndexIsNotTrusted) {
  std::string fingerprint;
  std::vector<FileRange> ranges;
  {
    Connection connection(*owner_);
    const StoredModel model = fetch_header(*taker_, connection.link());
    fingerprint = model.info.fingerprint;
    ranges = stage_ranges(*model.gguf, {0, 1}, false);
    ASSERT_TRUE(fetch(*taker_, connection.link(), model, ranges));
  }
  const auto index = folder_ / "taker/parts" / fingerprint / "ranges.json";
  const auto reopened_models = [&] {
    taker_ = open_store("taker", {folder_ / "none"});
    return taker_->list().size();
  };
  std::ifstream in(index);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(good, HasSubstr("\"sha256\""));
  for (const std::string bad :
       {"", "[]", "{\"name\": 7}", "{\"name\":\"x\",\"files\":[{}],\"ranges\":[{\"file\":-1}]}"}) {
    write(index, bad);
    EXPECT_EQ(reopened_models(), 0u) << bad;
  }
  for (const std::string entry : {R"({"file":0,"offset":18446744073709551615,"bytes":2,"sha256":"00"})",
                                  R"({"file":9,"offset":0,"bytes":2,"sha256":"00"})"}) {
    write(index, R"({"name":"x","files":[{}],"ranges":[)" + entry + "]}");
    EXPECT_EQ(reopened_models(), 1u);
    EXPECT_EQ(taker_->missing(fingerprint, ranges), ranges);
  }
  write(index, good);
  EXPECT_EQ(reopened_models(), 1u);
  EXPECT_TRUE(taker_->missing(fingerprint, ranges).empty());
  std::fstream(taker_->list()[0].files[0], std::ios::binary | std::ios::in | std::ios::out).seekp(200).put('!');
  EXPECT_EQ(reopened_models(), 0u);
}

TEST_F(HubTest, TheFirstFoldersModelWinsAndWhatIsNoModelIsSkipped) {
  const auto first = folder_ / "first", second = folder_ / "second";
  std::filesystem::create_directories(first);
  std::filesystem::create_directories(second);
  std::filesystem::create_symlink(std::string(models_folder) + "/gemma-3-270m.Q4_K_M.gguf", first / "chat.gguf");
  std::filesystem::create_symlink(std::string(models_folder) + "/" + smollm2 + ".gguf", second / "chat.gguf");
  std::filesystem::create_symlink(std::string(models_folder) + "/" + smollm2 + ".gguf", second / "small.gguf");
  write(first / "junk.gguf", "this is not a model");
  write(first / "notes.txt", "GGUF");
  std::filesystem::create_symlink(std::string(models_folder) + "/" + smollm2 + ".gguf", first / "mod\xe8le.gguf");
  const auto store = open_store("other", {first, second});
  const auto models = store->list();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].info.name, "chat");
  EXPECT_EQ(models[0].gguf->architecture(), "gemma3");
  EXPECT_TRUE(models[0].info.complete);
  EXPECT_EQ(models[0].info.file_bytes, 253113024u);
  EXPECT_EQ(models[1].info.name, "small");
  EXPECT_EQ(store->list()[0].gguf, models[0].gguf) << "an unchanged file is not read again";
  std::filesystem::remove(first / "chat.gguf");
  store->refresh();
  EXPECT_EQ(store->list().front().gguf->architecture(), "llama");
  const auto missing = store->find("smoll", "");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("'small'"));
  EXPECT_THAT(missing.error().message, HasSubstr(first.string()));
}

TEST_F(HubTest, AFileThatIsBeingCopiedIsReadWhenItRests) {
  const auto folder = folder_ / "growing";
  std::filesystem::create_directories(folder);
  const auto store = open_store("other", {folder});
  write(folder / "new.gguf", "half a model");
  store->refresh();
  EXPECT_TRUE(store->list().empty());
  std::filesystem::remove(folder / "new.gguf");
  std::filesystem::create_symlink(std::string(models_folder) + "/" + smollm2 + ".gguf", folder / "new.gguf");
  store->refresh();
  EXPECT_TRUE(store->list().empty()) << "it may go on changing";
  store->refresh();
  EXPECT_EQ(store->list().size(), 1u);
}

TEST_F(HubTest, AFolderThatIsMissingOrNotWritableIsNamed) {
  const auto missing = Store::open({.home = folder_ / "home", .folders = {folder_ / "nowhere"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("nowhere"));

  // Root may write anywhere, so there the process lays its rights down for a moment.
  const auto locked = folder_ / "locked";
  std::filesystem::create_directories(locked);
  std::filesystem::permissions(locked, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec |
                                           std::filesystem::perms::others_read | std::filesystem::perms::others_exec);
  const bool root = ::geteuid() == 0;
  ASSERT_EQ(::seteuid(root ? 65534 : ::geteuid()), 0);
  const auto denied = Store::open({.home = locked, .folders = {}});
  ASSERT_EQ(::seteuid(root ? 0 : ::geteuid()), 0);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Code::permission) << denied.error().message;
  EXPECT_THAT(denied.error().message, HasSubstr(locked.string()));
  EXPECT_THAT(denied.error().message, HasSubstr("writable"));
}

TEST(ClosestNames, FindWhatWasMeant) {
  const std::vector<std::string> names = {"SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m.Q4_K_M", "qwen3"};
  EXPECT_EQ(closest_names("smollm2", names), std::vector<std::string>{"SmolLM2-135M-Instruct.Q4_1"});
  EXPECT_EQ(closest_names("gemma-3-270.Q4KM", names), std::vector<std::string>{"gemma-3-270m.Q4_K_M"});
  EXPECT_EQ(closest_names("qwen2", names), std::vector<std::string>{"qwen3"});
  EXPECT_TRUE(closest_names("mistral", names).empty());
  EXPECT_TRUE(closest_names("", names).empty());
}

}  // namespace
}  // namespace flotilla
