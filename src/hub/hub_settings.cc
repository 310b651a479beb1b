#include "hub/hub_settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/words.h"
#include "hub/disk.h"
#include "hub/hub_limits.h"
#include "hub/web_address.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t token_bytes_max = 4096;
constexpr std::string_view blanks = " \t\r\n";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(blanks);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

fs::path expanded(const std::string& path) {
  const std::string home = variable("HOME");
  return path.starts_with("~/") && !home.empty() ? fs::path(home) / path.substr(2) : fs::path(path);
}

// Empty where this user has no home.
fs::path hugging_face_home() {
  if (const auto home = variable("HF_HOME"); !home.empty()) return expanded(home);
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) return fs::path(cache) / "huggingface";
  const auto home = variable("HOME");
  return home.empty() ? fs::path() : fs::path(home) / ".cache/huggingface";
}

bool is_set(const char* name) {
  const std::string value = lower_case(variable(name));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

// A header is a line: a token with a line break in it would be two.
Status take_token(HubSettings& settings, const std::string& text, const std::string& from) {
  settings.token = trimmed(text);
  settings.token_from = from;
  const bool printable = std::ranges::all_of(settings.token, [](char c) { return c > ' ' && c <= '~'; });
  if (printable && settings.token.size() <= token_bytes_max) return {};
  return fail(Code::invalid_argument, "[hub] expected a token of letters and digits in {} but got something else",
              from);
}

Status find_token(HubSettings& settings) {
  if (const auto token = variable("HF_TOKEN"); !token.empty()) return take_token(settings, token, "HF_TOKEN");
  const auto named = variable("HF_TOKEN_PATH");
  const fs::path home = hugging_face_home();
  const fs::path path = named.empty() ? home / "token" : expanded(named);
  std::error_code error;
  if ((named.empty() && home.empty()) || !fs::is_regular_file(path, error)) return {};
  FLOTILLA_TRY(const std::string text, read_text(path, token_bytes_max));
  return take_token(settings, text, path.string());
}

Result<std::chrono::seconds> silence_from(const std::string& text) {
  if (text.empty()) return hub_limits::silence_max_default;
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size() && seconds >= 1 && seconds <= 3600)
    return std::chrono::seconds(seconds);
  return fail(Code::invalid_argument, "[hub] expected 1 to 3600 seconds in HF_HUB_DOWNLOAD_TIMEOUT but got '{}'",
              excerpt(text));
}

}  // namespace

fs::path hub_cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto cache = variable(name); !cache.empty()) return expanded(cache);
  const fs::path home = hugging_face_home();
  return home.empty() ? home : home / "hub";
}

Result<HubSettings> HubSettings::from_environment() {
  HubSettings settings{.cache = hub_cache_folder()};
  if (settings.cache.empty())
    return fail(Code::invalid_argument,
                "[hub] expected a place for models but neither HF_HUB_CACHE, HF_HOME nor HOME is set; set one of them");
  settings.endpoint = variable("HF_ENDPOINT");
  if (settings.endpoint.empty()) settings.endpoint = "https://huggingface.co";
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  if (const auto origin = origin_of_address(settings.endpoint);
      !origin || settings.endpoint.find_first_of("?#") != std::string::npos)
    return fail(Code::invalid_argument,
                "[hub] expected a hub's address such as https://huggingface.co in HF_ENDPOINT but got '{}'",
                excerpt(settings.endpoint));
  settings.offline = is_set("HF_HUB_OFFLINE");
  FLOTILLA_TRY(settings.silence_max, silence_from(variable("HF_HUB_DOWNLOAD_TIMEOUT")));
  FLOTILLA_TRY_STATUS(find_token(settings));
  return settings;
}

}  // namespace flotilla
