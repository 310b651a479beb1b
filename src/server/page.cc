#include "server/page.h"

#include <algorithm>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <format>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/words.h"
#include "server/router.h"

namespace flotilla {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

constexpr std::string_view index_path = "/index.html";
// Scripts, styles and requests of this very address and nothing else: whatever a model writes, the page fetches nothing
// from anywhere, and no other page shows it in a frame.
constexpr std::string_view policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src "
    "'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
constexpr std::string_view for_ever = "public, max-age=31536000, immutable", asked_each_time = "no-cache";
constexpr std::string_view no_page =
    "\nA browser would see Flotilla's page here, but this program was built without it: Node.js 20.19 or newer was not "
    "there. scripts/setup installs it; then build again.\n";

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// "gzip;q=0" refuses what it names.
bool is_refused(std::string_view parameters) {
  const auto at = parameters.find("q=");
  if (at == std::string_view::npos) return false;
  const auto weight = trimmed(parameters.substr(at + 2));
  return weight.starts_with('0') && weight.find_first_of("123456789") == std::string_view::npos;
}

// Whether a list like that of Accept or Accept-Encoding has `name`.
bool lists(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto item = list.substr(0, comma);
    const auto semicolon = std::min(item.find(';'), item.size());
    if (lower_case(trimmed(item.substr(0, semicolon))) == name) return !is_refused(item.substr(semicolon));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// If-None-Match: one tag, several, or "*"; a proxy may have made one weak.
bool has_already(std::string_view tags, std::string_view etag) {
  while (!tags.empty()) {
    const auto comma = std::min(tags.find(','), tags.size());
    auto tag = trimmed(tags.substr(0, comma));
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag || tag == "*") return true;
    tags.remove_prefix(std::min(comma + 1, tags.size()));
  }
  return false;
}

// Few ask without gzip, and none of them often: it is made plain for each of them.
std::string plain(const PageFile& file) {
  constexpr std::size_t header_bytes = 10, trailer_bytes = 8;
  check(file.gzip.size() > header_bytes + trailer_bytes, "a file of the page is compressed");
  const auto deflated = file.gzip.substr(header_bytes, file.gzip.size() - header_bytes - trailer_bytes);
  std::string text(file.plain_bytes, '\0');
  boost::beast::zlib::z_params step;
  step.next_in = deflated.data();
  step.avail_in = deflated.size();
  step.next_out = text.data();
  step.avail_out = text.size();
  boost::beast::zlib::inflate_stream stream;
  boost::system::error_code ended;
  stream.write(step, boost::beast::zlib::Flush::finish, ended);
  check(step.total_out == file.plain_bytes, "a file of the page is as long as it says");
  return text;
}

void answer_file(HttpExchange& exchange, const PageFile& file, std::string_view vary) {
  const HttpRequest& request = exchange.request();
  HttpAnswer answer{.content_type = std::string(file.content_type), .body = {}, .headers = {}};
  answer.policy = policy;
  answer.caching = file.is_lasting ? for_ever : asked_each_time;
  answer.headers = {{"ETag", std::string(file.etag)}, {"Vary", std::string(vary)}, {"Referrer-Policy", "no-referrer"}};
  if (has_already(request.if_none_match, file.etag)) {
    answer.status = 304;
  } else if (lists(request.accept_encoding, "gzip")) {
    answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.body = file.gzip;
  } else {
    answer.body = plain(file);
  }
  exchange.answer(std::move(answer));
}

void answer_root(HttpExchange& exchange, const PageFile* index, const std::string& greeting) {
  const bool wants_page = lists(exchange.request().accept, "text/html");
  if (wants_page && index != nullptr) return answer_file(exchange, *index, "Accept, Accept-Encoding");
  HttpAnswer answer{.content_type = "text/plain; charset=utf-8", .body = greeting, .headers = {{"Vary", "Accept"}}};
  if (wants_page) answer.body += no_page;
  exchange.answer(std::move(answer));
}

}  // namespace

void add_page_routes(Router& router, PageFiles files, std::string greeting) {
  const auto found = std::ranges::find(files, index_path, &PageFile::path);
  const PageFile* index = found == files.end() ? nullptr : &*found;
  router.add("GET", "/", Access::open(), [index, greeting = std::move(greeting)](const Exchange& exchange) {
    answer_root(*exchange, index, greeting);
  });
  for (const PageFile& file : files) {
    if (&file == index) continue;
    router.add("GET", std::string(file.path), Access::open(),
               [&file](const Exchange& exchange) { answer_file(*exchange, file, "Accept-Encoding"); });
  }
}

}  // namespace flotilla
