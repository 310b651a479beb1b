#include "io/modelled_link.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "io/link_check.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC on Linux
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// The stamp travels behind the body, inside the inner link's frame: that link sees valid frames and checks the stamp
// too.
using Stamp = std::int64_t;  // nanoseconds of Clock
static_assert(sizeof(Stamp) <= frame_trailer_bytes_max);

constexpr nanoseconds spin_time = 50us;  // a sleeping thread wakes this much late

class ModelledLink : public Link {
 public:
  ModelledLink(std::unique_ptr<Link> inner, const LinkModel& model)
      : inner_(std::move(inner)), model_(model), random_(model.seed) {}

  Status send(const FrameHeader& header, std::span<const std::byte> body) override {
    const Stamp stamp = Clock::now().time_since_epoch().count();
    stamped_.resize(body.size() + sizeof stamp);
    if (!body.empty()) std::memcpy(stamped_.data(), body.data(), body.size());
    std::memcpy(stamped_.data() + body.size(), &stamp, sizeof stamp);
    return inner_->send(header, stamped_);
  }

  Status receive(Frame& frame, nanoseconds patience) override {
    if (cause_) return fail(cause_.get());
    const auto deadline = Clock::now() + std::min(patience, for_ever);
    if (!due_) FLOTILLA_TRY_STATUS(take_from_inner(patience));
    if (!sleep_until(std::min(*due_, deadline))) return fail(cause_.get());
    if (*due_ > deadline) return fail(Code::timeout, "[io] no frame began in time");
    due_.reset();
    std::swap(frame, under_way_);  // both bodies keep their memory
    return {};
  }

  Traffic sent() const override { return inner_->sent(); }

  void while_sending_waits(Meanwhile meanwhile) override { inner_->while_sending_waits(std::move(meanwhile)); }

  void sleep_at_once(bool yes) override {
    spin_ = yes ? 0us : spin_time;
    inner_->sleep_at_once(yes);
  }

  void close(Error cause) override {
    cause_.set(cause);
    {
      const std::scoped_lock lock(mutex_);
      woken_.notify_all();
    }
    inner_->close(std::move(cause));
  }

 private:
  // The next frame of the inner link becomes the one under way, and due_ its time of delivery.
  Status take_from_inner(nanoseconds patience) {
    FLOTILLA_TRY_STATUS(inner_->receive(under_way_, patience));
    Bytes& body = under_way_.body;
    if (body.size() < sizeof(Stamp)) {
      close({Code::corrupt, "[io] expected a time stamp behind a frame but got none; the other end models no link"});
      return fail(cause_.get());
    }
    Stamp stamp;
    std::memcpy(&stamp, body.data() + body.size() - sizeof stamp, sizeof stamp);
    body.resize(body.size() - sizeof stamp);
    under_way_.header = make_header(under_way_.header, body);
    // A stamp from the future, of another machine, would delay for ever.
    const auto sent = std::min(Clock::time_point(nanoseconds(stamp)), Clock::now());
    line_free_ = std::max(sent, line_free_) + transfer_time(frame_header_bytes + body.size());
    due_ = line_free_ + scaled(model_.delay + next_jitter());
    return {};
  }

  // The header as the sender meant it: without the stamp's bytes.
  static FrameHeader make_header(FrameHeader header, std::span<const std::byte> body) {
    const FrameHeaderBytes bytes = encode_header(header, body);
    return decode_header(bytes).value_or(header);
  }

  nanoseconds transfer_time(std::size_t bytes) const {
    if (model_.bits_per_second <= 0) return 0ns;
    return scaled(nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) * 8e9 / model_.bits_per_second)));
  }

  nanoseconds scaled(nanoseconds time) const {
    return nanoseconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * model_.scale));
  }

  nanoseconds next_jitter() {
    if (model_.jitter <= 0ns) return 0ns;
    return nanoseconds(std::uniform_int_distribution<std::int64_t>(0, model_.jitter.count())(random_));
  }

  // False where close() came first.
  bool sleep_until(Clock::time_point time) {
    if (time - spin_ > Clock::now()) {
      std::unique_lock lock(mutex_);
      woken_.wait_until(lock, time - spin_, [&] { return static_cast<bool>(cause_); });
    }
    while (!cause_ && Clock::now() < time) {
    }
    return !cause_;
  }

  const std::unique_ptr<Link> inner_;
  const LinkModel model_;
  FirstCause cause_;
  std::mutex mutex_;
  std::condition_variable woken_;
  // The sending thread's.
  Bytes stamped_;
  // The receiving thread's.
  nanoseconds spin_ = spin_time;
  std::mt19937_64 random_;
  Frame under_way_;
  std::optional<Clock::time_point> due_;  // of under_way_; empty where nothing is under way
  Clock::time_point line_free_{};         // when the frame before had left the sender
};

