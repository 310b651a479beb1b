#include "model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <random>

#include <ggml-cpp.h>

#include "model/gguf_files.h"
#include "model/spec.h"
#include "model/test_gguf.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

constexpr const char* smollm2 = FLOTILLA_SOURCE_DIR "/.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";

struct Hostile {
  std::string claim;
  std::function<TestGguf()> build;
  Code code;
  std::string says;
};

TestGguf sound() { return TestGguf().key("general.architecture", "llama"); }

std::vector<Hostile> hostile_files() {
  const auto tensor = [](std::vector<std::int64_t> shape, std::int32_t type = GGML_TYPE_F32, std::int64_t offset = -1,
                         std::int64_t dimensions = -1) {
    return [=] { return sound().tensor("a", shape, type, offset, dimensions); };
  };
  const auto changed = [](auto change) {
    return [=] {
      TestGguf gguf = sound();
      gguf.tensor("a", {32});
      change(gguf);
      return gguf;
    };
  };
  const auto array_of = [](std::int32_t type, std::uint64_t count) {
    return [=] {
      return sound().raw_key("k", GGUF_TYPE_ARRAY, [=](ByteWriter& w) {
        w.number(type);
        w.number(count);
      });
    };
  };
  const auto alignment = [](std::uint32_t value) {
    return [=] { return sound().key("general.alignment", value).tensor("a", {32}); };
  };
  constexpr std::int64_t huge = std::int64_t{1} << 62;
  return {
      {"another format", changed([](TestGguf& g) { g.magic = 0x67676d6c; }), Code::corrupt, "not a GGUF file"},
      {"version 0", changed([](TestGguf& g) { g.version = 0; }), Code::unsupported, "got 0"},
      {"version 1", changed([](TestGguf& g) { g.version = 1; }), Code::unsupported, "got 1"},
      {"version 4", changed([](TestGguf& g) { g.version = 4; }), Code::unsupported, "got 4"},
      {"big-endian", changed([](TestGguf& g) { g.version = 0x03000000; }), Code::unsupported, "big-endian"},
      {"2^40 tensors", changed([](TestGguf& g) { g.tensors_more = std::int64_t{1} << 40; }), Code::corrupt, "tensors"},
      {"a negative number of tensors", changed([](TestGguf& g) { g.tensors_more = -5; }), Code::corrupt, "tensors"},
      {"2^40 keys", changed([](TestGguf& g) { g.keys_more = std::int64_t{1} << 40; }), Code::corrupt, "keys"},
      {"a negative number of keys", changed([](TestGguf& g) { g.keys_more = -5; }), Code::corrupt, "keys"},
      {"one key more than there is", changed([](TestGguf& g) { g.keys_more = 1; }), Code::corrupt, ""},
      {"one tensor more than there is", changed([](TestGguf& g) { g.tensors_more = 1; }), Code::corrupt,
       "whole header"},
      {"2^30 numbers", array_of(GGUF_TYPE_UINT32, 1u << 30), Code::corrupt, "1073741824"},
      {"2^30 texts", array_of(GGUF_TYPE_STRING, 1u << 30), Code::corrupt, "1073741824"},
      {"2^64 - 1 bytes", array_of(GGUF_TYPE_UINT8, ~std::uint64_t{0}), Code::corrupt, "18446744073709551615"},
      {"an array as long as fits but not there", array_of(GGUF_TYPE_UINT64, 1u << 22), Code::corrupt, "whole header"},
      {"an array of arrays", array_of(GGUF_TYPE_ARRAY, 1), Code::corrupt, "type 9"},
      {"an array of nothing known", array_of(77, 1), Code::corrupt, "type 77"},
      {"a value of no known type", [] { return sound().raw_key("k", 77, [](ByteWriter& w) { w.number(1); }); },
       Code::corrupt, "type 77"},
      {"a value of a negative type", [] { return sound().raw_key("k", -1, [](ByteWriter& w) { w.number(1); }); },
       Code::corrupt, "type 4294967295"},
      {"a text of 2^63 bytes",
       [] { return sound().raw_key("k", GGUF_TYPE_STRING, [](ByteWriter& w) { w.number(std::uint64_t{1} << 63); }); },
       Code::corrupt, "9223372036854775808"},
      {"a text longer than the file",
       [] { return sound().raw_key("k", GGUF_TYPE_STRING, [](ByteWriter& w) { w.number<std::uint64_t>(1u << 20); }); },
       Code::corrupt, "whole header"},
      {"a boolean of 7", [] { return sound().flag("k", 7); }, Code::corrupt, "but got 7"},
      {"an array with a boolean of 2", [] { return sound().array<std::uint8_t>("k", GGUF_TYPE_BOOL, {0, 1, 2}); },
       Code::corrupt, "but got 2"},
      {"the same key twice", [] { return sound().key("k", 1u).key("k", 2u); }, Code::corrupt, "duplicate key"},
      {"a key of no letters", [] { return sound().key("", 1u); }, Code::corrupt, "a key"},
      {"a key with a zero byte", [] { return sound().key(std::string_view("k\0k", 3), 1u); }, Code::corrupt, "a key"},
      {"alignment 0", alignment(0), Code::corrupt, "power of two"},
      {"alignment 48", alignment(48), Code::corrupt, "power of two"},
      {"alignment 2^31", alignment(1u << 31), Code::corrupt, "power of two"},
      {"alignment as text", [] { return sound().key("general.alignment", "32"); }, Code::corrupt, "general.alignment"},
      {"alignment as two numbers",
       [] { return sound().array<std::uint32_t>("general.alignment", GGUF_TYPE_UINT32, {32, 32}); }, Code::corrupt,
       "general.alignment"},
      {"alignment as no number",
       [] { return sound().array<std::uint32_t>("general.alignment", GGUF_TYPE_UINT32, {}); }, Code::corrupt,
       "general.alignment"},
      {"alignment as an octet", [] { return sound().array<std::uint8_t>("general.alignment", GGUF_TYPE_UINT8, {32}); },
       Code::corrupt, "general.alignment"},
      {"a tensor's name with a zero byte", [] { return sound().tensor(std::string_view("a\0b", 3), {32}); },
       Code::corrupt, "a tensor's name"},
      {"a tensor of no name", [] { return sound().tensor("", {32}); }, Code::corrupt, "a tensor's name"},
      {"a tensor's name of 64 bytes", [] { return sound().tensor(std::string(64, 'x'), {32}); }, Code::corrupt,
       "too long"},
      {"the same tensor twice", [] { return sound().tensor("a", {32}).tensor("a", {32}); }, Code::corrupt,
       "duplicate tensor"},
      {"no dimension", tensor({}, GGML_TYPE_F32, 0, 0), Code::corrupt, "dimensions"},
      {"five dimensions", tensor({1, 1, 1, 1, 1}), Code::corrupt, "dimensions"},
      {"2^32 - 1 dimensions", tensor({1}, GGML_TYPE_F32, 0, 0xFFFFFFFF), Code::corrupt, "dimensions"},
      {"no elements", tensor({0}), Code::corrupt, "positive"},
      {"rows of no number", tensor({32, 0}), Code::corrupt, "positive"},
      {"a negative number of elements", tensor({-32}), Code::corrupt, "positive"},
      {"2^62 floats", tensor({huge}, GGML_TYPE_F32, 0), Code::corrupt, ""},
      {"a product of dimensions beyond 64 bits", tensor({1 << 30, 1 << 30, 1 << 30}, GGML_TYPE_F32, 0), Code::corrupt,
       ""},
      {"2^61 floats, which ggml accepts", tensor({std::int64_t{1} << 40, 1 << 21}, GGML_TYPE_F32, 0), Code::corrupt,
       "within"},
      {"2^60 quantized elements", tensor({std::int64_t{1} << 40, 1 << 20}, GGML_TYPE_Q2_K, 0), Code::corrupt, "within"},
      {"an unknown tensor type", tensor({32}, 999), Code::corrupt, "type 999"},
      {"a negative tensor type", tensor({32}, -1), Code::corrupt, "type -1"},
      {"a tensor type that was removed", tensor({32}, 4), Code::corrupt, "type 4"},
      {"a row that is no whole number of blocks", tensor({33}, GGML_TYPE_Q4_0), Code::corrupt, "block size"},
      {"an offset beyond the file", tensor({32}, GGML_TYPE_F32, 1 << 20), Code::corrupt, "offset"},
      {"tensors that overlap", [] { return sound().tensor("a", {32}).tensor("b", {32}, GGML_TYPE_F32, 64); },
       Code::corrupt, "offset"},
      {"an offset off the alignment", [] { return sound().tensor("a", {32}).tensor("b", {32}, GGML_TYPE_F32, 129); },
       Code::corrupt, "offset"},
      {"no architecture", [] { return TestGguf().tensor("a", {32}); }, Code::corrupt, "general.architecture"},
      {"an architecture that is a number", [] { return TestGguf().key("general.architecture", 1u); }, Code::corrupt,
       "general.architecture"},
      {"a part of a split model alone", [] { return sound().key("split.count", 3u).key("split.no", 0u); },
       Code::corrupt, "all 3 parts"},
  };
}

