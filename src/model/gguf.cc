#include "model/gguf.h"

#include <ggml-cpp.h>
#include <gguf.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>

#include "base/hex.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "model/excerpt.h"
#include "model/gguf_files.h"
#include "model/gguf_header.h"
#include "model/gguf_state.h"

namespace flotilla {

namespace {

// While it lives, what ggml logs on this thread is kept here instead of printed. ggml has one log for the process,
// hence the mutex and the way back to whoever had the log before.
class GgmlMessages {
 public:
  GgmlMessages() : lock_(mutex()) {
    ggml_log_get(&before().callback, &before().data);
    sink() = &text_;
    ggml_log_set(&GgmlMessages::receive, nullptr);
  }
  ~GgmlMessages() {
    ggml_log_set(before().callback, before().data);
    sink() = nullptr;
  }
  // The first line is the cause; later ones say only which step failed.
  std::string first() const {
    const std::string_view line = std::string_view(text_).substr(0, text_.find('\n'));
    const auto colon = line.find(": ");
    return excerpt(colon == std::string_view::npos ? line : line.substr(colon + 2), 300);
  }

 private:
  struct Before {
    ggml_log_callback callback = nullptr;
    void* data = nullptr;
  };
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static Before& before() {
    static Before one;
    return one;
  }
  static std::string*& sink() {
    static thread_local std::string* one = nullptr;
    return one;
  }
  static void receive(ggml_log_level level, const char* text, void*) {
    if (sink() != nullptr) {
      sink()->append(text);
    } else if (before().callback != nullptr) {
      before().callback(level, text, before().data);
    }
  }

  const std::scoped_lock<std::mutex> lock_;
  std::string text_;
};

// What ggml reads: the header, then zeros up to the tensor data.
struct HeaderSource {
  std::span<const std::byte> header;
  std::uint64_t data_offset = 0;

