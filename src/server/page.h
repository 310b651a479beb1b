// The page that a node shows at its own address: files made from web/, answered from memory.
//
// The files are public wherever the API is open, like those of any web site: they hold nothing of anybody. What they
// show they ask of the API, and that asks the gate. Thread: the loop's. Never: reads a disk, or answers data.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace flotilla {

class Router;

// All of static storage.
struct PageFile {
  std::string_view path;  // begins with '/'; "/index.html" is what a browser gets at "/"
  std::string_view content_type;
  std::string_view etag;  // with its quotes
  std::string_view gzip;  // the file, compressed: one member without a name or other optional fields
  std::size_t plain_bytes = 0;
  bool is_lasting = false;  // its name holds a hash of what is in it: whoever has it need never ask again
};
using PageFiles = std::span<const PageFile>;

// GET / and one route for each file. At "/" who accepts HTML gets the page, everybody else `greeting`; where there is
// no page, who accepts HTML learns why.
void add_page_routes(Router& router, PageFiles files, std::string greeting);

}  // namespace flotilla
