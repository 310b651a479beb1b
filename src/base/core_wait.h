// How long a thread would have computed and was not let: others had the core, or a quota on processor time was spent.
// Thread: any.  Linux alone tells (Documentation/scheduler/sched-stats.rst of its sources, /proc/<pid>/schedstat).
#pragma once

namespace flotilla {

// Of the calling thread since it began; 0 where the system does not tell. Costs some microseconds.
double core_wait_seconds();

}  // namespace flotilla
