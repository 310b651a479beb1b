#include "app/local_key.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "app/json_fields.h"
#include "base/replace_file.h"
#include "server/api_keys.h"
#include "server/authority.h"

namespace flotilla {
namespace {

using nlohmann::json;

std::filesystem::path path_in(const std::filesystem::path& home) { return home / "local.json"; }

// Commands take localhost for 127.0.0.1 (api_client.cc).
std::string address_of(const std::string& host) { return host == "localhost" ? "127.0.0.1" : host; }

// Whether the node that wrote `noted` as its API's address is who answers there: of an address that it does not hold,
// a port may be another user's.
bool is_answered_by(const std::string& noted, const std::string& host) {
  if (noted == "0.0.0.0") return host == "127.0.0.1";
  if (noted == "::") return host == "127.0.0.1" || host == "::1";
  return host == noted;
}

}  // namespace

Result<Digest> make_local_key(const std::filesystem::path& home, const std::string& api_host, std::uint16_t api_port) {
  const std::string text = make_key_text();
  const json content{{"host", api_host}, {"port", std::to_string(api_port)}, {"key", text}};
  FLOTILLA_TRY_STATUS(replace_file(path_in(home), content.dump() + '\n', 0600));
  return key_digest(text);
}

void forget_local_key(const std::filesystem::path& home) {
  std::error_code ignored;
  std::filesystem::remove(path_in(home), ignored);
}

std::string local_key_for(const std::filesystem::path& home, const std::string& api_url) {
  std::ifstream file(path_in(home));
  const json content = json::parse(file, nullptr, false);
  if (!content.is_object()) return "";
  const auto begin = api_url.starts_with("http://") ? api_url.find("://") + 3 : 0;
  const auto authority = parse_authority(api_url.substr(begin, api_url.find('/', begin) - begin));
  if (!authority || authority->port != text_of(content, "port")) return "";
  if (!is_answered_by(address_of(text_of(content, "host")), address_of(authority->host))) return "";
  return text_of(content, "key");
}

std::string noted_api_address(const std::filesystem::path& home) {
  std::ifstream file(path_in(home));
  const json content = json::parse(file, nullptr, false);
  const std::string host = text_of(content, "host"), port = text_of(content, "port");
  if (host.empty() || port.empty()) return "";
  return std::format("{}:{}", host == "0.0.0.0" ? "127.0.0.1" : host.contains(':') ? "[" + host + "]" : host, port);
}

}  // namespace flotilla
