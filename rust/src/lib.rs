//! The C border (flotilla_text.h): templates here, constraints in constraint_border.rs. Everything behind these two files and
//! budget.rs is ordinary safe Rust; the unsafe lines are all there.
//!
//! Three dangers are met at this border. A panic must not cross it: it is caught and becomes `Internal`. A template can
//! nest values as deep as its steps allow, which compare, print and drop by recursion, and a schema is compiled by recursion:
//! each such call therefore runs on a thread of its own whose stack is large enough for the deepest value the limits allow
//! (only pages touched are used). And it can share values so that few steps make much text: budget.rs.

#![feature(alloc_error_hook)]

mod budget;
mod chat_template;
mod clock;
mod constraint;
mod constraint_border;
mod failure;
mod json;

use budget::Allowance;
use chat_template::{ChatTemplate, Limits};
use failure::{Failure, Outcome};
use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

/// Virtual, not resident. A level costs a template at least five steps and recursion at most about 400 bytes: see
/// `deep_values_do_not_overflow_the_stack`.
const STACK_BYTES: usize = 256 << 20;

/// Four times what a template's steps pay for in bytes; as many allocations as take a fraction of a second, since walking a
/// shared list allocates for every list met.
const OF_A_TEMPLATE: Allowance =
    Allowance { bytes: 256 << 20, allocations: 5_000_000, processor_time: Duration::from_secs(60) };

#[repr(C)]
pub struct FlotillaAnswer {
    outcome: Outcome,
    text: *mut u8,
    bytes: usize,
}

#[repr(C)]
pub struct FlotillaRenderLimits {
    steps_max: u64,
    output_bytes_max: u64,
}

fn answer(outcome: Outcome, text: String) -> FlotillaAnswer {
    let text = text.into_bytes().into_boxed_slice();
    let bytes = text.len();
    FlotillaAnswer { outcome, text: Box::into_raw(text) as *mut u8, bytes }
}

/// Runs `work` on a deep stack and turns a panic, or no thread to be had, into a failure.
fn run_within<T: Send>(
    allowance: Allowance,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let guarded = move || {
        budget::begin(allowance);
        let result = catch_unwind(AssertUnwindSafe(work));
        match (budget::end(), result) {
            (_, Ok(Ok(done))) => Ok(done),
            (true, _) => Err(Failure::new(Outcome::TooLarge, "it makes too much of too little")),
            (false, Ok(Err(failure))) => Err(failure),
            (false, Err(payload)) => Err(unwound(payload)),
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("untrusted".into()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, guarded) {
            Ok(handle) => handle.join().unwrap_or_else(|payload| Err(unwound(payload))),
            Err(error) => Err(Failure::internal(format!("no thread for it: {error}"))),
        }
    })
}

fn run<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    run_within(OF_A_TEMPLATE, work)
}

fn unwound(payload: Box<dyn Any + Send>) -> Failure {
    match payload.is::<budget::Exceeded>() {
        true => Failure::new(Outcome::TooLarge, "it makes too much of too little"),
        false => Failure::internal("the interpreter panicked"),
    }
}

/// # Safety
/// `bytes` readable bytes at `text`, or zero.
unsafe fn borrow<'a>(text: *const u8, bytes: usize) -> Result<&'a str, Failure> {
    if bytes == 0 {
        return Ok("");
    }
    std::str::from_utf8(std::slice::from_raw_parts(text, bytes)).map_err(|_| Failure::internal("the text is not UTF-8"))
}

/// # Safety
/// As flotilla_text.h says; `out` is writable.
#[no_mangle]
pub unsafe extern "C" fn flotilla_template_create(
    source: *const u8,
    source_bytes: usize,
    limits: FlotillaRenderLimits,
    out: *mut FlotillaAnswer,
) -> *mut ChatTemplate {
    let limits = Limits { steps: limits.steps_max, output_bytes: limits.output_bytes_max as usize };
    let made = borrow(source, source_bytes).and_then(|source| run(|| ChatTemplate::compile(source, limits)));
    let (template, result) = match made {
        Ok(template) => (Box::into_raw(Box::new(template)), answer(Outcome::Ok, String::new())),
        Err(failure) => (std::ptr::null_mut(), answer(failure.outcome, failure.message)),
    };
    out.write(result);
    template
}

