// The input as a file, for readers that take a path. In memory: nothing is left behind where the process is stopped.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <format>
#include <string_view>

#include "fuzz.h"

namespace flotilla::fuzz {

class InputFile {
 public:
  explicit InputFile(std::string_view text) : descriptor_(memfd_create("input", MFD_CLOEXEC)) {
    const bool written = descriptor_ >= 0 && ::write(descriptor_, text.data(), text.size()) == std::ssize(text);
    claim(written, "the system gives memory for a file");
  }
  ~InputFile() { ::close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  std::filesystem::path path() const { return std::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

}  // namespace flotilla::fuzz
