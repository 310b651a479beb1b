// In place of the page where the program is built without it.
#include "app/embedded_page.h"

namespace flotilla {

PageFiles embedded_page() { return {}; }

}  // namespace flotilla