/// # Safety
/// `template` came from flotilla_template_create and is not freed yet; `context` as flotilla_text.h says.
#[no_mangle]
pub unsafe extern "C" fn flotilla_template_render(
    template: *const ChatTemplate,
    context: *const u8,
    context_bytes: usize,
    local_seconds: i64,
) -> FlotillaAnswer {
    let template = &*template;
    let rendered = borrow(context, context_bytes).and_then(|context| run(|| template.render(context, local_seconds)));
    match rendered {
        Ok(text) => answer(Outcome::Ok, text),
        Err(failure) => answer(failure.outcome, failure.message),
    }
}

/// # Safety
/// Once per template; null is fine.
#[no_mangle]
pub unsafe extern "C" fn flotilla_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        let template = Box::from_raw(template);
        let _ = run(move || {
            drop(template);
            Ok(())
        });
    }
}

/// # Safety
/// Once per answer.
#[no_mangle]
pub unsafe extern "C" fn flotilla_answer_free(answer: FlotillaAnswer) {
    if !answer.text.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(answer.text, answer.bytes)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn render(source: &str, context: &str) -> Result<String, Failure> {
        let limits = Limits { steps: 1_000_000, output_bytes: 8 << 20 };
        run(|| ChatTemplate::compile(source, limits)?.render(context, 0))
    }

    #[test]
    fn a_panic_becomes_an_answer() {
        let failure = run(|| -> Result<(), Failure> { panic!("on purpose") }).unwrap_err();
        assert_eq!(failure.outcome, Outcome::Internal);
    }

    #[test]
    fn deep_values_do_not_overflow_the_stack() {
        let nest = "{% set ns = namespace(l=[]) %}\
                    {% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}";
        for tail in ["", "{{ ns.l }}", "{{ ns.l|tojson }}", "{{ ns.l == ns.l }}", "{{ 'a' ~ ns.l }}", "{{ ns.l|string }}"] {
            let _ = render(&format!("{nest}{tail}"), "{}");
        }
        let two = "{% set ns = namespace(l=[], m=[]) %}{% for i in range(60000) %}\
                   {% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}{{ ns.l < ns.m }}";
        let _ = render(two, "{}");
        let chain = format!("{{{{ 1{} }}}}", "+1".repeat(100_000));
        let _ = render(&chain, "{}");
        let piped = format!("{{{{ 1{} }}}}", "|string".repeat(30_000));
        let _ = render(&piped, "{}");
        let dots = format!("{{{{ a{} }}}}", ".a".repeat(100_000));
        let _ = render(&dots, "{}");
    }

    #[test]
    fn values_that_double_end_soon_in_little_memory() {
        let double = "{% set ns = namespace(l=['x'], m=['x'], s='x') %}{% for i in range(60) %}";
        let lists = "{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}";
        for (step, tail) in [
            ("{% set ns.s = ns.s ~ ns.s %}", ""),
            ("{% set ns.s = ns.s + ns.s %}", ""),
            ("{% set ns.s = ns.s * 2 %}", ""),
            (lists, "{{ ns.l }}"),
            (lists, "{{ ns.l|tojson }}"),
            (lists, "{{ ns.l|string|length }}"),
            (lists, "{{ ('a' ~ ns.l)|length }}"),
            (lists, "{{ [ns.l]|join|length }}"),
            (lists, "{{ ns.l == ns.m }}"),
            (lists, "{{ ns.l < ns.m }}"),
            (lists, "{{ [ns.l, ns.m]|unique|list|length }}"),
            (lists, "{{ {'k': ns.l}|upper }}"),
            ("{% set ns.l = ns.l + ns.l %}", "{{ ns.l|list|length }}"),
        ] {
            let started = std::time::Instant::now();
            let failure = render(&format!("{double}{step}{{% endfor %}}{tail}"), "{}").expect_err(tail);
            assert_eq!(failure.outcome, Outcome::TooLarge, "{step}{tail}: {}", failure.message);
            assert!(started.elapsed().as_secs() < 20, "{step}{tail} took {:?}", started.elapsed());
        }
    }
}
