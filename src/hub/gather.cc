#include "hub/gather.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <mutex>
#include <optional>
#include <thread>

#include "base/hex.h"
#include "base/log.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/hub_client.h"
#include "hub/hub_model.h"
#include "hub/origin.h"
#include "hub/partial_blob.h"
#include "hub/piece.h"
#include "hub/transfer.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto wait_for_neighbours = 300ms;  // between two looks at what they have by now
constexpr auto reconnect_pause = 3s;
constexpr auto neighbour_patience = 60s;  // with one that cannot be reached; then its bytes come from the hub
constexpr auto poll_interval = 100ms;
constexpr std::uint64_t padding_bytes_max = 64u << 10;

std::uint64_t model_bytes(const Part& part) {
  std::uint64_t bytes = 0;
  for (const GgufPart& each : part.gguf()->parts()) bytes += each.file_bytes;
  return bytes;
}

class Gathering {
 public:
  Gathering(const GatherOrder& order, const std::atomic<bool>& stop)
      : order_(order),
        part_(*order.part),
        stop_(stop),
        downloads_(order.downloads),
        piece_bytes_(piece_bytes_for(model_bytes(part_))),
        origin_(part_.origin()) {
    for (const Neighbour& neighbour : order.neighbours) peers_.push_back({.neighbour = &neighbour});
  }

  Result<Gathered> run() {
    FLOTILLA_TRY_STATUS(compare_kept());
    const FileRanges missing = part_.missing(order_.wanted);
    total_bytes_ = bytes_in(missing);
    FLOTILLA_TRY_STATUS(check_space(part_.folder(), total_bytes_, std::format("layers of '{}'", part_.gguf()->name())));
    while (true) {
      const FileRanges rest = part_.missing(order_.wanted);
      if (rest.empty()) return gathered_;
      if (stop_) return fail(Code::cancelled, "[hub] the copy was cancelled");
      FLOTILLA_TRY_STATUS(step(rest));
    }
  }

 private:
  struct Peer {
    const Neighbour* neighbour;
    std::unique_ptr<Link> link = nullptr;
    Clock::time_point not_before{};
    std::optional<Clock::time_point> away_since = {};  // it has not answered since, or cannot be reached
  };

  // What is this machine's to fetch comes first, for others wait for it.
  Status step(const FileRanges& rest) {
    if (!common(rest, downloads_).empty()) return fill();
    FLOTILLA_TRY(const bool came, take_from_neighbours(rest));
    if (came) return {};
    const bool someone_is_away = std::ranges::any_of(peers_, [now = Clock::now()](const Peer& peer) {
      return peer.away_since && now - *peer.away_since > neighbour_patience;
    });
    if (peers_.empty() || someone_is_away) {
      if (!peers_.empty())
        note(std::format("machines that have or fetch {} of {} cannot be reached; they come from the hub instead",
                         format_bytes(bytes_in(rest)), part_.gguf()->name()));
      downloads_ = order_.wanted;
      return {};
    }
    return pause();
  }

  // Not while another load of this model does the same.
  Status fill() {
    const std::unique_lock alone(part_.filling(), std::try_to_lock);
    if (!alone) return pause();
    const FileRanges own = common(part_.missing(order_.wanted), downloads_);
    FLOTILLA_TRY_STATUS(take_from_neighbours(own).transform([](bool) {}));
    return download(part_.missing(own));
  }

  // True where a byte came. One that has not got a piece yet says so at once.
  Result<bool> take_from_neighbours(const FileRanges& ranges) {
    bool came = false;
    for (const FileRange& piece : pieces(ranges)) {
      for (Peer& peer : peers_) {
        if (stop_) return fail(Code::cancelled, "[hub] the copy was cancelled");
        if (!is_connected(peer)) continue;
        const std::uint64_t before = in_flight_;
        const auto on_written = [this](std::uint64_t bytes) { count(bytes); };
        FLOTILLA_TRY(const Status taken, fetch_piece(*peer.link, part_, piece, on_written, stop_));
        if (taken) {
          peer.away_since.reset();
          gathered_.neighbour_bytes += piece.bytes;
          came = true;
          break;
        }
        in_flight_ = before;
        FLOTILLA_TRY_STATUS(on_failure(peer, taken.error()));
      }
    }
    return came;
  }

  // Who read the header has what came along behind it, which is less than a piece.
  FileRanges pieces(const FileRanges& ranges) const {
    FileRanges beside_headers;
    for (std::uint32_t index = 0; const GgufPart& each : part_.gguf()->parts()) {
      const std::uint64_t read = header_read_bytes(each.header.size(), each.file_bytes);
      beside_headers.push_back({.file_index = index++, .offset = 0, .bytes = read});
    }
    FileRanges cut = common(ranges, beside_headers);
    for (const FileRange& rest : without(ranges, beside_headers)) cut.push_back(rest);
    return in_pieces(cut, piece_bytes_);
  }