  static std::size_t read(void* self, void* output, std::uint64_t offset, std::size_t length) {
    const auto& source = *static_cast<const HeaderSource*>(self);
    if (offset >= source.data_offset) return 0;
    const std::size_t bytes = std::min<std::uint64_t>(length, source.data_offset - offset);
    const std::size_t from_header =
        offset < source.header.size() ? std::min<std::uint64_t>(bytes, source.header.size() - offset) : 0;
    if (from_header > 0) std::memcpy(output, source.header.data() + offset, from_header);
    std::memset(static_cast<char*>(output) + from_header, 0, bytes - from_header);
    return bytes;
  }
};

Result<gguf_context_ptr> parse_header(std::span<const std::byte> header, std::uint64_t data_offset,
                                      std::string_view name) {
  HeaderSource source{.header = header, .data_offset = data_offset};
  const GgmlMessages messages;
  try {
    gguf_context_ptr context(
        gguf_init_from_callback(&HeaderSource::read, &source, 0, data_offset, {.no_alloc = true, .ctx = nullptr}));
    if (context) return context;
  } catch (const std::exception& e) {
    return fail(Code::corrupt, "[model] expected to read the header of '{}' but got: {}", name, e.what());
  }
  return fail(Code::corrupt, "[model] expected a sound header in '{}' but got: {}; fetch the file again", name,
              messages.first());
}

// Where the part's tensors lie. ggml has checked that they follow one another without overlap; it has not looked at the
// file's size.
Status add_places(std::vector<TensorPlace>& places, const gguf_context& context, std::uint32_t file_index,
                  std::uint64_t file_bytes, std::string_view name) {
  const std::uint64_t data_offset = gguf_get_data_offset(&context);
  for (std::int64_t i = 0; i < gguf_get_n_tensors(&context); ++i) {
    TensorPlace place{.name = gguf_get_tensor_name(&context, i),
                      .type = gguf_get_tensor_type(&context, i),
                      .shape = {},
                      .file_index = file_index,
                      .offset = gguf_get_tensor_offset(&context, i),
                      .bytes = gguf_get_tensor_size(&context, i)};
    const std::uint64_t left = data_offset <= file_bytes ? file_bytes - data_offset : 0;
    if (place.bytes > left || place.offset > left - place.bytes) {
      return fail(Code::corrupt,
                  "[model] expected tensor {} within the {} bytes of '{}' but it lies at {} + {} and is {} "
                  "bytes long; the file is cut short or lies, fetch it again",
                  excerpt(place.name), file_bytes, name, data_offset, place.offset, place.bytes);
    }
    place.offset += data_offset;
    const std::int64_t* shape = gguf_get_tensor_ne(&context, i);
    place.shape.assign(shape, shape + GGML_MAX_DIMS);
    while (place.shape.size() > 1 && place.shape.back() == 1) place.shape.pop_back();
    places.push_back(std::move(place));
  }
  return {};
}

// A part must say that it is the one its place in the list makes it.
Status check_split(const gguf_context& context, std::size_t index, std::size_t count, std::string_view name) {
  const auto number = gguf_integer(context, "split.no");
  const auto total = gguf_integer(context, "split.count");
  if (count == 1) {
    if (total.value_or(1) <= 1) return {};
    return fail(Code::corrupt,
                "[model] expected all {} parts of '{}' but got one; keep their names NAME-00001-of-{:05}.gguf", *total,
                name, *total);
  }
  if (number == static_cast<std::int64_t>(index) && total == static_cast<std::int64_t>(count)) return {};
  return fail(Code::corrupt,
              "[model] expected split.no {} and split.count {} in part {} of '{}' but got {} and {}; the "
              "parts are mixed up",
              index, count, index + 1, name, number.value_or(-1), total.value_or(-1));
}

std::string fingerprint_of(std::span<const GgufPart> parts) {
  Sha256 hash;
  hash.add(bytes_of("flotilla gguf 1"));
  for (const GgufPart& part : parts) {
    Bytes sizes;
    ByteWriter writer(sizes);
    writer.number<std::uint64_t>(part.header.size());
    writer.number<std::uint64_t>(part.file_bytes);
    hash.add(sizes);
    hash.add(part.header);
  }
  return to_hex(hash.finish());
}

}  // namespace

Gguf::Gguf(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gguf::~Gguf() = default;

Result<std::shared_ptr<const Gguf>> Gguf::open(const std::filesystem::path& path) {
  FLOTILLA_TRY(auto files, split_parts(path));
  return open_parts(std::move(files), parse_split_name(path).stem);
}

Result<std::shared_ptr<const Gguf>> Gguf::open_parts(std::vector<std::filesystem::path> files, std::string name) {
  std::vector<GgufPart> parts;
  for (const auto& file : files) {
    FLOTILLA_TRY(auto part, read_gguf_part(file));
    parts.push_back(std::move(part));
  }
  FLOTILLA_TRY(auto state, read(parts, std::move(name)));
  state->files = std::move(files);
  return std::shared_ptr<const Gguf>(new Gguf(std::move(state)));
}

Result<std::shared_ptr<const Gguf>> Gguf::parse(std::span<const GgufPart> parts, std::string name) {
  FLOTILLA_TRY(auto state, read(parts, std::move(name)));
  return std::shared_ptr<const Gguf>(new Gguf(std::move(state)));
}

Result<std::unique_ptr<Gguf::State>> Gguf::read(std::span<const GgufPart> parts, std::string name) {
  if (parts.empty() || parts.size() > split_parts_max) {
    return fail(Code::invalid_argument, "[model] expected 1 to {} headers of '{}' but got {}", split_parts_max, name,
                parts.size());
  }
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    FLOTILLA_TRY(const auto length, measure_gguf_header(parts[i].header, state->name));
    if (!length.complete) {
      return fail(Code::corrupt, "[model] expected a whole header in part {} of '{}' but it ends after {} bytes", i + 1,
                  state->name, parts[i].header.size());
    }
    header_bytes += length.header_bytes;
    if (header_bytes > limits::header_bytes_max) {
      return fail(Code::too_large, "[model] expected headers of at most {} bytes in '{}' but got more",
                  limits::header_bytes_max, state->name);
    }
    const auto header = std::span(parts[i].header).first(length.header_bytes);
    FLOTILLA_TRY(auto context, parse_header(header, length.data_offset, state->name));
    FLOTILLA_TRY_STATUS(check_split(*context, i, parts.size(), state->name));
    FLOTILLA_TRY_STATUS(
        add_places(state->places, *context, static_cast<std::uint32_t>(i), parts[i].file_bytes, state->name));
    state->parts.push_back({.header = Bytes(header.begin(), header.end()), .file_bytes = parts[i].file_bytes});
    if (i == 0) state->metadata = std::move(context);
  }
  FLOTILLA_TRY_STATUS(index(*state));
  state->fingerprint = fingerprint_of(state->parts);
  return state;
}

Status Gguf::index(State& state) {
  for (std::size_t i = 0; i < state.places.size(); ++i) {
    if (!state.place_of.emplace(state.places[i].name, i).second) {
      return fail(Code::corrupt, "[model] expected one tensor {} in '{}' but got it in two parts",
                  excerpt(state.places[i].name), state.name);
    }
  }
  const auto total = gguf_integer(*state.metadata, "split.tensors.count");
  if (state.parts.size() > 1 && total != static_cast<std::int64_t>(state.places.size())) {
    return fail(Code::corrupt, "[model] expected split.tensors.count {} in '{}' but got {}", state.places.size(),
                state.name, total.value_or(-1));
  }
  const std::int64_t key = gguf_find_key(state.metadata.get(), "general.architecture");
  if (key < 0 || gguf_get_kv_type(state.metadata.get(), key) != GGUF_TYPE_STRING) {
    return fail(Code::corrupt,
                "[model] expected general.architecture to be a text in '{}' but got none; is it a model?", state.name);
  }
  state.architecture = gguf_get_val_str(state.metadata.get(), key);
  return {};
}

}  // namespace flotilla
