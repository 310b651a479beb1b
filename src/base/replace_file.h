// Writing a file as a whole, so that a crash or a power cut leaves the old text or the new, never a part and never an
// empty file.
//
// Thread: any; blocks until the disk has the bytes. Two at a time on one path are the caller's mistake.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace flotilla {

// Writes PATH.new with `mode`, brings it to the disk, renames it to `path` and brings the folder to the disk. On an
// error `path` is as it was.
Status replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode = 0644);

// What a call to the disk that failed with `cause`, an errno, is to people: "expected to VERB 'PATH' but …".
// no_space: the disk, a quota or the process's file size limit is full. permission: the file is not ours to write.
// not_found: no such file or folder. unavailable: everything else.
std::unexpected<Error> disk_error(std::string_view verb, const std::filesystem::path& path, int cause);

}  // namespace flotilla
