#include "server/traffic.h"

#include <algorithm>
#include <array>
#include <format>

namespace flotilla {
namespace {

using Kind = MetricsText::Kind;

// A method is any word to HTTP.
std::string_view known_method(std::string_view method) {
  static constexpr std::array<std::string_view, 7> known{"GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "PATCH"};
  const auto found = std::ranges::find(known, method);
  return found == known.end() ? "other" : *found;
}

// One route of the page is like another.
std::string_view route_label(std::string_view route) {
  if (route.empty()) return "none";
  return route.starts_with("/assets/") ? "/assets" : route;
}

}  // namespace

void ServerTraffic::answered(std::string_view route, std::string_view method, unsigned status, Seconds took) {
  const std::string label(route_label(route));
  ++requests_[{label, std::string(known_method(method)), status}];
  took_.try_emplace(label, answer_bounds()).first->second.observe(took.count());
}

ModelTraffic& ServerTraffic::of(const std::string& model) {
  if (const auto known = models_.find(model); known != models_.end()) return known->second;
  return models_[models_.size() < models_max ? model : "other"];
}

void ServerTraffic::write(MetricsText& text) const {
  write_http(text);
  write_tokens(text);
  write_times(text);
}

void ServerTraffic::write_http(MetricsText& text) const {
  text.family("flotilla_http_requests_total", Kind::counter,
              "Answers by route, method and status; 499: the client hung up before its answer was whole.");
  for (const auto& [each, count] : requests_) {
    text.sample(static_cast<double>(count),
                {{"route", each.route}, {"method", each.method}, {"status", std::to_string(each.status)}});
  }
  text.family("flotilla_http_request_duration_seconds", Kind::histogram,
              "From a request's last byte to its answer's last byte.");
  for (const auto& [route, took] : took_) text.sample(took, {{"route", route}});
  text.gauge("flotilla_http_connections", "Connections of clients that are open.",
             static_cast<double>(connections_open_));
  text.counter("flotilla_http_connections_refused_total", "Connections closed for want of room.",
               static_cast<double>(connections_refused_));
  text.family("flotilla_request_failures_total", Kind::counter, "Requests to models that failed, by the error's code.");
  for (const auto& [code, count] : failures_) text.sample(static_cast<double>(count), {{"code", code}});
}

void ServerTraffic::write_tokens(MetricsText& text) const {
  struct Column {
    const char *name, *help;
    std::uint64_t ModelTraffic::* count;
  };
  static constexpr std::array<Column, 4> columns{
      {{"flotilla_prompt_tokens_total", "Tokens of prompts, and of texts that became vectors.",
        &ModelTraffic::prompt_tokens},
       {"flotilla_prefix_cache_hits_total", "Tokens of prompts that were computed for an earlier one already.",
        &ModelTraffic::reused_tokens},
       {"flotilla_generation_tokens_total", "Tokens generated.", &ModelTraffic::generated_tokens},
       {"flotilla_embedded_texts_total", "Texts that clients asked vectors of.", &ModelTraffic::embedded_texts}}};
  for (const Column& column : columns) {
    text.family(column.name, Kind::counter, column.help);
    for (const auto& [model, counts] : models_)
      text.sample(static_cast<double>(counts.*column.count), {{"model_name", model}});
  }
  text.family("flotilla_answers_running", Kind::gauge, "Answers under way that entered at this node, one per choice.");
  for (const auto& [model, counts] : models_) text.sample(static_cast<double>(counts.running), {{"model_name", model}});
  text.family("flotilla_request_success_total", Kind::counter,
              "Answers that ended, one per choice, by reason; abort: the client hung up.");
  for (const auto& [model, counts] : models_)
    for (const auto& [reason, count] : counts.finished)
      text.sample(static_cast<double>(count), {{"model_name", model}, {"finished_reason", reason}});
}

void ServerTraffic::write_times(MetricsText& text) const {
  struct Column {
    const char *name, *help;
    Histogram ModelTraffic::* times;
  };
  static constexpr std::array<Column, 3> columns{
      {{"flotilla_time_to_first_token_seconds", "From a request to its first token, queueing and loading included.",
        &ModelTraffic::first_token},
       {"flotilla_inter_token_latency_seconds", "Between one token of an answer and the next.",
        &ModelTraffic::between_tokens},
       {"flotilla_e2e_request_latency_seconds", "From a request to the last token of an answer.",
        &ModelTraffic::whole}}};
  for (const Column& column : columns) {
    text.family(column.name, Kind::histogram, column.help);
    for (const auto& [model, counts] : models_) text.sample(counts.*column.times, {{"model_name", model}});
  }
}

}  // namespace flotilla
