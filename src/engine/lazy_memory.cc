#include "engine/lazy_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "base/units.h"

namespace flotilla {

Result<LazyMemory> LazyMemory::map(ggml_backend_dev_t device, std::size_t bytes, const char* purpose) {
  LazyMemory memory;
  if (bytes == 0) return memory;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return fail(Code::no_memory,
                "[engine] expected {} for {} but the system gave none; use a shorter context, fewer "
                "sequences or fewer layers",
                format_bytes(bytes), purpose);
  memory.data_ = static_cast<std::byte*>(data);
  memory.bytes_ = bytes;
  memory.buffer_.reset(ggml_backend_dev_buffer_from_host_ptr(device, data, bytes, bytes));
  if (!memory.buffer_)
    return fail(Code::unsupported, "[engine] expected device '{}' to work on host memory but it does not",
                ggml_backend_dev_name(device));
  return memory;
}

LazyMemory::~LazyMemory() {
  buffer_.reset();
  if (data_) munmap(data_, bytes_);
}

LazyMemory::LazyMemory(LazyMemory&& other) noexcept
    : buffer_(std::move(other.buffer_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

LazyMemory& LazyMemory::operator=(LazyMemory&& other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void prefer_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 4096;  // madvise wants whole pages; a page more or less does not matter to a hint
  const auto first = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

}  // namespace flotilla