TEST(Gguf, HostileHeadersAreRefusedByName) {
  for (const Hostile& hostile : hostile_files()) {
    const GgufPart part{.header = hostile.build().header(), .file_bytes = 8192};
    const auto gguf = Gguf::parse(std::span(&part, 1), "hostile");
    ASSERT_FALSE(gguf) << hostile.claim;
    EXPECT_EQ(gguf.error().code, hostile.code) << hostile.claim << ": " << gguf.error().message;
    EXPECT_THAT(gguf.error().message, HasSubstr(hostile.says)) << hostile.claim;
    EXPECT_THAT(gguf.error().message, HasSubstr("[model] expected")) << hostile.claim;
  }
}

TEST(Gguf, EveryAlignmentItAcceptsPlacesTensorsInTheFile) {
  for (const std::uint32_t alignment : {1u, 8u, 64u, 65536u}) {
    const TestGguf file = sound().key("general.alignment", alignment).tensor("a", {32});
    const std::uint64_t data = (file.header().size() + alignment - 1) / alignment * alignment;
    GgufPart part{.header = file.header(), .file_bytes = data + 128};
    const auto gguf = Gguf::parse(std::span(&part, 1), "aligned");
    ASSERT_TRUE(gguf) << gguf.error().message;
    EXPECT_EQ((*gguf)->find("a")->offset, data);
    part.file_bytes -= 1;
    EXPECT_FALSE(Gguf::parse(std::span(&part, 1), "aligned"));
  }
}