  // Who has not got it yet is asked again by the same connection. Whatever else happened may have ended that, and links
  // keep their first error for ever: a new one costs little.
  Status on_failure(Peer& peer, const Error& error) {
    if (error.code == Code::cancelled) return fail(error);
    if (error.code == Code::not_found) return peer.away_since.reset(), Status();
    note(std::format("the copy from {} broke off: {}", peer.neighbour->name, without_room(error.message)));
    peer.link.reset();
    failed_now(peer);
    return {};
  }

  static void failed_now(Peer& peer) {
    const auto now = Clock::now();
    if (!peer.away_since) peer.away_since = now;
    peer.not_before = now + reconnect_pause;
  }

  bool is_connected(Peer& peer) {
    if (peer.link) return true;
    if (Clock::now() < peer.not_before) return false;
    auto link = peer.neighbour->connect();
    if (!link) return failed_now(peer), false;
    peer.link = *std::move(link);
    return true;
  }

  Status download(const FileRanges& ranges) {
    if (ranges.empty()) return {};
    FLOTILLA_TRY_STATUS(find_hub(bytes_in(ranges)));
    for (const FileRange& range : ranges) {
      const FilePlace place{
          .repository = origin_.repository, .commit = origin_.commit, .file = origin_.files[range.file_index]};
      const auto on_written = [this](std::uint64_t bytes) {
        gathered_.hub_bytes += bytes;
        count(bytes);
      };
      FLOTILLA_TRY(auto sink, PartSink::open(order_.part, range, piece_bytes_, on_written));
      FLOTILLA_TRY_STATUS(client_->fetch_range(place, range.offset + range.bytes, sink));
    }
    return {};
  }

  Status find_hub(std::uint64_t bytes) {
    if (client_) return {};
    if (!origin_.is_known())
      return fail(Code::not_found, "[hub] expected to know which hub has {} of '{}' but nobody said",
                  format_bytes(bytes), part_.gguf()->name());
    FLOTILLA_TRY(auto settings, order_.settings());
    if (settings.offline)
      return fail(
          Code::unavailable,
          "[hub] expected to fetch {} of {} from {} but HF_HUB_OFFLINE is set here; unset it, or load with other "
          "machines",
          format_bytes(bytes), origin_.repository, settings.endpoint);
    client_.emplace(std::move(settings), order_.tries,
                    PullWatch{.on_note = order_.on_note, .stop = [this] { return stop_.load(); }});
    return {};
  }

  // --- What several machines fetched, each for itself, must be the same -------------------------------------------

  Status compare_kept() {
    FileRanges doubted, again;
    for (const KeptRange& kept : part_.kept(order_.wanted)) {
      const Peer* other = kept.from_hub ? contradicting(kept) : nullptr;
      if (!other) continue;
      note(std::format("{} at {} of {} differ here and on {}; they are thrown away and fetched again",
                       format_bytes(kept.range.bytes), kept.range.offset, part_.gguf()->name(),
                       other->neighbour->name));
      doubted.push_back(kept.range);
      if (!other->neighbour->is_whole) again.push_back(kept.range);
      doubted_.push_back(kept);
    }
    if (doubted.empty()) return {};
    std::unique_lock alone(part_.filling(), std::defer_lock);
    while (!alone.try_lock()) FLOTILLA_TRY_STATUS(pause());
    FLOTILLA_TRY_STATUS(part_.forget(doubted));
    total_bytes_ = bytes_in(again);
    FLOTILLA_TRY_STATUS(download(again));
    in_flight_ = 0;
    return judge(again);
  }

  // Two that agree outvote the third: what was here, what the other has, what the hub says now.
  Status judge(const FileRanges& again) {
    for (const KeptRange& kept : part_.kept(again)) {
      const Peer* other = contradicting(kept);
      if (!other) continue;
      const bool same_as_before = std::ranges::any_of(doubted_, [&](const KeptRange& before) {
        return before.range == kept.range && before.sha256 == kept.sha256;
      });
      if (!same_as_before)
        return fail(
            Code::corrupt,
            "[hub] expected the bytes at {} of '{}' to be those that {} has but the hub sends others each time; "
            "is the connection with it sound, and HF_ENDPOINT right?",
            kept.range.offset, part_.gguf()->name(), other->neighbour->name);
      note(std::format("the hub sends the same again: what {} has at {} of {} is wrong, and it should load it anew",
                       other->neighbour->name, kept.range.offset, part_.gguf()->name()));
    }
    return {};
  }

