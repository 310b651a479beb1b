// Claims about names of models elsewhere, about which files they mean, and about the cache. What hubs say and do is
// tested with a hub and real processes (tests/process/test_pull.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hex.h"
#include "hub/cached_choice.h"
#include "hub/catalog.h"
#include "hub/file_choice.h"
#include "hub/hub_cache.h"
#include "hub/hub_client.h"
#include "hub/origin.h"
#include "hub/partial_blob.h"
#include "hub/short_names.h"
#include "hub/web_address.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::string reference(std::string_view typed) {
  const auto parsed = parse_model_reference(typed);
  return parsed ? parsed->text() : "refused";
}

TEST(ModelReference, IsARepositoryAShortNameOrAFile) {
  EXPECT_EQ(reference("Qwen/Qwen3-4B-GGUF:Q4_K_M"), "Qwen/Qwen3-4B-GGUF:Q4_K_M");
  EXPECT_EQ(reference("Qwen/Qwen3-4B-GGUF"), "Qwen/Qwen3-4B-GGUF");
  EXPECT_EQ(reference("hf.co/Qwen/Qwen3-4B-GGUF:q8_0"), "Qwen/Qwen3-4B-GGUF:q8_0");
  EXPECT_EQ(reference("https://huggingface.co/Qwen/Qwen3-4B-GGUF"), "Qwen/Qwen3-4B-GGUF");
  EXPECT_EQ(reference("QWEN3-4b"), "Qwen/Qwen3-4B-GGUF:Q4_K_M");
  EXPECT_EQ(reference("qwen3-4b:Q8_0"), "Qwen/Qwen3-4B-GGUF:Q8_0");
  EXPECT_EQ(reference("a/b:Model-Q4_K_M.gguf"), "a/b:Model-Q4_K_M.gguf");
  EXPECT_EQ(reference("file:/a/b.gguf"), "file:/a/b.gguf");
}

TEST(ModelReference, NothingElse) {
  for (const char* typed : {"",
                            "/",
                            "a/",
                            "/b",
                            "a/b/c",
                            "../b",
                            "a/..",
                            "a/b.git",
                            "a--b/c",
                            ".a/b",
                            "a./b",
                            "a b/c",
                            "a/b?c",
                            "a/b#c",
                            "a/b%2e",
                            "a/b:",
                            "a/b:.x",
                            "a/b:x/y",
                            "a/b:x:y",
                            "a/b\n",
                            "nobody-knows",
                            "hf.co/qwen3-4b",
                            "file:",
                            "http://huggingface.co/a/b",
                            "https://example.org/a/b",
                            "a@b/c",
                            "ä/b"})
    EXPECT_EQ(reference(typed), "refused") << typed;
  EXPECT_EQ(reference("a/" + std::string(97, 'b')), "refused");
  EXPECT_THAT(parse_model_reference("qwen3-4").error().message, HasSubstr("qwen3-4b"));
}

TEST(ModelReference, ShortNamesStandForRepositories) {
  for (const ShortName& each : short_names()) {
    EXPECT_EQ(reference(each.name), std::format("{}:{}", each.repository, each.quant));
    EXPECT_TRUE(is_repository(each.repository)) << each.repository;
  }
}

TEST(InnerPath, StaysInItsFolder) {
  for (const char* path : {"a.gguf", "Q4/a b.gguf", "a/b/c/d.gguf", "ä.gguf"}) EXPECT_TRUE(is_inner_path(path)) << path;
  for (const char* path :
       {"", "/a", "a/", "a//b", "..", "a/../b", "./a", ".a", "a\\b", "c:a", "a\nb", "a\x7f", "a\u0085", "a\xff"})
    EXPECT_FALSE(is_inner_path(path)) << path;
}