TEST(Gguf, GettersTellAbsentFromWronglyTyped) {
  const auto gguf =
      sound()
          .key("u", 7u)
          .key("f", 0.5f)
          .flag("b", 1)
          .raw_key("negative", GGUF_TYPE_INT8, [](ByteWriter& w) { w.number<std::int8_t>(-3); })
          .raw_key("nan", GGUF_TYPE_FLOAT32, [](ByteWriter& w) { w.number(std::numeric_limits<float>::quiet_NaN()); })
          .raw_key("big", GGUF_TYPE_UINT64, [](ByteWriter& w) { w.number(~std::uint64_t{0}); })
          .array<std::string>("texts", GGUF_TYPE_STRING, {"one", "", "three"})
          .array<std::int16_t>("numbers", GGUF_TYPE_INT16, {-1, 2})
          .array<std::uint64_t>("big numbers", GGUF_TYPE_UINT64, {~std::uint64_t{0}})
          .array<float>("reals", GGUF_TYPE_FLOAT32, {0.25f, -1.0f})
          .array<std::uint8_t>("flags", GGUF_TYPE_BOOL, {1, 0})
          .parse();
  ASSERT_TRUE(gguf) << gguf.error().message;
  const Gguf& g = **gguf;
  EXPECT_EQ(*g.text("general.architecture"), "llama");
  EXPECT_EQ(*g.number("u"), 7u);
  EXPECT_EQ(*g.real("u"), 7.0);
  EXPECT_EQ(*g.real("f"), 0.5);
  EXPECT_EQ(*g.flag("b"), true);
  EXPECT_EQ(*g.number("big"), ~std::uint64_t{0});
  EXPECT_EQ(*g.numbers("u"), std::vector<std::int64_t>{7});
  EXPECT_EQ(*g.numbers("numbers"), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(*g.texts("texts"), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(*g.reals("reals"), (std::vector<float>{0.25f, -1.0f}));
  EXPECT_EQ(*g.flags("flags"), (std::vector<bool>{true, false}));
  EXPECT_TRUE(g.has("u"));
  EXPECT_FALSE(g.has("v"));
  for (const Code absent :
       {g.text("v").error().code, g.number("v").error().code, g.real("v").error().code, g.flag("v").error().code,
        g.texts("v").error().code, g.numbers("v").error().code, g.reals("v").error().code, g.flags("v").error().code}) {
    EXPECT_EQ(absent, Code::not_found);
  }
  for (const Code wrong : {g.text("u").error().code, g.number("f").error().code, g.number("negative").error().code,
                           g.real("nan").error().code, g.real("b").error().code, g.flag("u").error().code,
                           g.texts("numbers").error().code, g.texts("u").error().code, g.numbers("texts").error().code,
                           g.numbers("big").error().code, g.numbers("big numbers").error().code,
                           g.reals("texts").error().code, g.reals("f").error().code, g.flags("numbers").error().code}) {
    EXPECT_EQ(wrong, Code::corrupt);
  }
}

TEST(Gguf, RandomDamageNeverCrashesNorNamesAByteOutsideTheFile) {
  const TestGguf file = TinyModel{
      .output = true, .more = [](TestGguf& g) {
        g.array<std::string>("tokenizer.ggml.tokens", GGUF_TYPE_STRING,
                             {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
        g.flag("tokenizer.ggml.add_bos_token", 1).array<float>("scores", GGUF_TYPE_FLOAT32, {1, 2});
      }}.build();
  const Bytes header = file.header();
  int accepted = 0, computable = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    std::mt19937 random(seed);
    GgufPart part{.header = header, .file_bytes = file.file_bytes()};
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      part.header[random() % header.size()] ^= static_cast<std::byte>(1u << (random() % 8));
    }
    const auto gguf = Gguf::parse(std::span(&part, 1), "damaged");
    if (!gguf) continue;
    ++accepted;
    for (const TensorPlace& place : (*gguf)->tensors()) {
      ASSERT_LE(place.offset, part.file_bytes) << "seed " << seed;
      ASSERT_LE(place.bytes, part.file_bytes - place.offset) << "seed " << seed;
      ASSERT_GE(place.offset, (*gguf)->parts()[0].header.size()) << "seed " << seed;
    }
    if (read_spec(**gguf)) ++computable;
  }
  // Damage in a name or a number is not always damage to the structure; it must be neither everything nor nothing.
  EXPECT_GT(accepted, 500);
  EXPECT_LT(accepted, 4500);
  EXPECT_LT(computable, accepted);
}

TEST(Gguf, ATruncatedFileIsRefusedWhereverItIsCut) {
  const auto whole = Gguf::open(smollm2);
  ASSERT_TRUE(whole) << whole.error().message;
  const GgufPart& truth = (*whole)->parts()[0];
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> cuts = {
      0, 1, 3, 4, 8, 23, 24, 25, truth.header.size() - 1, truth.header.size(), truth.file_bytes - 1};
  for (int i = 0; i < 40; ++i) cuts.push_back(random() % truth.header.size());
  for (int i = 0; i < 40; ++i)
    cuts.push_back(truth.header.size() + random() % (truth.file_bytes - truth.header.size()));
  for (const std::uint64_t cut : cuts) {
    GgufPart part{.header = truth.header, .file_bytes = cut};
    if (cut < part.header.size()) part.header.resize(cut);
    const auto gguf = Gguf::parse(std::span(&part, 1), "cut");
    ASSERT_FALSE(gguf) << cut;
    EXPECT_EQ(gguf.error().code, Code::corrupt) << cut;
  }
  EXPECT_TRUE(Gguf::parse((*whole)->parts(), "whole"));
}

class GgufOnDisk : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("flotilla-gguf-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, std::span<const std::byte> bytes) {
    std::ofstream(folder_ / name, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  // Writes `source` as split parts, as llama.cpp's splitter does: all keys in the first, tensors in turn.
  void split(const Gguf& source, int count, int tensor_count_more = 0) {
    std::ifstream in(source.files()[0], std::ios::binary);
    const auto tensors = source.tensors();
    const gguf_context_ptr all(gguf_init_from_file(source.files()[0].c_str(), {.no_alloc = true, .ctx = nullptr}));
    const std::size_t each = (tensors.size() + count - 1) / count;
    for (int number = 0; number < count; ++number) {
      const auto mine = tensors.subspan(number * each, std::min(each, tensors.size() - number * each));
      const gguf_context_ptr part(gguf_init_empty());
      if (number == 0) gguf_set_kv(part.get(), all.get());
      gguf_set_val_u16(part.get(), "split.no", static_cast<std::uint16_t>(number));
      gguf_set_val_u16(part.get(), "split.count", static_cast<std::uint16_t>(count));
      gguf_set_val_i32(part.get(), "split.tensors.count",
                       static_cast<std::int32_t>(tensors.size()) + tensor_count_more);
      for (const TensorPlace& place : mine) {
        const ggml_context_ptr shapes(ggml_init({.mem_size = 1024, .mem_buffer = nullptr, .no_alloc = true}));
        ggml_tensor* tensor = ggml_new_tensor(shapes.get(), static_cast<ggml_type>(place.type),
                                              static_cast<int>(place.shape.size()), place.shape.data());
        ggml_set_name(tensor, place.name.c_str());
        gguf_add_tensor(part.get(), tensor);
      }
      const auto path = folder_ / std::format("model-{:05}-of-{:05}.gguf", number + 1, count);
      ASSERT_TRUE(gguf_write_to_file(part.get(), path.c_str(), true));
      std::ofstream out(path, std::ios::binary | std::ios::app);
      for (const TensorPlace& place : mine) {
        std::vector<char> bytes((place.bytes + 31) / 32 * 32);
        in.seekg(static_cast<std::streamoff>(place.offset))
            .read(bytes.data(), static_cast<std::streamsize>(place.bytes));
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      }
    }
  }

  static Digest digest_of(const Gguf& gguf, const TensorPlace& place) {
    Bytes bytes(place.bytes);
    std::ifstream in(gguf.files()[place.file_index], std::ios::binary);
    in.seekg(static_cast<std::streamoff>(place.offset));
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return sha256(bytes);
  }

  std::filesystem::path folder_;
};

TEST_F(GgufOnDisk, AHeaderFromAPeerGivesTheSameModelAsTheFile) {
  const auto opened = Gguf::open(smollm2);
  ASSERT_TRUE(opened) << opened.error().message;
  GgufPart part = (*opened)->parts()[0];
  part.header.resize(part.header.size() + 100);  // whatever follows the header does not count
  const auto parsed = Gguf::parse(std::span(&part, 1), (*opened)->name());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)->fingerprint(), (*opened)->fingerprint());
  EXPECT_EQ((*parsed)->fingerprint().size(), 64u);
  EXPECT_EQ((*parsed)->parts()[0].header, (*opened)->parts()[0].header);
  EXPECT_TRUE((*parsed)->files().empty());
  ASSERT_EQ((*parsed)->tensors().size(), 272u);
  for (std::size_t i = 0; i < 272; ++i) {
    EXPECT_EQ((*parsed)->tensors()[i].offset, (*opened)->tensors()[i].offset);
    EXPECT_EQ((*parsed)->tensors()[i].bytes, (*opened)->tensors()[i].bytes);
  }
  part.file_bytes += 32;
  EXPECT_NE((*Gguf::parse(std::span(&part, 1), "longer"))->fingerprint(), (*opened)->fingerprint());
}

TEST_F(GgufOnDisk, ASplitModelIsOneModel) {
  const auto whole = Gguf::open(smollm2);
  ASSERT_TRUE(whole) << whole.error().message;
  split(**whole, 3);
  const auto parts = Gguf::open(folder_ / "model-00001-of-00003.gguf");
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ((*parts)->name(), "model");
  EXPECT_EQ((*parts)->files().size(), 3u);
  ASSERT_EQ((*parts)->tensors().size(), (*whole)->tensors().size());
  for (const TensorPlace& place : (*whole)->tensors()) {
    const TensorPlace* same = (*parts)->find(place.name);
    ASSERT_NE(same, nullptr) << place.name;
    EXPECT_EQ(same->shape, place.shape);
    EXPECT_EQ(digest_of(**parts, *same), digest_of(**whole, place)) << place.name;
  }
  EXPECT_TRUE(read_spec(**parts));
  const auto again = Gguf::open_parts((*parts)->files(), "model");
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->fingerprint(), (*parts)->fingerprint());
}

