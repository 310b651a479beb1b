// The page's files inside this program; none where it was built without them (web/CMakeLists.txt).
#pragma once

#include "server/page.h"

namespace flotilla {

PageFiles embedded_page();

}  // namespace flotilla