TEST(FileChoice, ReadsQuantizationsFromNames) {
  EXPECT_EQ(quant_of("SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
  EXPECT_EQ(quant_of("a/Model-Q4_K_M-00001-of-00002.gguf"), "Q4_K_M");
  EXPECT_EQ(quant_of("qwen2.5-0.5b-instruct-q4_k_m.gguf"), "q4_k_m");
  EXPECT_EQ(quant_of("Model-UD-Q4_K_XL.gguf"), "UD-Q4_K_XL");
  EXPECT_EQ(quant_of("Model-IQ2_XXS.gguf"), "IQ2_XXS");
  EXPECT_EQ(quant_of("gpt-oss-20b-mxfp4.gguf"), "mxfp4");
  EXPECT_EQ(quant_of("model-BF16.gguf"), "BF16");
  EXPECT_EQ(quant_of("Qwen3-4B.gguf"), "");
}

std::vector<HubFile> listing(const std::vector<std::string>& paths) {
  std::vector<HubFile> files;
  for (const std::string& path : paths) files.push_back({.path = path, .bytes = 1000, .sha256 = {}});
  return files;
}

// Paths joined by spaces, or the beginning of why not.
std::string choice(const std::vector<std::string>& paths, const std::string& quant) {
  const auto files = choose_files(listing(paths), "a/b", quant);
  if (!files) return files.error().message;
  std::string text;
  for (const HubFile& file : *files) text += (text.empty() ? "" : " ") + file.path;
  return text;
}

TEST(FileChoice, TakesWhatWasAskedForAndNotWhatBeginsAlike) {
  const std::vector<std::string> paths{"M-Q4_K.gguf", "M-Q4_K_M.gguf",     "M-Q4_K_XL.gguf",     "M-UD-Q4_K_XL.gguf",
                                       "M-Q8_0.gguf", "mmproj-M-f16.gguf", "M-imatrix-Q5_0.gguf"};
  EXPECT_EQ(choice(paths, "q4_k"), "M-Q4_K.gguf");
  EXPECT_EQ(choice(paths, "Q4_K_M"), "M-Q4_K_M.gguf");
  EXPECT_EQ(choice(paths, "Q4_K_XL"), "M-Q4_K_XL.gguf");
  EXPECT_EQ(choice(paths, "UD-Q4_K_XL"), "M-UD-Q4_K_XL.gguf");
  EXPECT_EQ(choice(paths, ""), "M-Q4_K_M.gguf");
  EXPECT_EQ(choice(paths, "M-Q8_0.gguf"), "M-Q8_0.gguf");
  EXPECT_THAT(choice(paths, "f16"), HasSubstr("there are: Q4_K (1.0 KiB)"));
  EXPECT_THAT(choice(paths, "Q5_0"), HasSubstr("no such file"));
  EXPECT_THAT(choice({"mmproj.gguf"}, ""), HasSubstr("there are none"));
  EXPECT_EQ(choice({"only.gguf"}, ""), "only.gguf");
  EXPECT_EQ(choice({"M-UD-Q4_K_XL.gguf"}, "Q4_K_XL"), "M-UD-Q4_K_XL.gguf");
}

TEST(FileChoice, SeveralThatFitAreNamed) {
  EXPECT_THAT(choice({"A-Q4_K_M.gguf", "B-Q4_K_M.gguf"}, ""), HasSubstr("a/b:A-Q4_K_M.gguf"));
  EXPECT_EQ(choice({"A-Q4_K_M.gguf", "B-Q4_K_M.gguf"}, "b-q4_k_m.gguf"), "B-Q4_K_M.gguf");
}

TEST(FileChoice, PartsComeTogetherInOrderOrNotAtAll) {
  EXPECT_EQ(choice({"q/M-Q8_0-00002-of-00002.gguf", "q/M-Q8_0-00001-of-00002.gguf", "M-Q4_0.gguf"}, "Q8_0"),
            "q/M-Q8_0-00001-of-00002.gguf q/M-Q8_0-00002-of-00002.gguf");
  EXPECT_THAT(choice({"M-Q8_0-00001-of-00003.gguf", "M-Q8_0-00003-of-00003.gguf"}, "Q8_0"),
              HasSubstr("part 2 is not there"));
}

TEST(HubOrigins, OneIsMeantOrSeveralAreNamed) {
  const auto origin_of = [](const char* path) {
    return HubOrigin{.repository = "Org/One", .commit = std::string(40, 'a'), .files = {{.path = path, .bytes = 1}}};
  };
  const HubOrigin q5 = origin_of("Model-Q5_0.gguf"), q8 = origin_of("Model-Q8_0.gguf");
  const auto choose = [&](const char* typed) {
    return choose_origin({HubOrigin(), q5, q8}, parse_model_reference(typed).value());
  };
  EXPECT_EQ(choose("org/one:q8_0").value(), q8);
  EXPECT_THAT(choose("org/one").error().message, AllOf(HasSubstr("Q5_0"), HasSubstr("Q8_0")));
  EXPECT_EQ(choose("org/two").value(), std::nullopt);
  EXPECT_EQ(choose_origin({q5}, parse_model_reference("org/one").value()).value(), q5);
}

class FullSink final : public ByteSink {
 public:
  std::uint64_t offset() const override { return 6; }
  Status restart() override { return fail(Code::internal, "begun anew"); }
  Status add(std::span<const std::byte>) override { return fail(Code::internal, "a byte more"); }
};

TEST(HubClient, AsksForNothingOnceItHasAllBytes) {
  HubClient client({.endpoint = "http://127.0.0.1:1"}, 1, {});
  const FilePlace place{.repository = "org/one", .commit = std::string(40, 'a'), .file = {.path = "a", .bytes = 6}};
  FullSink sink;
  EXPECT_TRUE(client.fetch(place, sink));
  EXPECT_TRUE(client.fetch_range(place, 6, sink));
}

TEST(WebAddress, OriginsAreComparedAsTheyAreAsked) {
  EXPECT_EQ(origin_of_address("https://HuggingFace.co/a").value(), "https://huggingface.co:443");
  EXPECT_EQ(origin_of_address("http://localhost:80/a").value(), origin_of_address("http://localhost").value());
  for (const char* address : {"ftp://a/b", "file:///etc/passwd", "https://user@a/", "https://user:x@a/", "a b", ""})
    EXPECT_FALSE(origin_of_address(address)) << address;
  EXPECT_EQ(address_from("https://a/b/c?d", "/e?f").value(), "https://a/e?f");
  EXPECT_EQ(address_from("https://a/b", "https://c/d").value(), "https://c/d");
  EXPECT_FALSE(address_from("https://a/b", "https://user@c/d"));
  EXPECT_EQ(address_from("http://a/b", "http://c/d").value(), "http://c/d");
  EXPECT_EQ(address_from("https://a/b", "http://a/d").error().code, Code::unauthorized);
}

class HubCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "flotilla-cache-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string sha256_of(std::string_view bytes) { return to_hex(sha256(bytes_of(bytes))); }
  void write(const fs::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

  // As a pull leaves it.
  void put(const std::string& repository, char commit, const std::string& path, const std::string& bytes) {
    const HubCache cache(folder_);
    ASSERT_TRUE(cache.prepare(repository));
    write(cache.blob(repository, sha256_of(bytes)), bytes);
    const HubFile file{.path = path, .bytes = bytes.size(), .sha256 = sha256_of(bytes)};
    ASSERT_TRUE(cache.publish(repository, "main", std::string(40, commit), {file}));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const CachedModel& model : cached_models(folder_))
      names.push_back(model.repository + ":" + model.name + "@" +
                      model.first_file().parent_path().filename().string()[0]);
    return names;
  }
  CachedModel only(const std::string& typed) const { return choose_cached(cached_models(folder_), typed).value(); }

  fs::path folder_;
};

TEST_F(HubCacheTest, FindsWhatWasPulledAtItsNewestCommit) {
  put("org/one", 'b', "A-Q4_K_M.gguf", "old");
  put("org/one", 'a', "A-Q4_K_M.gguf", "new");
  put("org/one", 'a', "mmproj-A.gguf", "pictures");
  put("org/one", 'c', "C-Q4_K_M.gguf", "newest");
  put("org/one", 'a', "notes.txt", "text");
  EXPECT_THAT(names(), ElementsAre("org/one:A-Q4_K_M@a", "org/one:C-Q4_K_M@c"));
  EXPECT_TRUE(cached_models(folder_ / "nowhere").empty());
  EXPECT_EQ(HubCache(folder_).remembered_commit("org/one", "main"), std::string(40, 'a'));
}

TEST_F(HubCacheTest, ChoosesByNameBeginningAndRepository) {
  put("org/one", 'a', "Model-Q4_K_M.gguf", "1");
  put("org/one", 'a', "Model-Q8_0.gguf", "2");
  put("org/two", 'a', "Model-Q8_0.gguf", "3");
  const auto models = cached_models(folder_);
  EXPECT_EQ(choose_cached(models, "model-q4")->name, "Model-Q4_K_M");
  EXPECT_EQ(choose_cached(models, "org/one:q8_0")->repository, "org/one");
  EXPECT_EQ(choose_cached(models, "org/two")->name, "Model-Q8_0");
  EXPECT_THAT(choose_cached(models, "Model-Q8_0").error().message, HasSubstr("org/two:Model-Q8_0.gguf"));
  EXPECT_EQ(choose_cached(models, choose_cached(models, "org/two")->reference())->repository, "org/two");
  EXPECT_EQ(choose_cached(models, "other").error().code, Code::not_found);
  EXPECT_EQ(choose_cached(models, "org/three").error().code, Code::not_found);
}

TEST_F(HubCacheTest, RemovesBytesThatNothingElseRefersTo) {
  put("org/one", 'a', "Model-Q4_K_M.gguf", "same");
  put("org/one", 'b', "Model-Q4_K_M.gguf", "same");
  put("org/one", 'b', "Copy-Q8_0.gguf", "same");
  put("org/one", 'b', "Other-Q8_0.gguf", "other");
  const HubCache cache(folder_);
  EXPECT_EQ(cache.remove(only("model")).value(), 0u);  // the copy has the same bytes
  EXPECT_TRUE(fs::exists(cache.blob("org/one", sha256_of("same"))));
  EXPECT_EQ(cache.remove(only("copy")).value(), 4u);
  EXPECT_FALSE(fs::exists(cache.blob("org/one", sha256_of("same"))));
  EXPECT_THAT(names(), ElementsAre("org/one:Other-Q8_0@b"));
  EXPECT_EQ(cache.remove(only("other")).value(), 5u);
  EXPECT_FALSE(fs::exists(folder_ / "models--org--one"));
}

TEST_F(HubCacheTest, RemovingOneModelLeavesThePullOfAnother) {
  put("org/one", 'a', "Model-Q4_K_M.gguf", "bytes");
  const HubCache cache(folder_);
  const fs::path partial = cache.incomplete("org/one", std::string(64, 'b'));
  write(partial, "half of it");
  {
    const auto pulling = cache.try_lock("org/one", std::string(64, 'b'));
    ASSERT_TRUE(pulling && *pulling);
    EXPECT_EQ(cache.remove(only("model")).value(), 5u);
    EXPECT_EQ(cache.remove_unfinished("org/one").error().code, Code::busy);
    EXPECT_TRUE(fs::exists(partial));
  }
  put("org/one", 'a', "Model-Q4_K_M.gguf", "bytes");
  EXPECT_TRUE(cache.remove(only("model")));
  EXPECT_FALSE(fs::exists(folder_ / "models--org--one"));
}

TEST_F(HubCacheTest, FollowsNoLinkOutOfARepositoryWhenItRemoves) {
  put("org/one", 'a', "Model-Q4_K_M.gguf", "bytes");
  write(folder_ / "mine.gguf", "mine");
  const fs::path snapshot = HubCache(folder_).snapshot("org/one", std::string(40, 'a'));
  fs::create_symlink(folder_ / "mine.gguf", snapshot / "Mine-Q8_0.gguf");
  ASSERT_TRUE(HubCache(folder_).remove(only("mine")));
  ASSERT_TRUE(HubCache(folder_).remove(only("model")));
  EXPECT_TRUE(fs::exists(folder_ / "mine.gguf"));
}

TEST_F(HubCacheTest, TheCatalogFindsModelsAndTakesAFoldersFirst) {
  const fs::path real = fs::path(FLOTILLA_SOURCE_DIR "/.cache/models") / "SmolLM2-135M-Instruct.Q4_1.gguf";
  ASSERT_TRUE(fs::exists(real)) << "scripts/models fetches it";
  put("org/one", 'a', "SmolLM2.gguf", "no model");
  const fs::path snapshot = HubCache(folder_).snapshot("org/one", std::string(40, 'a'));
  fs::create_symlink(fs::absolute(real), snapshot / real.filename());
  auto catalog = Catalog::open({}, folder_).value();
  const auto models = catalog.scan();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0]->files(), std::vector{snapshot / real.filename()});
  EXPECT_EQ(catalog.skipped().size(), 1u);
  auto both = Catalog::open({real.parent_path()}, folder_).value();
  for (const auto& model : both.scan()) {
    if (model->name() != models[0]->name()) continue;
    EXPECT_EQ(model->files().front().parent_path(), real.parent_path());
  }
}

