// Anonymous memory lent to ggml as a buffer. It is zero, and becomes resident page by page as it is written: a cache
// for long contexts costs nothing until it is used.
#pragma once

#include <ggml-cpp.h>

#include <cstddef>

#include "base/result.h"

namespace flotilla {

class LazyMemory {
 public:
  // no_memory, naming `purpose`, where the system refuses the address space.
  static Result<LazyMemory> map(ggml_backend_dev_t device, std::size_t bytes, const char* purpose);

  LazyMemory() = default;
  ~LazyMemory();
  LazyMemory(LazyMemory&& other) noexcept;
  LazyMemory& operator=(LazyMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  ggml_backend_buffer_t buffer() const { return buffer_.get(); }

 private:
  ggml_backend_buffer_ptr buffer_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Asks for huge pages in [data, data + bytes): weights are read from end to end once a token, and with 4 KiB pages the
// page walks cost a tenth of it. Only a hint; harmless where the system has none.
void prefer_huge_pages(void* data, std::size_t bytes);

}  // namespace flotilla
