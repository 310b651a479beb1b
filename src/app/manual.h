// The manual page, made from the command line itself: `flotilla man | man -l -`. Pure.
#pragma once

#include <string>
#include <vector>

#include "app/command_tree.h"

namespace flotilla {

std::string manual_page(const std::vector<CommandVerb>& verbs);  // roff, with the macros of man(7)

}  // namespace flotilla
