#include "server/generation_order.h"

#include <array>
#include <charconv>
#include <format>
#include <limits>

#include "base/limits.h"
#include "server/response_format.h"

namespace flotilla {
namespace {

constexpr double penalty_most = 2.0;
constexpr std::size_t model_name_bytes_max = 1024;  // names come back in messages
constexpr std::size_t cache_salt_bytes_max = 256;   // hashed on the loop

void read_logit_bias(JsonFields& fields, SamplingParams& sampling) {
  const auto* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > limits::logit_bias_max) {
    return fields.wrong("logit_bias", Code::invalid_argument,
                        std::format("expected at most {} entries but got {}", limits::logit_bias_max, biases->size()));
  }
  JsonFields entries(*biases, "logit_bias.");
  for (const auto& [key, value] : biases->items()) {
    TokenId token = -1;
    const auto* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, token);
    if (parsed.ec != std::errc() || parsed.ptr != end || token < 0) {
      return fields.wrong("logit_bias", Code::invalid_argument,
                          "expected token ids as keys of logit_bias, such as \"15496\"");
    }
    if (const auto bias = entries.number(key, -100, 100))
      sampling.logit_bias.emplace_back(token, static_cast<float>(*bias));
  }
  if (entries.fault()) fields.expected("logit_bias", "a map from token id to a number from -100 to 100", *biases);
}

// The first of two names for one thing that is present.
std::optional<double> either(JsonFields& fields, const char* name, const char* other, double least, double most) {
  auto value = fields.number(name, least, most);
  return value ? value : fields.number(other, least, most);
}

std::uint64_t read_seed(JsonFields& fields) {
  using Number = std::numeric_limits<std::int64_t>;
  const auto seed = fields.integer("seed", Number::min(), Number::max());
  // -1 is "any" to the clients that come from llama.cpp.
  return seed && *seed != -1 ? static_cast<std::uint64_t>(*seed) : random_u64();
}

// Samplers of other servers: their neutral value changes nothing and is fine.
struct ForeignSampler {
  const char* name;
  double neutral;
};
constexpr std::array foreign_samplers{
    ForeignSampler{"typical_p", 1},       ForeignSampler{"mirostat", 0},       ForeignSampler{"tfs_z", 1},
    ForeignSampler{"xtc_probability", 0}, ForeignSampler{"dry_multiplier", 0}, ForeignSampler{"dynatemp_range", 0},
    ForeignSampler{"top_n_sigma", -1},    ForeignSampler{"length_penalty", 1}, ForeignSampler{"top_a", 0},
};

// Each would change what the answer is; its empty value does not.
constexpr std::array foreign_fields{
    "functions",    "audio",           "web_search_options",     "json_schema",        "guided_json",
    "guided_regex", "guided_choice",   "guided_grammar",         "structured_outputs", "chat_template",
    "lora",         "use_beam_search", "continue_final_message",
};

bool is_empty(const nlohmann::json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

void unsupported(JsonFields& fields, std::string_view name, std::string_view advice) {
  fields.wrong(name, Code::unsupported, std::format("{} is not supported by this version; {}", name, advice));
}

void refuse_modalities(JsonFields& fields) {
  const auto* modalities = fields.array("modalities", 16);
  if (modalities == nullptr) return;
  for (const auto& modality : *modalities) {
    if (modality != "text") return unsupported(fields, "modalities", "expected [\"text\"], or leave the field out");
  }
}

}  // namespace

void refuse_unsupported(JsonFields& fields) {
  for (const auto* name : foreign_fields) refuse_field(fields, name);
  for (const auto& sampler : foreign_samplers) {
    const auto* value = fields.find(sampler.name);
    if (value != nullptr && !(value->is_number() && value->get<double>() == sampler.neutral)) {
      unsupported(fields, sampler.name, std::format("expected {}, or leave the field out", sampler.neutral));
    }
  }
  refuse_modalities(fields);
}

void refuse_field(JsonFields& fields, std::string_view name, std::string_view advice) {
  const auto* value = fields.find(name);
  if (value != nullptr && !is_empty(*value)) unsupported(fields, name, advice);
}

