// A node started for the length of one command where none answers: `flotilla run` works with nothing running.
//
// Owns the child: it is asked to leave and reaped when this goes. Where this process ends without a word (Ctrl-C at the
// prompt, SIGKILL) the child sees its end of a socket pair close, and leaves by itself.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/tcp_link.h"

namespace flotilla {

class BorrowedNode {
 public:
  // Returns once it answers at `api_url`, which must be on this machine. unavailable with the node's own words
  // otherwise.
  static Result<BorrowedNode> start(const std::string& api_url, const std::filesystem::path& home,
                                    const std::vector<std::filesystem::path>& model_folders);
  BorrowedNode(BorrowedNode&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), our_end_(std::move(other.our_end_)) {}
  BorrowedNode& operator=(BorrowedNode&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(our_end_, other.our_end_);
    return *this;
  }
  ~BorrowedNode();

 private:
  BorrowedNode(int pid, Descriptor our_end) : pid_(pid), our_end_(std::move(our_end)) {}
  int pid_ = -1;
  Descriptor our_end_;  // never written to
};

}  // namespace flotilla