  Peer* contradicting(const KeptRange& kept) {
    if (kept.range.bytes > transfer_piece_bytes_max) return nullptr;
    for (Peer& peer : peers_) {
      if (stop_ || !is_connected(peer)) continue;
      const auto digest = request_digest(*peer.link,
                                         {.model = part_.gguf()->name(),
                                          .fingerprint = part_.gguf()->fingerprint(),
                                          .file_index = kept.range.file_index,
                                          .offset = kept.range.offset,
                                          .bytes = kept.range.bytes},
                                         stop_);
      if (digest && to_hex(*digest) != kept.sha256) return &peer;
      if (!digest) (void)on_failure(peer, digest.error());
    }
    return nullptr;
  }

  // -----------------------------------------------------------------------------------------------------------------

  void count(std::uint64_t bytes) {
    in_flight_ += bytes;
    if (order_.progress) order_.progress(std::min(in_flight_, total_bytes_), total_bytes_);
  }
  void note(const std::string& sentence) const {
    if (order_.on_note) order_.on_note(sentence);
  }
  Status pause() const {
    for (auto waited = 0ms; waited < wait_for_neighbours && !stop_; waited += poll_interval)
      std::this_thread::sleep_for(poll_interval);
    return stop_ ? Status(fail(Code::cancelled, "[hub] the copy was cancelled")) : Status();
  }

  const GatherOrder& order_;
  Part& part_;
  const std::atomic<bool>& stop_;
  FileRanges downloads_;
  const std::uint64_t piece_bytes_;
  const HubOrigin origin_;
  std::vector<Peer> peers_;
  std::optional<HubClient> client_;
  std::vector<KeptRange> doubted_;
  std::uint64_t total_bytes_ = 0, in_flight_ = 0;
  Gathered gathered_;
};

}  // namespace

FileRanges stage_keeps(const Gguf& gguf, LayerRange layers, bool is_head) {
  const FileRanges needed = stage_ranges(gguf, layers, is_head);
  const FileRanges all = all_but_header(gguf);
  return bytes_in(without(all, needed)) <= padding_bytes_max ? all : needed;
}

Result<Gathered> gather(const GatherOrder& order, const std::atomic<bool>& stop) {
  return Gathering(order, stop).run();
}

Status check_whole(Part& part, const std::atomic<bool>& stop) {
  const HubOrigin origin = part.origin();
  const PullWatch watch{.stop = [&stop] { return stop.load(); }};
  for (std::size_t i = 0; i < origin.files.size(); ++i) {
    FLOTILLA_TRY(const std::string hash, hash_of_file(part.files()[i], watch, [](std::uint64_t) {}));
    const HubFile& file = origin.files[i];
    if (hash == file.sha256) continue;
    FileRanges all;
    for (std::uint32_t index = 0; const GgufPart& each : part.gguf()->parts())
      all.push_back({.file_index = index++, .offset = 0, .bytes = each.file_bytes});
    FLOTILLA_TRY_STATUS(part.forget(all));
    return fail(
        Code::corrupt,
        "[hub] expected '{}' of {} with the SHA-256 {}… but all of its bytes together have {}…; they were thrown "
        "away. Load it again, and where that does not help tell who keeps the repository",
        file.path, origin.repository, file.sha256.substr(0, 12), hash.substr(0, 12));
  }
  return {};
}

Status publish_whole(Store& store, Part& part, const HubCache& cache, const std::atomic<bool>& stop) {
  const HubOrigin origin = part.origin();
  if (cache.folder().empty()) return {};
  const PullWatch watch{.stop = [&stop] { return stop.load(); }};
  FLOTILLA_TRY_STATUS(cache.prepare(origin.repository));
  for (std::size_t i = 0; i < origin.files.size(); ++i) {
    const HubFile& file = origin.files[i];
    FLOTILLA_TRY(const Descriptor held, cache.try_lock(origin.repository, file.sha256));
    if (!held) {  // by a pull, which may take hours: nobody waits for that who has all of it
      log(LogLevel::info, "hub", "{} stays in '{}', for another program is getting the same into '{}'",
          part.gguf()->name(), part.folder().string(), cache.folder().string());
      return {};
    }
    const fs::path blob = cache.blob(origin.repository, file.sha256);
    std::error_code error;
    if (!fs::exists(blob, error)) fs::create_hard_link(part.files()[i], blob, error);
    if (error) {
      log(LogLevel::info, "hub", "{} stays in '{}', for '{}' cannot link it: {}", part.gguf()->name(),
          part.folder().string(), cache.folder().string(), error.message());
      return {};
    }
  }
  FLOTILLA_TRY(const Descriptor held, cache.lock(origin.repository, "refs", watch));
  FLOTILLA_TRY_STATUS(cache.publish(origin.repository, "main", origin.commit, origin.files));
  store.refresh();
  const auto found = store.find(part.gguf()->name(), part.gguf()->fingerprint());
  if (found && !found->is_part) return store.drop_part(part.gguf()->fingerprint());
  return {};
}

}  // namespace flotilla
