#include "hub/model_reference.h"

#include <algorithm>
#include <cstdlib>
#include <format>

#include "base/words.h"
#include "hub/closest_names.h"
#include "hub/hub_limits.h"
#include "hub/short_names.h"
#include "model/excerpt.h"
#include "wire/plain_text.h"

namespace flotilla {
namespace {

constexpr std::size_t piece_bytes_max = 96;           // what Hugging Face allows
constexpr std::size_t piece_of_path_bytes_max = 240;  // file systems take 255, and ".incomplete" comes behind
constexpr std::size_t quant_bytes_max = 200, revision_bytes_max = 128;
constexpr std::string_view prefixes[] = {"https://", "hf.co/", "huggingface.co/"};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_piece(std::string_view text) {
  if (text.empty() || text.size() > piece_bytes_max || !std::ranges::all_of(text, is_name_character)) return false;
  const auto is_edge = [](char c) { return c == '.' || c == '-'; };
  return !is_edge(text.front()) && !is_edge(text.back()) && !text.contains("--") && !text.contains("..");
}

bool is_quant(std::string_view text) {
  return !text.empty() && text.size() <= quant_bytes_max && text.front() != '.' &&
         std::ranges::all_of(text, [](char c) { return is_name_character(c) || c == '+'; });
}

std::filesystem::path expanded(std::string_view path) {
  const char* home = std::getenv("HOME");
  return home && path.starts_with("~/") ? std::filesystem::path(home) / path.substr(2) : std::filesystem::path(path);
}

Result<ModelReference> parse_file(std::string_view path) {
  if (path.empty() || path.contains('\0'))
    return fail(Code::invalid_argument, "[hub] expected the path of a GGUF file after 'file:' but got none");
  return ModelReference{.repository = {}, .quant = {}, .file = expanded(path)};
}

std::unexpected<Error> no_reference(std::string_view typed) {
  std::vector<std::string> names;
  for (const ShortName& each : short_names()) names.emplace_back(each.name);
  const std::string close = joined(closest_names(typed, names));
  return fail(Code::invalid_argument,
              "[hub] expected a model as ORG/NAME:QUANT, file:PATH or a short name but got '{}'; {}", excerpt(typed),
              close.empty() ? "flotilla pull alone lists the short names" : std::format("did you mean {}?", close));
}

}  // namespace

bool is_repository(std::string_view text) {
  const auto slash = text.find('/');
  return slash != std::string_view::npos && is_piece(text.substr(0, slash)) && is_piece(text.substr(slash + 1)) &&
         !text.ends_with(".git");
}

bool is_revision(std::string_view text) {
  return !text.empty() && text.size() <= revision_bytes_max && is_name_character(text.front()) && text.front() != '.' &&
         text.front() != '-' && !text.contains("..") && std::ranges::all_of(text, is_name_character);
}

bool is_inner_path(std::string_view text) {
  if (text.empty() || text.size() > hub_limits::path_bytes_max) return false;
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= text.size(); ++depth) {
    const std::string_view rest = text.substr(begin);
    const std::string_view piece = rest.substr(0, rest.find('/'));
    // What stands for this folder or the one above begins with a dot, and so does what programs hide; '\\' and ':' part
    // paths elsewhere, and this cache may be shared with other systems.
    if (piece.empty() || piece.front() == '.' || piece.size() > piece_of_path_bytes_max) return false;
    // A file's name becomes a model's, which other machines must be able to hear.
    if (!is_name(piece) || piece.find_first_of("\\:") != std::string_view::npos) return false;
    begin += piece.size() + 1;
  }
  return depth <= hub_limits::path_depth_max;
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string ModelReference::text() const {
  if (!file.empty()) return "file:" + file.string();
  return quant.empty() ? repository : std::format("{}:{}", repository, quant);
}

Result<ModelReference> parse_model_reference(std::string_view typed) {
  if (typed.starts_with("file:")) return parse_file(typed.substr(sizeof("file:") - 1));
  std::string_view rest = typed;
  for (const std::string_view prefix : prefixes)
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  const auto colon = rest.find(':');
  const std::string_view name = rest.substr(0, colon);
  const std::string_view quant = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  if (colon != std::string_view::npos && !is_quant(quant))
    return fail(Code::invalid_argument,
                "[hub] expected a quantization such as Q4_K_M, or a file's name, after the colon of '{}' but got '{}'",
                excerpt(typed), excerpt(quant));
  if (is_repository(name))
    return ModelReference{.repository = std::string(name), .quant = std::string(quant), .file = {}};
  const auto known = std::ranges::find(short_names(), lower_case(name), &ShortName::name);
  if (rest != typed || known == short_names().end()) return no_reference(typed);
  return ModelReference{.repository = std::string(known->repository),
                        .quant = std::string(quant.empty() ? known->quant : quant),
                        .file = {}};
}

}  // namespace flotilla
