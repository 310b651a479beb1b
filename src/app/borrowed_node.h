// A node started for the length of one command where none answers: `flotilla run` works with nothing running.
//
// Owns the child: it is asked to leave and reaped when this goes.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace flotilla {

class BorrowedNode {
 public:
  // Returns once it answers at `api_url`, which must be on this machine. unavailable with the node's own words
  // otherwise.
  static Result<BorrowedNode> start(const std::string& api_url, const std::filesystem::path& home,
                                    const std::vector<std::filesystem::path>& model_folders);
  BorrowedNode(BorrowedNode&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  BorrowedNode& operator=(BorrowedNode&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~BorrowedNode();

 private:
  explicit BorrowedNode(int pid) : pid_(pid) {}
  int pid_ = -1;
};

}  // namespace flotilla
