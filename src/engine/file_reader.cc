#include "engine/file_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace flotilla {

FileReader::~FileReader() { close(); }

Status FileReader::read(std::uint32_t file_index, std::uint64_t offset, std::span<std::byte> target,
                        std::string_view what) {
  if (descriptor_ < 0 || open_index_ != file_index) FLOTILLA_TRY_STATUS(open(file_index));
  while (!target.empty()) {
    const ssize_t count = pread(descriptor_, target.data(), target.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return fail(Code::unavailable, "[engine] expected to read '{}' from {} but got: {}; check the disk", what,
                  files_[file_index].string(), std::strerror(errno));
    if (count == 0)
      return fail(Code::corrupt, "[engine] expected {} more bytes of '{}' in {} but the file ends at {}; get it again",
                  target.size(), what, files_[file_index].string(), offset);
    target = target.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

// Tensors come in file order, so one open file at a time is enough.
Status FileReader::open(std::uint32_t file_index) {
  close();
  if (file_index >= files_.size())
    return fail(Code::not_found, "[engine] expected part {} of the model but have {} files; name all its parts",
                file_index + 1, files_.size());
  const std::string path = files_[file_index].string();
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  open_index_ = file_index;
  if (descriptor_ >= 0) return {};
  return fail(errno == EACCES ? Code::permission : Code::not_found,
              "[engine] expected to open {} but got: {}; check the path and its permissions", path,
              std::strerror(errno));
}

void FileReader::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace flotilla
