//! What a stranger's program may take from the machine beyond its interpreter's own count of steps.
//!
//! Steps alone are not enough: in a template a list that holds itself twice, sixty deep, costs few steps to make and 2^60
//! items to print into a string or to compare; a schema may ask for a pattern whose automaton has no end. So while such work
//! runs, its thread's allocations are counted and its processor time is looked at; the allocation that goes beyond the
//! allowance fails, and a failed allocation unwinds to the border, where it becomes `TooLarge`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Allowance {
    pub bytes: usize,
    pub allocations: usize,
    pub processor_time: Duration,
}

const LOOK_AT_TIME_EVERY: usize = 1024; // allocations; asking the system takes as long as ten of them

#[derive(Clone, Copy)]
struct Budget {
    on: bool,
    exceeded: bool,
    bytes: usize,
    allocations: usize,
    allowance: Allowance, // its time: on the thread's clock
}

const NOTHING: Allowance = Allowance { bytes: 0, allocations: 0, processor_time: Duration::ZERO };

thread_local! {
    static BUDGET: Cell<Budget> =
        const { Cell::new(Budget { on: false, exceeded: false, bytes: 0, allocations: 0, allowance: NOTHING }) };
}

/// The payload of the unwinding, so that it is told from a panic.
pub struct Exceeded;

/// From here on this thread, which the work has to itself, lives within the allowance.
pub fn begin(allowance: Allowance) {
    std::alloc::set_alloc_error_hook(|layout| {
        let over = BUDGET.with(|budget| {
            let was = budget.get();
            budget.set(Budget { on: false, exceeded: was.on, ..was }); // unwinding needs memory too
            was.on
        });
        if over {
            std::panic::resume_unwind(Box::new(Exceeded));
        }
        eprintln!("out of memory: {} bytes", layout.size()); // the process's own want: what the default would do
    });
    let until = thread_time().saturating_add(allowance.processor_time);
    let allowance = Allowance { processor_time: until, ..allowance };
    BUDGET.with(|budget| budget.set(Budget { on: true, exceeded: false, bytes: 0, allocations: 0, allowance }));
}

/// The result of the work is handed over outside the budget. True where it went beyond, also where a library has caught the
/// unwinding and made an error of it.
pub fn end() -> bool {
    BUDGET.with(|budget| {
        let was = budget.get();
        budget.set(Budget { on: false, ..was });
        was.exceeded
    })
}

/// Processor time of this thread: a machine that is busy with other things does not make a schema worse.
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours. Where the clock fails the time stays 0, and bytes and counts still bound.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

impl Counted {
    /// False where the budget does not allow `more` bytes.
    fn take(&self, more: usize) -> bool {
        BUDGET.with(|budget| {
            let mut now = budget.get();
            if !now.on {
                return true;
            }
            now.bytes = now.bytes.saturating_add(more);
            now.allocations += 1;
            let in_time = now.allocations % LOOK_AT_TIME_EVERY != 0 || thread_time() <= now.allowance.processor_time;
            let allowed = now.bytes <= now.allowance.bytes && now.allocations <= now.allowance.allocations && in_time;
            if allowed {
                budget.set(now);
            }
            allowed
        })
    }

    fn give(&self, bytes: usize) {
        BUDGET.with(|budget| {
            let now = budget.get();
            budget.set(Budget { bytes: now.bytes.saturating_sub(bytes), ..now });
        });
    }
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.take(layout.size()) {
            System.alloc(layout)
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.give(layout.size());
        System.dealloc(pointer, layout)
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && !self.take(size - layout.size()) {
            return std::ptr::null_mut();
        }
        if size < layout.size() {
            self.give(layout.size() - size);
        }
        System.realloc(pointer, layout, size)
    }
}
