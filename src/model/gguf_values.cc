// The typed questions. ggml's getters stop the process when asked for another type than the file has, so the type is
// always looked at first.
#include <cmath>
#include <concepts>
#include <cstring>

#include "model/excerpt.h"
#include "model/gguf.h"
#include "model/gguf_state.h"

namespace flotilla {
namespace {

std::optional<std::int64_t> integer_at(const gguf_context& context, std::int64_t key) {
  switch (gguf_get_kv_type(&context, key)) {
    case GGUF_TYPE_UINT8:
      return gguf_get_val_u8(&context, key);
    case GGUF_TYPE_INT8:
      return gguf_get_val_i8(&context, key);
    case GGUF_TYPE_UINT16:
      return gguf_get_val_u16(&context, key);
    case GGUF_TYPE_INT16:
      return gguf_get_val_i16(&context, key);
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(&context, key);
    case GGUF_TYPE_INT32:
      return gguf_get_val_i32(&context, key);
    case GGUF_TYPE_INT64:
      return gguf_get_val_i64(&context, key);
    case GGUF_TYPE_UINT64: {
      const std::uint64_t value = gguf_get_val_u64(&context, key);
      if (value <= INT64_MAX) return static_cast<std::int64_t>(value);
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

// "an array of u32", for messages.
std::string type_at(const gguf_context& context, std::int64_t key) {
  const gguf_type type = gguf_get_kv_type(&context, key);
  if (type != GGUF_TYPE_ARRAY) return gguf_type_name(type);
  return std::format("an array of {}", gguf_type_name(gguf_get_arr_type(&context, key)));
}

// Elements copied one by one: the file does not promise that they are aligned in memory.
template <class From, class To>
void copy_elements(const gguf_context& context, std::int64_t key, std::vector<To>& out) {
  const auto* data = static_cast<const char*>(gguf_get_arr_data(&context, key));
  const std::size_t count = gguf_get_arr_n(&context, key);
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, data + i * sizeof(From), sizeof(From));
    out.push_back(static_cast<To>(value));
  }
}

// False where the array does not hold integers.
bool copy_integers(const gguf_context& context, std::int64_t key, std::vector<std::int64_t>& out) {
  switch (gguf_get_arr_type(&context, key)) {
    case GGUF_TYPE_UINT8:
      return copy_elements<std::uint8_t>(context, key, out), true;
    case GGUF_TYPE_INT8:
      return copy_elements<std::int8_t>(context, key, out), true;
    case GGUF_TYPE_UINT16:
      return copy_elements<std::uint16_t>(context, key, out), true;
    case GGUF_TYPE_INT16:
      return copy_elements<std::int16_t>(context, key, out), true;
    case GGUF_TYPE_UINT32:
      return copy_elements<std::uint32_t>(context, key, out), true;
    case GGUF_TYPE_INT32:
      return copy_elements<std::int32_t>(context, key, out), true;
    case GGUF_TYPE_INT64:
      return copy_elements<std::int64_t>(context, key, out), true;
    case GGUF_TYPE_UINT64: {
      std::vector<std::uint64_t> values;
      copy_elements<std::uint64_t>(context, key, values);
      for (const std::uint64_t value : values) {
        if (value > INT64_MAX) return false;
      }
      out.assign(values.begin(), values.end());
      return true;
    }
    default:
      return false;
  }
}

bool is_array(const gguf_context& context, std::int64_t key) {
  return gguf_get_kv_type(&context, key) == GGUF_TYPE_ARRAY;
}

// One question about one key: finds it, or says what is wrong with it.
struct Question {
  const gguf_context& context;
  const std::string& file;
  std::string key;
  std::int64_t place = gguf_find_key(&context, key.c_str());

  std::unexpected<Error> absent() const {
    return fail(Code::not_found, "[model] expected key {} in '{}' but it has none", excerpt(key), file);
  }
  std::unexpected<Error> wrong(std::string_view expected) const {
    return fail(Code::corrupt, "[model] expected {} to be {} in '{}' but got {}", excerpt(key), expected, file,
                type_at(context, place));
  }
  std::unexpected<Error> not_finite() const {
    return fail(Code::corrupt, "[model] expected {} to be finite in '{}' but got infinity or not a number",
                excerpt(key), file);
  }
};

}  // namespace

std::optional<std::int64_t> gguf_integer(const gguf_context& context, const char* key) {
  const std::int64_t place = gguf_find_key(&context, key);
  return place < 0 ? std::nullopt : integer_at(context, place);
}

Result<std::string> Gguf::text(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (gguf_get_kv_type(&q.context, q.place) != GGUF_TYPE_STRING) return q.wrong("a text");
  return std::string(gguf_get_val_str(&q.context, q.place));
}

Result<std::uint64_t> Gguf::number(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (gguf_get_kv_type(&q.context, q.place) == GGUF_TYPE_UINT64) return gguf_get_val_u64(&q.context, q.place);
  const auto value = integer_at(q.context, q.place);
  if (!value) return q.wrong("a whole number");
  if (*value < 0) {
    return fail(Code::corrupt, "[model] expected {} not to be negative in '{}' but got {}", excerpt(key), state_->name,
                *value);
  }
  return static_cast<std::uint64_t>(*value);
}

Result<double> Gguf::real(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  double value = 0;
  switch (gguf_get_kv_type(&q.context, q.place)) {
    case GGUF_TYPE_FLOAT32:
      value = gguf_get_val_f32(&q.context, q.place);
      break;
    case GGUF_TYPE_FLOAT64:
      value = gguf_get_val_f64(&q.context, q.place);
      break;
    default: {
      const auto whole = integer_at(q.context, q.place);
      if (!whole) return q.wrong("a number");
      value = static_cast<double>(*whole);
    }
  }
  if (!std::isfinite(value)) return q.not_finite();
  return value;
}

Result<bool> Gguf::flag(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (gguf_get_kv_type(&q.context, q.place) != GGUF_TYPE_BOOL) return q.wrong("true or false");
  return gguf_get_val_bool(&q.context, q.place);
}

Result<std::vector<std::string>> Gguf::texts(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (!is_array(q.context, q.place) || gguf_get_arr_type(&q.context, q.place) != GGUF_TYPE_STRING) {
    return q.wrong("an array of texts");
  }
  std::vector<std::string> out(gguf_get_arr_n(&q.context, q.place));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = gguf_get_arr_str(&q.context, q.place, i);
  return out;
}

Result<std::vector<std::int64_t>> Gguf::numbers(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  std::vector<std::int64_t> out;
  if (!is_array(q.context, q.place)) {
    const auto value = integer_at(q.context, q.place);
    if (!value) return q.wrong("whole numbers");
    out.push_back(*value);
  } else if (!copy_integers(q.context, q.place, out)) {
    return q.wrong("whole numbers");
  }
  return out;
}

Result<std::vector<float>> Gguf::reals(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (!is_array(q.context, q.place)) return q.wrong("an array of numbers");
  std::vector<float> out;
  switch (gguf_get_arr_type(&q.context, q.place)) {
    case GGUF_TYPE_FLOAT32:
      copy_elements<float>(q.context, q.place, out);
      break;
    case GGUF_TYPE_FLOAT64:
      copy_elements<double>(q.context, q.place, out);
      break;
    default:
      return q.wrong("an array of numbers");
  }
  for (const float value : out) {
    if (!std::isfinite(value)) return q.not_finite();
  }
  return out;
}

Result<std::vector<bool>> Gguf::flags(std::string_view key) const {
  const Question q{*state_->metadata, state_->name, std::string(key)};
  if (q.place < 0) return q.absent();
  if (!is_array(q.context, q.place) || gguf_get_arr_type(&q.context, q.place) != GGUF_TYPE_BOOL) {
    return q.wrong("an array of true or false");
  }
  std::vector<bool> out;
  copy_elements<std::int8_t>(q.context, q.place, out);
  return out;
}

bool Gguf::has(std::string_view key) const {
  return gguf_find_key(state_->metadata.get(), std::string(key).c_str()) >= 0;
}

const std::string& Gguf::name() const { return state_->name; }
const std::string& Gguf::architecture() const { return state_->architecture; }
std::span<const TensorPlace> Gguf::tensors() const { return state_->places; }
const TensorPlace* Gguf::find(std::string_view name) const {
  const auto found = state_->place_of.find(name);
  return found == state_->place_of.end() ? nullptr : &state_->places[found->second];
}
const std::vector<std::filesystem::path>& Gguf::files() const { return state_->files; }
const std::vector<GgufPart>& Gguf::parts() const { return state_->parts; }
const std::string& Gguf::fingerprint() const { return state_->fingerprint; }

}  // namespace flotilla