TEST_F(GgufOnDisk, ASplitModelWithAMissingOrMixedUpPartIsRefused) {
  const auto whole = Gguf::open(smollm2);
  ASSERT_TRUE(whole) << whole.error().message;
  split(**whole, 3);
  const auto path = [&](int number) { return folder_ / std::format("model-{:05}-of-00003.gguf", number); };
  const auto second = Gguf::open(path(2));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("-00001-of-00003.gguf"));

  std::filesystem::rename(path(2), folder_ / "aside");
  const auto without = Gguf::open(path(1));
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, Code::not_found);
  EXPECT_THAT(without.error().message, HasSubstr("model-00002-of-00003.gguf"));

  std::filesystem::copy_file(path(3), path(2));
  const auto mixed = Gguf::open(path(1));
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code, Code::corrupt);
  EXPECT_THAT(mixed.error().message, HasSubstr("mixed up"));

  std::filesystem::copy_file(path(1), folder_ / "alone.gguf");
  EXPECT_THAT(Gguf::open(folder_ / "alone.gguf").error().message, HasSubstr("all 3 parts"));

  std::filesystem::remove(path(2));
  split(**whole, 3, 1);
  EXPECT_THAT(Gguf::open(path(1)).error().message, HasSubstr("split.tensors.count"));
}