std::string read_model(JsonFields& fields, std::string_view advice) {
  auto model = fields.text("model");
  if (!model || model->empty()) {
    fields.wrong("model", Code::invalid_argument, std::format("expected a model's name in \"model\"; {}", advice));
  } else if (model->size() > model_name_bytes_max) {
    fields.wrong(
        "model", Code::invalid_argument,
        std::format("expected a model's name of at most {} bytes but got {}", model_name_bytes_max, model->size()));
  }
  return model.value_or("");
}

std::vector<std::string> read_stops(JsonFields& fields, std::string_view name) {
  std::vector<std::string> stops;
  const auto* stop = fields.find(name);
  if (stop == nullptr) return stops;
  const auto take = [&](const nlohmann::json& value) {
    if (!value.is_string()) return fields.expected(name, "a string or an array of strings", value);
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() > limits::stop_bytes_max) {
      return fields.wrong(
          name, Code::invalid_argument,
          std::format("expected a stop string of at most {} bytes but got {}", limits::stop_bytes_max, text.size()));
    }
    if (!text.empty()) stops.push_back(text);  // an empty one would end every answer before it began
  };
  if (!stop->is_array()) {
    take(*stop);
  } else if (const auto* array = fields.array(name, limits::stops_max)) {
    for (const auto& value : *array) take(value);
  }
  return stops;
}

SamplingParams read_sampling(JsonFields& fields) {
  SamplingParams sampling;
  const auto set = [](float& target, std::optional<double> value) {
    if (value) target = static_cast<float>(*value);
  };
  set(sampling.temperature, fields.number("temperature", 0, 2));
  set(sampling.top_p, fields.number("top_p", 0, 1));
  set(sampling.min_p, fields.number("min_p", 0, 1));
  set(sampling.presence_penalty, fields.number("presence_penalty", -penalty_most, penalty_most));
  set(sampling.frequency_penalty, fields.number("frequency_penalty", -penalty_most, penalty_most));
  set(sampling.repetition_penalty, either(fields, "repetition_penalty", "repeat_penalty", 0.01, 10));
  // -1 is "off" to the clients that come from vLLM.
  if (const auto top_k = fields.integer("top_k", -1, limits::vocabulary_max)) {
    sampling.top_k = *top_k < 0 ? 0 : static_cast<std::int32_t>(*top_k);
  }
  if (const auto window = fields.integer("repeat_last_n", -1, limits::context_tokens_max)) {
    sampling.repetition_window = static_cast<std::int32_t>(*window);
  }
  sampling.seed = read_seed(fields);
  read_logit_bias(fields, sampling);
  return sampling;
}

GenerationOrder read_order(JsonFields& fields) {
  GenerationOrder order;
  order.model = read_model(fields, "GET /v1/models lists them");
  order.stream = fields.boolean("stream").value_or(false);
  if (const auto* options = fields.object("stream_options")) {
    if (!order.stream) {
      fields.wrong("stream_options", Code::invalid_argument, "expected stream_options only where stream is true");
    }
    JsonFields inner(*options, "stream_options.");
    order.include_usage = inner.boolean("include_usage").value_or(false);
    if (inner.fault()) fields.expected("stream_options", "{\"include_usage\": true or false}", *options);
  }
  if (const auto choices = fields.integer("n", 1, limits::choices_max))
    order.choices = static_cast<std::uint32_t>(*choices);
  order.stops = read_stops(fields, "stop");
  order.sampling = read_sampling(fields);
  order.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read_constraint(fields, order);
  order.speculate = fields.boolean("speculate").value_or(true);
  order.cache_prompt = fields.boolean("cache_prompt").value_or(true);
  order.cache_salt = fields.text("cache_salt").value_or("");
  if (order.cache_salt.size() > cache_salt_bytes_max)
    fields.wrong("cache_salt", Code::invalid_argument,
                 std::format("expected a cache_salt of at most {} bytes but got {}", cache_salt_bytes_max,
                             order.cache_salt.size()));
  order.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  refuse_unsupported(fields);
  return order;
}

}  // namespace flotilla