struct Profile {
  std::string_view name, text;
};

// One way. Measured or usual values; a router far away is modelled as a home's upstream.
constexpr Profile profiles[] = {
    {"rdma", "delay=15us,rate=40g"},   {"thunderbolt", "delay=200us,rate=9g"},
    {"10gbe", "delay=60us,rate=10g"},  {"2.5gbe", "delay=120us,rate=2.5g"},
    {"1gbe", "delay=150us,rate=1g"},   {"wifi", "delay=500us,rate=300m,jitter=2ms"},
    {"wan20", "delay=20ms,rate=100m"},
};

struct Unit {
  std::string_view suffix;
  double factor;
};
constexpr Unit time_units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr Unit rate_units[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}};
constexpr Unit plain_units[] = {{"", 1}};
constexpr double time_max_ns = 60e9, rate_max = 1e13, scale_max = 1e6;

// A number with one of the units, from 0 to `max`.
std::optional<double> parse_quantity(std::string_view text, std::span<const Unit> units, double max) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& unit : units) {
    const double value = number * unit.factor;
    if (suffix == unit.suffix && value >= 0 && value <= max) return value;  // false for a NaN
  }
  return std::nullopt;
}

bool apply(std::string_view key, std::string_view text, LinkModel& model) {
  const auto set_time = [&](nanoseconds& time) {
    const auto value = parse_quantity(text, time_units, time_max_ns);
    if (value) time = nanoseconds(static_cast<std::int64_t>(*value));
    return value.has_value();
  };
  const auto set_number = [&](double& number, std::span<const Unit> units, double max) {
    const auto value = parse_quantity(text, units, max);
    if (value) number = *value;
    return value.has_value();
  };
  if (key == "delay") return set_time(model.delay);
  if (key == "jitter") return set_time(model.jitter);
  if (key == "rate") return set_number(model.bits_per_second, rate_units, rate_max);
  if (key == "scale") return set_number(model.scale, plain_units, scale_max);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), model.seed);
  return key == "seed" && error == std::errc() && end == text.data() + text.size();
}

std::unexpected<Error> text_error(std::string_view text) {
  return fail(
      Code::invalid_argument,
      "[io] expected a link model such as \"1gbe\" or \"delay=150us,rate=1g,jitter=0us,scale=1,seed=1\" but got "
      "\"{}\"; profiles are rdma, thunderbolt, 10gbe, 2.5gbe, 1gbe, wifi and wan20",
      text);
}

}  // namespace

double latency_seconds(const LinkModel& model) {
  return model.scale * std::chrono::duration<double>(model.delay + model.jitter / 2).count();
}

double bytes_per_second(const LinkModel& model) {
  const double bits = model.scale > 0 ? model.bits_per_second / model.scale : 0;
  return bits > 0 ? bits / 8 : std::numeric_limits<double>::infinity();
}

Result<LinkModel> link_model_from_text(std::string_view text) {
  LinkModel model;
  std::string_view rest = text;
  while (true) {
    const std::string_view item = rest.substr(0, rest.find(','));
    const auto profile = std::ranges::find(profiles, item, &Profile::name);
    const auto equals = item.find('=');
    const bool first = rest.size() == text.size();
    if (first && profile != std::end(profiles)) {
      FLOTILLA_TRY(model, link_model_from_text(profile->text));
    } else if (equals == item.npos || !apply(item.substr(0, equals), item.substr(equals + 1), model)) {
      return text_error(text);
    }
    if (item.size() == rest.size()) return model;
    rest.remove_prefix(item.size() + 1);
  }
}

std::unique_ptr<Link> make_modelled_link(std::unique_ptr<Link> inner, const LinkModel& model) {
  return std::make_unique<ModelledLink>(std::move(inner), model);
}

}  // namespace flotilla