TEST_F(GgufOnDisk, WhatIsNoModelIsRefusedWithItsName) {
  EXPECT_EQ(Gguf::open(folder_ / "nothing.gguf").error().code, Code::not_found);
  EXPECT_EQ(Gguf::open(folder_).error().code, Code::invalid_argument);
  write("empty.gguf", {});
  EXPECT_THAT(Gguf::open(folder_ / "empty.gguf").error().message, HasSubstr("cut short"));
  const TestGguf file = sound().tensor("a", {32});
  write("cut.gguf", file.header());
  const auto cut = Gguf::open(folder_ / "cut.gguf");
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::corrupt);
  EXPECT_THAT(cut.error().message, HasSubstr("'cut'"));
}

TEST(SplitNames, OnlyTheFullFormCounts) {
  EXPECT_EQ(parse_split_name("a/model-00002-of-00007.gguf").number, 2u);
  EXPECT_EQ(parse_split_name("a/model-00002-of-00007.gguf").count, 7u);
  EXPECT_EQ(parse_split_name("a/model-00002-of-00007.gguf").stem, "model");
  for (const char* whole : {"model.gguf", "-00001-of-00002.gguf", "model-0001-of-00002.gguf",
                            "model-00003-of-00002.gguf", "model-00000-of-00002.gguf", "model-+0001-of-00002.gguf"}) {
    EXPECT_EQ(parse_split_name(whole).count, 0u) << whole;
  }
}

}  // namespace
}  // namespace flotilla
