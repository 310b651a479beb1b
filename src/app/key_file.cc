#include "app/key_file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/hex.h"
#include "base/limits.h"
#include "base/replace_file.h"
#include "io/tcp_link.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t name_bytes_max = 64, id_digits = 8;

json key_json(const ApiKey& key) {
  json scopes = json::array();
  for (const Scope scope : all_scopes)
    if (key.scopes.has(scope)) scopes.push_back(to_string(scope));
  return {
      {"id", key.id}, {"name", key.name}, {"scopes", scopes}, {"sha256", to_hex(key.digest)}, {"created", key.created}};
}

std::optional<Scopes> scopes_from_json(const json& names) {
  Scopes scopes;
  if (!names.is_array() || names.empty()) return std::nullopt;
  for (const json& name : names) {
    const auto scope = name.is_string() ? scope_from_string(name.get_ref<const std::string&>()) : std::nullopt;
    if (!scope) return std::nullopt;
    scopes.add(*scope);
  }
  return scopes;
}

std::optional<ApiKey> key_from_json(const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  for (const char* field : {"id", "name", "sha256"})
    if (!entry.contains(field) || !entry[field].is_string()) return std::nullopt;
  const auto digest = from_hex(entry["sha256"].get_ref<const std::string&>());
  const auto scopes = scopes_from_json(entry.value("scopes", json()));
  const json created = entry.value("created", json(0));
  if (!digest || digest->size() != sizeof(Digest) || !scopes || !created.is_number_integer()) return std::nullopt;
  ApiKey key{.id = entry["id"].get<std::string>(),
             .name = entry["name"].get<std::string>(),
             .scopes = *scopes,
             .created = created.get<std::int64_t>()};
  std::ranges::copy(*digest, key.digest.begin());
  return key;
}

// Goes with the descriptor, however the process ends.
Result<Descriptor> wait_for_lock(const fs::path& home) {
  std::error_code error;
  fs::create_directories(home, error);
  const fs::path path = home / "keys.lock";
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return disk_error("write", path, errno);
  while (::flock(lock.get(), LOCK_EX) != 0)
    if (errno != EINTR) return disk_error("lock", path, errno);
  return lock;
}

// A name is shown in tables and typed in commands, and is not mistaken for another key's id.
Status check_name(const std::string& name, const std::vector<ApiKey>& keys) {
  const bool is_plain =
      std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name.size() > name_bytes_max || !is_plain || !is_valid_utf8(name) || name.starts_with('-'))
    return fail(Code::invalid_argument,
                "[app] expected a name for the key of at most {} bytes in one line, not beginning "
                "with a dash",
                name_bytes_max);
  const auto same = std::ranges::find_if(keys, [&](const ApiKey& key) { return key.name == name || key.id == name; });
  if (same == keys.end()) return {};
  return fail(Code::invalid_argument,
              "[app] expected a new name but '{}' is the key {}; choose another, or first: flotilla key revoke {}",
              name, same->id, same->id);
}

std::int64_t seconds_since_1970() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<std::vector<ApiKey>> KeyFile::read() const {
  std::ifstream file(path(), std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return std::vector<ApiKey>();
    return disk_error("read", path(), errno);
  }
  const json whole = json::parse(file, nullptr, false);
  std::vector<ApiKey> keys;
  const bool has_list = whole.is_object() && whole.contains("keys") && whole["keys"].is_array();
  if (has_list) {
    for (const json& entry : whole["keys"])
      if (auto key = key_from_json(entry)) keys.push_back(*std::move(key));
  }
  if (has_list && keys.size() == whole["keys"].size()) return keys;
  return fail(
      Code::corrupt,
      "[app] expected keys in {} but could not understand it; bring back a copy, or delete the file and make new "
      "keys with: flotilla key create",
      path().string());
}

Status KeyFile::write(const std::vector<ApiKey>& keys) const {
  json list = json::array();
  for (const ApiKey& key : keys) list.push_back(key_json(key));
  return replace_file(path(), json{{"keys", list}}.dump(2) + '\n', 0600);
}

Result<KeyFile::Made> KeyFile::create(const std::string& name, Scopes scopes) const {
  FLOTILLA_TRY(const Descriptor lock, wait_for_lock(home_));
  FLOTILLA_TRY(auto keys, read());
  if (keys.size() >= limits::api_keys_max)
    return fail(Code::too_large,
                "[app] expected at most {} keys; revoke some that nobody needs any more: flotilla key list",
                limits::api_keys_max);
  Made made{.key = {}, .text = make_key_text(), .is_first = keys.empty()};
  made.key.digest = key_digest(made.text);
  made.key.id = to_hex(made.key.digest).substr(0, id_digits);
  made.key.name = name.empty() ? made.key.id : name;
  made.key.scopes = scopes;
  made.key.created = seconds_since_1970();
  FLOTILLA_TRY_STATUS(check_name(made.key.name, keys));
  keys.push_back(made.key);
  FLOTILLA_TRY_STATUS(write(keys));
  return made;
}

Result<KeyFile::Revoked> KeyFile::revoke(const std::string& name_or_id) const {
  FLOTILLA_TRY(const Descriptor lock, wait_for_lock(home_));
  FLOTILLA_TRY(auto keys, read());
  const auto found =
      std::ranges::find_if(keys, [&](const ApiKey& key) { return key.name == name_or_id || key.id == name_or_id; });
  if (found == keys.end()) {
    std::string known;
    for (const ApiKey& key : keys) known += (known.empty() ? "" : ", ") + key.name;
    return fail(Code::not_found, "[app] expected the name or id of a key but got '{}'; there {}", name_or_id,
                known.empty() ? "are none" : "are: " + known);
  }
  Revoked revoked{.key = *found, .was_last = keys.size() == 1};
  keys.erase(found);
  FLOTILLA_TRY_STATUS(write(keys));
  return revoked;
}

}  // namespace flotilla
