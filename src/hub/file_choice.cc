#include "hub/file_choice.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <format>
#include <map>
#include <optional>

#include "base/units.h"
#include "base/words.h"
#include "model/excerpt.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view usual_quant = "q4_k_m";
constexpr std::size_t names_told_max = 30;

// One model of a repository: a file, or all parts of a split one.
struct Group {
  std::string stem, quant;  // lower-case; the stem without folder and numbers
  std::uint32_t count = 1;
  std::map<std::uint32_t, HubFile> parts;
  std::string file_name;  // of the first part, as it is written

  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [number, part] : parts) sum += part.bytes;
    return sum;
  }
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "q4_k_m", "iq2_xxs", "bf16", "mxfp4_moe", in lower case.
bool looks_like_quant(std::string_view word) {
  for (const std::string_view whole : {"f16", "f32", "bf16", "fp16", "fp32"})
    if (word == whole) return true;
  if (word.starts_with("mxfp4")) return true;
  if (word.starts_with("iq") || word.starts_with("tq")) word.remove_prefix(1);
  return word.size() >= 2 && word[0] == 'q' && is_digit(word[1]) && (word.size() == 2 || word[2] == '_');
}

std::vector<std::string> words_of(std::string_view stem) {
  std::vector<std::string> words(1);
  for (const char c : stem) {
    if (c == '-' || c == '.')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

std::vector<Group> groups_of(const std::vector<HubFile>& listing) {
  std::map<std::string, Group> groups;  // by folder, stem and count: parts of different splittings are different models
  for (const HubFile& file : listing) {
    const fs::path path(file.path);
    if (is_companion(path.filename().string())) continue;
    const SplitName split = parse_split_name(path);
    Group& group = groups[std::format("{}/{}/{}", path.parent_path().string(), split.stem, split.count)];
    group.stem = lower_case(split.stem);
    group.quant = lower_case(quant_of(file.path));
    group.count = std::max(split.count, 1u);
    if (split.number <= 1) group.file_name = path.filename().string();
    group.parts.emplace(std::max(split.number, 1u), file);
  }
  std::vector<Group> list;
  for (auto& [key, group] : groups) list.push_back(std::move(group));
  std::ranges::stable_sort(list, {}, &Group::bytes);
  return list;
}

// Where `word` stands in the stem as a whole: not as the beginning of a longer quantization.
bool has_word(std::string_view stem, std::string_view word) {
  for (auto at = stem.find(word); at != std::string_view::npos; at = stem.find(word, at + 1)) {
    const char before = at == 0 ? '-' : stem[at - 1];
    const char after = at + word.size() == stem.size() ? '-' : stem[at + word.size()];
    const bool begins = before == '-' || before == '.' || before == '_';
    if (begins && (after == '-' || after == '.')) return true;
  }
  return false;
}

std::string what_there_is(const std::vector<Group>& groups) {
  std::string text;
  std::size_t told = 0;
  for (const Group& group : groups) {
    if (++told > names_told_max) return text + ", …";
    const std::string name = group.quant.empty() ? group.file_name : quant_of(group.file_name);
    text += std::format("{}{} ({})", text.empty() ? "" : ", ", excerpt(name), format_bytes(group.bytes()));
  }
  return text;
}

// The best kind of fit that any of them has.
std::vector<const Group*> fitting(const std::vector<Group>& groups, const std::string& wanted) {
  const std::string stem = parse_split_name(wanted.ends_with(".gguf") ? wanted : wanted + ".gguf").stem;
  std::vector<const Group*> found;
  const auto collect = [&](const auto& fits) {
    if (!found.empty()) return;
    for (const Group& group : groups)
      if (fits(group)) found.push_back(&group);
  };
  collect([&](const Group& group) { return group.stem == stem; });
  collect([&](const Group& group) { return group.quant == wanted; });
  collect([&](const Group& group) { return has_word(group.stem, wanted); });
  return found;
}

Result<std::vector<HubFile>> complete(const Group& group, const std::string& repository) {
  std::vector<HubFile> files;
  for (std::uint32_t number = 1; number <= group.count; ++number) {
    const auto part = group.parts.find(number);
    if (part == group.parts.end())
      return fail(Code::not_found,
                  "[hub] expected {} parts of '{}' in {} but part {} is not there; choose another quantization",
                  group.count, excerpt(group.stem), repository, number);
    files.push_back(part->second);
  }
  return files;
}

}  // namespace

bool is_companion(std::string_view file_name) {
  const std::string name = lower_case(file_name);
  return name.contains("mmproj") || name.contains("imatrix");
}

std::string quant_of(std::string_view path) {
  const std::string stem = parse_split_name(fs::path(path)).stem;
  const auto words = words_of(stem);
  for (std::size_t i = words.size(); i-- > 0;) {
    if (!looks_like_quant(lower_case(words[i]))) continue;
    return i > 0 && words[i - 1] == "UD" ? "UD-" + words[i] : words[i];
  }
  return "";
}

Result<std::vector<HubFile>> choose_files(const std::vector<HubFile>& listing, const std::string& repository,
                                          const std::string& quant) {
  const auto groups = groups_of(listing);
  if (groups.empty())
    return fail(Code::not_found,
                "[hub] expected GGUF files in {} but there are none; look for the same model with -GGUF in its name",
                repository);
  if (quant.empty() && groups.size() == 1) return complete(groups.front(), repository);
  const std::string wanted = quant.empty() ? std::string(usual_quant) : lower_case(quant);
  const auto found = fitting(groups, wanted);
  if (found.size() == 1) return complete(*found.front(), repository);
  if (found.empty())
    return fail(Code::not_found, "[hub] {} in {}; there are: {}; type one of them: {}:QUANT",
                quant.empty() ? "expected a quantization to be named, or Q4_K_M,"
                              : std::format("expected {} but found no such file", excerpt(quant)),
                repository, what_there_is(groups), repository);
  std::string names;
  for (const Group* group : found) names += std::format("{}{}", names.empty() ? "" : ", ", excerpt(group->file_name));
  return fail(Code::invalid_argument,
              "[hub] expected one model in {} to fit but several do: {}; type a file's name: {}:{}", repository, names,
              repository, excerpt(found.front()->file_name));
}

}  // namespace flotilla