TEST_F(HubCacheTest, APartialBlobGoesOnWhereItWas) {
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); };
  const fs::path path = folder_ / "x.incomplete", blob = folder_ / "x";
  const auto open = [&] { return PartialBlob::open(path, 6, {}, [](std::uint64_t) {}).value(); };
  ASSERT_TRUE(open().add(bytes("abc")));
  auto partial = open();
  EXPECT_EQ(partial.offset(), 3u);
  ASSERT_TRUE(partial.add(bytes("def")));
  EXPECT_FALSE(fs::exists(blob));
  ASSERT_TRUE(partial.finish(blob, sha256_of("abcdef")));
  EXPECT_TRUE(fs::exists(blob) && !fs::exists(path));
}

TEST_F(HubCacheTest, APartialBlobWithAnotherHashNeverGetsItsName) {
  write(folder_ / "x.incomplete", "longer than it may be");
  auto partial = PartialBlob::open(folder_ / "x.incomplete", 6, {}, [](std::uint64_t) {}).value();
  EXPECT_EQ(partial.offset(), 0u);  // of something else
  ASSERT_TRUE(partial.add(bytes_of("abcdeX")));
  EXPECT_EQ(partial.finish(folder_ / "x", sha256_of("abcdef")).error().code, Code::corrupt);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace flotilla
