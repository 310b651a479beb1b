// Small changes of text that several rooms make. Thread: any; pure.
#pragma once

#include <string>
#include <string_view>

namespace flotilla {

// An error's message without the "[room] " in front: for people, or inside another sentence.
std::string_view without_room(std::string_view message);

// The text with A to Z as a to z; every other byte stays, so UTF-8 does.
std::string lower_case(std::string_view text);

}  // namespace flotilla
