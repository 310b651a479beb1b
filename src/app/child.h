// What every child of a node owes it: to end with it, and to go first where memory runs out.
// Thread: the child's main one, before anything else.
#pragma once

namespace flotilla {

void begin_as_child();

}  // namespace flotilla
