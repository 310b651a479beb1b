#include "app/bench_report.h"

#include <format>
#include <functional>

#include "app/terminal.h"

namespace flotilla {
namespace {

using nlohmann::json;

// Less is noise on most machines: no side is called faster for it.
constexpr double noticeable = 1.03;

enum class Kind { rate, time, amount };  // more is better, less is better, neither

// A line of the table: a figure of the runs with a given number of streams.
struct Line {
  std::string label;
  std::size_t streams_index = 0;
  Kind kind = Kind::rate;
  double factor = 1;  // to the unit of the label
  std::function<std::optional<double>(const RunFigures&)> figure;
};

template <class Field>
auto field(Field RunFigures::* member) {
  return [member](const RunFigures& run) { return std::optional<double>(run.*member); };
}

std::vector<Line> lines_of(const BenchReport& report) {
  std::vector<Line> lines;
  for (std::size_t i = 0; i < report.streams.size(); ++i) {
    const std::string who = report.streams[i] == 1 ? "one user: " : std::format("{} streams: ", report.streams[i]);
    if (report.streams[i] == 1) {
      lines.push_back({who + "prompt, tok/s", i, Kind::rate, 1, field(&RunFigures::prompt_tokens_per_second)});
      lines.push_back({who + "generation, tok/s", i, Kind::rate, 1, field(&RunFigures::generation_tokens_per_second)});
    }
    lines.push_back(
        {who + "all tokens over wall time, tok/s", i, Kind::rate, 1, field(&RunFigures::total_tokens_per_second)});
    lines.push_back({who + "first token, ms", i, Kind::time, 1e3, field(&RunFigures::first_token_seconds)});
    lines.push_back({who + "between tokens p50, ms", i, Kind::time, 1e3, field(&RunFigures::gap_p50_seconds)});
    lines.push_back({who + "between tokens p95, ms", i, Kind::time, 1e3, field(&RunFigures::gap_p95_seconds)});
    lines.push_back({who + "messages per token", i, Kind::amount, 1, field(&RunFigures::messages_per_token)});
    lines.push_back({who + "bytes per token", i, Kind::amount, 1, field(&RunFigures::bytes_per_token)});
  }
  return lines;
}

std::vector<double> values_of(const BenchSide& side, const Line& line) {
  std::vector<double> values;
  for (const RunFigures& run : side.runs[line.streams_index])
    if (const auto value = line.figure(run)) values.push_back(*value * line.factor);
  return values;
}

std::string number_text(double value) {
  if (value == 0) return "0";
  return value >= 100  ? std::format("{:.0f}", value)
         : value >= 10 ? std::format("{:.1f}", value)
                       : std::format("{:.2f}", value);
}

std::string cell(const BenchSide& side, const Line& line) {
  const auto values = values_of(side, line);
  return values.empty() ? "–" : number_text(median(values));
}

Gain gain_of(const BenchReport& report, const Line& line) {
  if (!report.cluster || line.kind == Kind::amount) return {};
  const auto one = values_of(report.single, line), many = values_of(*report.cluster, line);
  return line.kind == Kind::rate ? gain_of_rates(one, many) : gain_of_times(one, many);
}

std::string gain_text(const Gain& gain) {
  return gain.ratio == 0 ? "" : std::format("{:.2f} ({:.2f}–{:.2f})", gain.ratio, gain.least, gain.most);
}

std::vector<std::string> predicted_row(const BenchReport& report, const char* label,
                                       const std::function<double(const Prediction&)>& figure) {
  std::vector<std::string> row{label};
  bool any = false;
  const auto add = [&](const BenchSide& side) {
    const auto prediction = prediction_of(side.placement);
    const double value = prediction ? figure(*prediction) : 0;
    any = any || value > 0;
    row.push_back(value > 0 ? number_text(value) : "–");
  };
  add(report.single);
  if (report.cluster) add(*report.cluster);
  return any ? row : std::vector<std::string>{};
}

json figures_json(const RunFigures& run) {
  json body{{"streams", run.streams},
            {"prompt_tokens_per_second", run.prompt_tokens_per_second},
            {"generation_tokens_per_second", run.generation_tokens_per_second},
            {"total_tokens_per_second", run.total_tokens_per_second},
            {"first_token_seconds", run.first_token_seconds},
            {"gap_p50_seconds", run.gap_p50_seconds},
            {"gap_p95_seconds", run.gap_p95_seconds},
            {"messages_per_token", nullptr},
            {"bytes_per_token", nullptr}};
  if (run.messages_per_token) body["messages_per_token"] = *run.messages_per_token;
  if (run.bytes_per_token) body["bytes_per_token"] = *run.bytes_per_token;
  return body;
}

json side_json(const BenchSide& side) {
  json runs = json::array(), medians = json::array();
  for (const auto& pairs : side.runs) {
    json list = json::array();
    for (const RunFigures& run : pairs) list.push_back(figures_json(run));
    runs.push_back(list);
    medians.push_back(figures_json(medians_of(pairs)));
  }
  json body{{"name", side.name},
            {"stages", side.placement.value("stages", json::array())},
            {"medians", medians},
            {"runs", runs}};
  if (const auto prediction = prediction_of(side.placement))
    body["predicted"] = {{"token_seconds", prediction->token_seconds},
                         {"prompt_seconds", prediction->prompt_seconds},
                         {"prompt_tokens", prediction->prompt_tokens}};
  return body;
}

json gain_json(const Gain& gain) { return {{"ratio", gain.ratio}, {"least", gain.least}, {"most", gain.most}}; }

// What a number of streams is judged by: one user by the pace of the answer, several by what they got together.
Line yardstick(const BenchReport& report, std::size_t index) {
  const bool alone = report.streams[index] == 1;
  return {"", index, Kind::rate, 1,
          field(alone ? &RunFigures::generation_tokens_per_second : &RunFigures::total_tokens_per_second)};
}

std::string clause(const BenchReport& report, std::size_t index) {
  const Line line = yardstick(report, index);
  const double ratio = gain_of(report, line).ratio;
  const std::string one = cell(report.single, line), many = cell(*report.cluster, line);
  const std::string who =
      report.streams[index] == 1 ? "for one user" : std::format("for {} streams together", report.streams[index]);
  if (ratio >= noticeable)
    return std::format("{} the cluster is {:.2f} times as fast ({} against {} tok/s)", who, ratio, many, one);
  if (ratio > 0 && ratio <= 1 / noticeable)
    return std::format("{} {} alone is {:.2f} times as fast ({} against {} tok/s)", who, report.single.name, 1 / ratio,
                       one, many);
  return std::format("{} they are equally fast ({} and {} tok/s)", who, many, one);
}

BarRow chart_row(const BenchReport& report, std::string label, const Line& line) {
  const Gain gain = gain_of(report, line);
  BarRow row{.label = std::move(label),
             .gain = gain.ratio > 0 ? std::format("{:.2f} ×", gain.ratio) : "",
             .first = median(values_of(report.single, line)),
             .first_text = cell(report.single, line),
             .second_text = {}};
  if (report.cluster) {
    row.second = median(values_of(*report.cluster, line));
    row.second_text = cell(*report.cluster, line);
  }
  return row;
}

}  // namespace

std::optional<Prediction> prediction_of(const json& placement) {
  const auto number = [&](const char* key) {
    const auto found = placement.find(key);
    return found != placement.end() && found->is_number() ? found->get<double>() : 0;
  };
  const Prediction prediction{.token_seconds = number("predicted_token_seconds"),
                              .prompt_seconds = number("predicted_prompt_seconds"),
                              .prompt_tokens = static_cast<std::uint32_t>(number("predicted_prompt_tokens"))};
  return prediction.token_seconds > 0 ? std::optional(prediction) : std::nullopt;
}

json bench_json(const BenchReport& report) {
  json body{{"model", report.model},     {"prompt_tokens", report.prompt_tokens},
            {"tokens", report.tokens},   {"pairs", report.pairs},
            {"streams", report.streams}, {"single", side_json(report.single)},
            {"cluster", nullptr},        {"gains", json::array()},
            {"notes", report.notes},     {"sentence", bench_sentence(report)}};
  if (!report.cluster) return body;
  body["cluster"] = side_json(*report.cluster);
  for (std::size_t i = 0; i < report.streams.size(); ++i)
    body["gains"].push_back({{"streams", report.streams[i]},
                             {"of", report.streams[i] == 1 ? "generation" : "total"},
                             {"gain", gain_json(gain_of(report, yardstick(report, i)))}});
  return body;
}

std::string bench_table(const BenchReport& report) {
  std::vector<std::vector<std::string>> rows{{"", report.single.name + " alone"}};
  if (report.cluster) {
    rows[0].push_back(report.cluster->name);
    rows[0].emplace_back("GAIN (of the pairs)");
  }
  for (const Line& line : lines_of(report)) {
    std::vector<std::string> row{line.label, cell(report.single, line)};
    if (report.cluster) {
      row.push_back(cell(*report.cluster, line));
      row.push_back(gain_text(gain_of(report, line)));
    }
    const bool counted = row[1] != "–" || (row.size() > 2 && row[2] != "–");
    if (counted) rows.push_back(std::move(row));
  }
  for (auto row :
       {predicted_row(report, "predicted: generation, tok/s", [](const Prediction& p) { return 1 / p.token_seconds; }),
        predicted_row(report, "predicted: prompt, tok/s", [](const Prediction& p) {
          return p.prompt_seconds > 0 ? p.prompt_tokens / p.prompt_seconds : 0;
        })})
    if (!row.empty()) rows.push_back(std::move(row));
  return draw_columns(rows);
}

std::string bench_sentence(const BenchReport& report) {
  if (!report.cluster)
    return std::format("{} is the only machine that can hold {}: there is nothing to compare it with.",
                       report.single.name, report.model);
  std::string text;
  for (std::size_t i = 0; i < report.streams.size(); ++i) text += (i > 0 ? "; " : "") + clause(report, i);
  text.front() = 'F';  // every clause begins with "for"
  return text + ".";
}

BarChart bench_chart(const BenchReport& report) {
  BarChart chart{
      .title = report.model,
      .subtitle = std::format("Tokens per second, each pair of bars to its own scale. Prompts of {}, answers of "
                              "{} tokens; medians of {} in turns.",
                              report.prompt_tokens, report.tokens, report.pairs),
      .sentence = bench_sentence(report),
      .first_name = report.single.name + " alone",
      .second_name = report.cluster ? report.cluster->name : "",
      .rows = {}};
  for (std::size_t i = 0; i < report.streams.size(); ++i) {
    if (report.streams[i] == 1)
      chart.rows.push_back(
          chart_row(report, "reading, one user", {"", i, Kind::rate, 1, field(&RunFigures::prompt_tokens_per_second)}));
    const std::string label =
        report.streams[i] == 1 ? "answering, one user" : std::format("{} streams together", report.streams[i]);
    chart.rows.push_back(chart_row(report, label, yardstick(report, i)));
  }
  return chart;
}

}  // namespace flotilla
