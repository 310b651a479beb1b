#include "model/gguf_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <format>
#include <memory>

#include "base/limits.h"
#include "model/gguf_header.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Result<File> open_file(const fs::path& path) {
  File file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file) return file;
  const int cause = errno;
  const Code code = cause == ENOENT || cause == ENOTDIR ? Code::not_found
                    : cause == EACCES                   ? Code::permission
                                                        : Code::unavailable;
  return fail(code, "[model] expected to read '{}' but got: {}", path.string(), std::strerror(cause));
}

// The header's length is known only once it has been walked, so the buffer grows fourfold until the walk completes. A
// walk costs far less than the reading.
Result<Bytes> read_header(std::FILE* file, std::uint64_t file_bytes, const std::string& name) {
  const std::uint64_t bytes_max = std::min<std::uint64_t>(file_bytes, limits::header_bytes_max);
  Bytes bytes;
  for (std::uint64_t want = std::min<std::uint64_t>(bytes_max, 1u << 20);; want = std::min(bytes_max, want * 4)) {
    const std::size_t have = bytes.size();
    bytes.resize(want);
    if (std::fread(bytes.data() + have, 1, want - have, file) != want - have) {
      return fail(Code::unavailable,
                  "[model] expected to read {} bytes of '{}' but got fewer; the file changed or the "
                  "disk failed",
                  want, name);
    }
    FLOTILLA_TRY(const auto length, measure_gguf_header(bytes, name));
    if (length.complete) {
      bytes.resize(length.header_bytes);
      bytes.shrink_to_fit();
      return bytes;
    }
    if (want < bytes_max) continue;
    if (bytes_max < file_bytes) {
      return fail(Code::too_large, "[model] expected a header of at most {} bytes in '{}' but it goes on",
                  limits::header_bytes_max, name);
    }
    return fail(Code::corrupt,
                "[model] expected the header of '{}' to go on but the file ends after {} bytes; it is cut "
                "short, fetch it again",
                name, file_bytes);
  }
}

}  // namespace

Result<GgufPart> read_gguf_part(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!error && fs::exists(status) && !fs::is_regular_file(status)) {
    return fail(Code::invalid_argument, "[model] expected a GGUF file but '{}' is not a regular file", path.string());
  }
  FLOTILLA_TRY(const auto file, open_file(path));
  const auto file_bytes = fs::file_size(path, error);
  if (error)
    return fail(Code::unavailable, "[model] expected the size of '{}' but got: {}", path.string(), error.message());
  FLOTILLA_TRY(auto header, read_header(file.get(), file_bytes, path.filename().string()));
  return GgufPart{.header = std::move(header), .file_bytes = file_bytes};
}

std::string part_name(const SplitName& split, std::uint32_t number) {
  return std::format("{}-{:05}-of-{:05}.gguf", split.stem, number, split.count);
}

SplitName parse_split_name(const fs::path& path) {
  constexpr std::size_t suffix_bytes = std::string_view("-00001-of-00002").size();
  const std::string stem = path.stem().string();
  SplitName whole{.stem = stem};
  if (stem.size() <= suffix_bytes) return whole;
  const std::string_view suffix = std::string_view(stem).substr(stem.size() - suffix_bytes);
  if (suffix[0] != '-' || suffix.substr(6, 4) != "-of-") return whole;
  SplitName split{.stem = stem.substr(0, stem.size() - suffix_bytes)};
  const auto five_digits = [](std::string_view text, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
  };
  if (!five_digits(suffix.substr(1, 5), split.number) || !five_digits(suffix.substr(10, 5), split.count)) return whole;
  return split.number < 1 || split.count < 1 || split.number > split.count ? whole : split;
}

Result<std::vector<fs::path>> split_parts(const fs::path& first) {
  const SplitName split = parse_split_name(first);
  if (split.count == 0) return std::vector{first};
  if (split.number != 1) {
    return fail(Code::invalid_argument,
                "[model] expected the first part of '{}' but got part {} of {}; name the file that "
                "ends in -00001-of-{:05}.gguf",
                split.stem, split.number, split.count, split.count);
  }
  if (split.count > split_parts_max) {
    return fail(Code::too_large, "[model] expected at most {} parts of '{}' but its name says {}", split_parts_max,
                split.stem, split.count);
  }
  std::vector<fs::path> parts;
  for (std::uint32_t number = 1; number <= split.count; ++number) {
    parts.push_back(first.parent_path() / part_name(split, number));
    std::error_code error;
    if (!fs::exists(parts.back(), error)) {
      return fail(Code::not_found, "[model] expected part {} of {} at '{}' but there is no such file; fetch it too",
                  number, split.count, parts.back().string());
    }
  }
  return parts;
}

}  // namespace flotilla
