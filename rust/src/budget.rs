//! What a template may take from the machine beyond the interpreter's own count of steps.
//!
//! Steps alone are not enough: a list that holds itself twice, sixty deep, costs few steps to make and 2^60 items to print
//! into a string or to compare. So while a template runs, its thread's allocations are counted; the one that goes beyond
//! the budget fails, and a failed allocation unwinds to the border, where it becomes `TooLarge`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const BYTES_MAX: usize = 256 << 20; // four times what the steps pay for
const ALLOCATIONS_MAX: usize = 5_000_000; // a fraction of a second; walking a shared list allocates for every list met

#[derive(Clone, Copy)]
struct Budget {
    on: bool,
    bytes: usize,
    allocations: usize,
}

thread_local! {
    static BUDGET: Cell<Budget> = const { Cell::new(Budget { on: false, bytes: 0, allocations: 0 }) };
}

/// The payload of the unwinding, so that it is told from a panic.
pub struct Exceeded;

/// From here on this thread, which a template has to itself, lives within the budget.
pub fn begin() {
    std::alloc::set_alloc_error_hook(|layout| {
        let over = BUDGET.with(|budget| {
            let was = budget.get();
            budget.set(Budget { on: false, ..was }); // unwinding needs memory too
            was.on
        });
        if over {
            std::panic::resume_unwind(Box::new(Exceeded));
        }
        eprintln!("out of memory: {} bytes", layout.size()); // the process's own want: what the default would do
    });
    BUDGET.with(|budget| budget.set(Budget { on: true, bytes: 0, allocations: 0 }));
}

/// The result of a template's work is handed over outside the budget.
pub fn end() {
    BUDGET.with(|budget| budget.set(Budget { on: false, ..budget.get() }));
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
            let allowed = now.bytes <= BYTES_MAX && now.allocations <= ALLOCATIONS_MAX;
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
