// Inside wire only: an error that a message carries.
#pragma once

#include "base/result.h"
#include "wire/fields.h"

namespace flotilla {

template <class Map>
void describe(Map& map, Is<Error> auto& m) {
  map.field("code", m.code);
  map.field("message", m.message, Text::prose);
}

}  // namespace flotilla
