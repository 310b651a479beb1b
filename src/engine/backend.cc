#include "engine/backend.h"

#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "base/log.h"
#include "engine/stage.h"

namespace flotilla {
namespace {

// ggml writes to stderr unless told otherwise; what it says below a warning interests nobody who runs a model.
void log_from_ggml(ggml_log_level level, const char* text, void*) {
  std::string_view line(text);
  while (line.ends_with('\n')) line.remove_suffix(1);
  if (line.empty()) return;
  if (level == GGML_LOG_LEVEL_ERROR) log(LogLevel::error, "engine", "{}", line);
  if (level == GGML_LOG_LEVEL_WARN) log(LogLevel::warning, "engine", "{}", line);
}

template <class Function>
Function device_function(ggml_backend_dev_t device, const char* name) {
  return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

std::vector<ggml_backend_buffer_type_t> repacking_types(ggml_backend_dev_t device) {
  std::vector<ggml_backend_buffer_type_t> types;
  if (auto list = device_function<ggml_backend_dev_get_extra_bufts_t>(device, "ggml_backend_dev_get_extra_bufts"))
    for (auto* type = list(device); type && *type; ++type) types.push_back(*type);
  return types;
}

// Would the device multiply a weight that lies in a buffer of this type? The question has to be put with a real node,
// whose weight sits in an (empty) buffer of the type.
bool multiplies_from(ggml_backend_dev_t device, ggml_backend_buffer_type_t type, ggml_type weight_type,
                     std::int64_t columns, std::int64_t rows) {
  const ggml_context_ptr context(ggml_init({ggml_tensor_overhead() * 4, nullptr, true}));
  auto* weight = ggml_new_tensor_2d(context.get(), weight_type, columns, rows);
  auto* activations = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, 512);
  auto* product = ggml_mul_mat(context.get(), weight, activations);
  const ggml_backend_buffer_ptr buffer(ggml_backend_buft_alloc_buffer(type, 0));
  weight->buffer = buffer.get();
  return ggml_backend_dev_supports_op(device, product);
}

}  // namespace

// Where ggml's device libraries lie. Kernels of two processor generations differ in their last bits, so who compares
// answers across machines names a folder that holds one library for them all.
const char* backend_folder() {
  const char* chosen = std::getenv("FLOTILLA_GGML_BACKENDS");
  return chosen && *chosen ? chosen : FLOTILLA_GGML_BACKENDS;
}

Status start_engine() {
  static std::once_flag once;
  std::call_once(once, [] {
    ggml_log_set(log_from_ggml, nullptr);
    // Never ggml_backend_load_all(): it also looks in the current folder, and whoever owns that folder would own us.
    if (*backend_folder()) ggml_backend_load_all_from_path(backend_folder());
  });
  if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU))
    return fail(Code::unsupported,
                "[engine] expected a CPU library of ggml in '{}' but found none that fits this processor; "
                "install ggml's CPU backends (Debian: libggml0)",
                backend_folder());
  return {};
}

Result<ComputeBackend> ComputeBackend::open(std::uint32_t threads) {
  FLOTILLA_TRY_STATUS(start_engine());
  ComputeBackend backend;
  backend.device_ = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  backend.handle_.reset(ggml_backend_dev_init(backend.device_, nullptr));
  const auto set_threads = device_function<ggml_backend_set_n_threads_t>(backend.device_, "ggml_backend_set_n_threads");
  if (!backend.handle_ || !set_threads)
    return fail(Code::unsupported, "[engine] expected device '{}' to start but it did not; reinstall ggml",
                ggml_backend_dev_name(backend.device_));
  set_threads(backend.handle_.get(), static_cast<int>(threads));  // ggml's own default is 4, whatever the machine has
  backend.plain_ = ggml_backend_dev_buffer_type(backend.device_);
  backend.repacking_ = repacking_types(backend.device_);
  return backend;
}

Status ComputeBackend::compute(ggml_cgraph* graph) const {
  const ggml_status status = ggml_backend_graph_compute(handle_.get(), graph);
  if (status == GGML_STATUS_SUCCESS) return {};
  return fail(status == GGML_STATUS_ALLOC_FAILED ? Code::no_memory : Code::internal,
              "[engine] expected the step to be computed but ggml says '{}'", ggml_status_to_string(status));
}

ggml_backend_buffer_type_t ComputeBackend::best_for_matrix(ggml_type type, std::int64_t columns,
                                                           std::int64_t rows) const {
  for (auto* candidate : repacking_)
    if (multiplies_from(device_, candidate, type, columns, rows)) return candidate;
  return plain_;
}

}  // namespace flotilla
