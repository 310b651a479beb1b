// Which known names someone probably meant who typed another one.
// Thread: any; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

// At most three of `names`, the closest first: those that contain `wanted` (or the other way round), or differ from it
// in at most a third of its letters. Upper and lower case are the same.
std::vector<std::string> closest_names(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace flotilla
