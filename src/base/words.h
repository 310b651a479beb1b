// Small changes of text that several rooms make. Thread: any; pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace flotilla {

// An error's message without the "[room] " in front: for people, or inside another sentence.
std::string_view without_room(std::string_view message);

// The text with A to Z as a to z; every other byte stays, so UTF-8 does.
std::string lower_case(std::string_view text);

// One after the other: "a, b, c".
std::string joined(std::span<const std::string> words, std::string_view between = ", ");

}  // namespace flotilla
