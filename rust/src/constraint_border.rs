//! The C border of constraints. Compiling runs on a deep stack within an allowance; what is asked for every token runs on the
//! caller's thread, within llguidance's own limits.

use crate::budget::Allowance;
use crate::constraint::{Constraint, Kind, Vocabulary};
use crate::failure::{Failure, Outcome};
use crate::{answer, borrow, run_within, unwound, FlotillaAnswer};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

#[repr(C)]
pub struct FlotillaCompileLimits {
    processor_milliseconds_max: u64,
    memory_bytes_max: u64,
}

/// Of our own making: a vocabulary's size is checked before.
const UNBOUNDED: Allowance =
    Allowance { bytes: usize::MAX, allocations: usize::MAX, processor_time: Duration::from_secs(3600) };

/// Vocabularies are used, and constraints copied, by several threads at once.
const fn may_be_shared<T: Send + Sync>() {}
const _: () = {
    may_be_shared::<Vocabulary>();
    may_be_shared::<Constraint>();
};

fn told(result: Result<(), Failure>) -> FlotillaAnswer {
    match result {
        Ok(()) => answer(Outcome::Ok, String::new()),
        Err(failure) => answer(failure.outcome, failure.message),
    }
}

/// A constraint that panicked may be in any state: its owner gives it up.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(unwound(payload)))
}

/// # Safety
/// `count` readable items at `items`, or zero.
unsafe fn slice<'a, T>(items: *const T, count: usize) -> &'a [T] {
    match count {
        0 => &[],
        _ => std::slice::from_raw_parts(items, count),
    }
}

fn cut<'a>(bytes: &'a [u8], word_ends: &[u64]) -> Result<Vec<&'a [u8]>, Failure> {
    let mut words = Vec::with_capacity(word_ends.len());
    let mut begin = 0;
    for end in word_ends {
        let end = *end as usize;
        words.push(bytes.get(begin..end).ok_or_else(|| Failure::internal("a token's bytes are out of range"))?);
        begin = end;
    }
    Ok(words)
}

/// # Safety
/// As flotilla_text.h says; `out` is writable.
#[no_mangle]
pub unsafe extern "C" fn flotilla_vocabulary_create(
    bytes: *const u8,
    word_ends: *const u64,
    is_control: *const u8,
    tokens: usize,
    ends: *const u32,
    ends_count: usize,
    out: *mut FlotillaAnswer,
) -> *mut Vocabulary {
    let word_ends = slice(word_ends, tokens);
    let bytes = slice(bytes, word_ends.last().copied().unwrap_or(0) as usize);
    let is_control: Vec<bool> = slice(is_control, tokens).iter().map(|control| *control != 0).collect();
    let ends = slice(ends, ends_count);
    let made = run_within(UNBOUNDED, || Vocabulary::build(cut(bytes, word_ends)?, &is_control, ends));
    give(made, out)
}

/// # Safety
/// Once per vocabulary, after the last call that names it; null is fine. Constraints made with it may outlive it.
#[no_mangle]
pub unsafe extern "C" fn flotilla_vocabulary_free(vocabulary: *mut Vocabulary) {
    if !vocabulary.is_null() {
        drop(Box::from_raw(vocabulary));
    }
}

/// # Safety
/// As flotilla_text.h says; `out` is writable.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_create(
    vocabulary: *const Vocabulary,
    kind: u32,
    text: *const u8,
    text_bytes: usize,
    limits: FlotillaCompileLimits,
    out: *mut FlotillaAnswer,
) -> *mut Constraint {
    let vocabulary = &*vocabulary;
    let allowance = Allowance {
        bytes: limits.memory_bytes_max as usize,
        allocations: usize::MAX,
        processor_time: Duration::from_millis(limits.processor_milliseconds_max),
    };
    let made = borrow(text, text_bytes).and_then(|text| {
        let kind = Kind::from_number(kind).ok_or_else(|| Failure::internal("no such kind of constraint"))?;
        run_within(allowance, || Constraint::compile(vocabulary, kind, text))
    });
    give(made, out)
}

unsafe fn give<T>(made: Result<T, Failure>, out: *mut FlotillaAnswer) -> *mut T {
    match made {
        Ok(made) => {
            out.write(answer(Outcome::Ok, String::new()));
            Box::into_raw(Box::new(made))
        }
        Err(failure) => {
            out.write(answer(failure.outcome, failure.message));
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `constraint` came from flotilla_constraint_create or _copy and is not freed yet; nobody else changes it meanwhile.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_copy(constraint: *const Constraint) -> *mut Constraint {
    let constraint = &*constraint;
    match caught(|| Ok(constraint.clone())) {
        Ok(copy) => Box::into_raw(Box::new(copy)),
        Err(_) => std::ptr::null_mut(),
    }
}

/// # Safety
/// As for flotilla_constraint_copy, but nobody else uses it meanwhile; `count` readable tokens at `tokens`.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_advance(
    constraint: *mut Constraint,
    tokens: *const u32,
    count: usize,
) -> FlotillaAnswer {
    let constraint = &mut *constraint;
    let tokens = slice(tokens, count);
    told(caught(|| constraint.advance(tokens)))
}

/// # Safety
/// As for flotilla_constraint_advance.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_retreat(constraint: *mut Constraint, count: usize) -> FlotillaAnswer {
    let constraint = &mut *constraint;
    told(caught(|| constraint.retreat(count)))
}

/// # Safety
/// As for flotilla_constraint_advance.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_allowed(
    constraint: *mut Constraint,
    tokens: *const u32,
    count: usize,
) -> usize {
    let constraint = &mut *constraint;
    let tokens = slice(tokens, count);
    caught(|| constraint.allowed(tokens)).unwrap_or(0)
}

/// # Safety
/// As for flotilla_constraint_advance; `count` writable words at `words`.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_mask(
    constraint: *mut Constraint,
    words: *mut u32,
    count: usize,
) -> FlotillaAnswer {
    let constraint = &mut *constraint;
    let words = match count {
        0 => &mut [][..],
        _ => std::slice::from_raw_parts_mut(words, count),
    };
    told(caught(|| constraint.mask(words)))
}

/// # Safety
/// Once per constraint; null is fine.
#[no_mangle]
pub unsafe extern "C" fn flotilla_constraint_free(constraint: *mut Constraint) {
    if !constraint.is_null() {
        let constraint = Box::from_raw(constraint);
        let _ = caught(move || {
            drop(constraint);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Whatever comes in, a caller gets a constraint or a reason soon, and each step of a constraint is soon over.
    fn soon(kind: Kind, text: &str) -> Result<(), Failure> {
        let words: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).chain([b"<end>".to_vec()]).collect();
        let control: Vec<bool> = (0..257).map(|token| token == 256).collect();
        let vocabulary = Vocabulary::build(words.iter().map(Vec::as_slice).collect(), &control, &[256])?;
        let allowance =
            Allowance { bytes: 256 << 20, allocations: usize::MAX, processor_time: Duration::from_secs(1) };
        let shown: String = text.chars().take(60).collect();
        let started = Instant::now();
        let made = run_within(allowance, || Constraint::compile(&vocabulary, kind, text));
        assert!(started.elapsed().as_secs() < 20, "{shown} took {:?}", started.elapsed());
        let mut constraint = made?;
        let mut words = vec![0; 9];
        for _ in 0..50 {
            let started = Instant::now();
            caught(|| constraint.mask(&mut words))?;
            assert!(started.elapsed().as_secs() < 5, "a step of {shown} took {:?}", started.elapsed());
            let Some(token) = (0..256u32).rev().find(|token| words[*token as usize / 32] >> (token % 32) & 1 == 1) else {
                return Ok(());
            };
            caught(|| constraint.advance(&[token]))?;
        }
        Ok(())
    }

    #[test]
    fn hostile_patterns_and_grammars_end_soon() {
        let numbers = (0..20_000).map(|n| format!("\"v{n}\"")).collect::<Vec<_>>().join(",");
        let any_of = (0..2_000).map(|n| format!(r#"{{"pattern":"^a{{{n}}}b"}}"#)).collect::<Vec<_>>().join(",");
        let pair = r#"{"anyOf":[{"pattern":"^(a|b)*a(a|b){12}$"},{"pattern":"^(b|c)*b(b|c){11}$"}]}"#;
        let all_of = vec![pair; 16].join(",");
        let properties =
            (0..4_000).map(|n| format!(r#""p{n}":{{"type":"integer","minimum":{n}}}"#)).collect::<Vec<_>>().join(",");
        let required = (0..4_000).rev().map(|n| format!("\"p{n}\"")).collect::<Vec<_>>().join(",");
        for (kind, text) in [
            (Kind::Regex, "(((a{1000}){1000}){1000})".to_string()),
            (Kind::Regex, "(.*a){40}b".to_string()),
            (Kind::Regex, "(a|b)*a(a|b){30}".to_string()),
            (Kind::Regex, r"(\p{L}\p{N}?){500}".to_string()),
            (Kind::Regex, "(".repeat(240) + "a" + &")*".repeat(240)),
            (Kind::Regex, "(".repeat(200_000)),
            (Kind::Regex, "a|".repeat(100_000)),
            (Kind::Regex, "(a?){200}a{200}".to_string()),
            (Kind::Regex, "((a*)*)*b".to_string()),
            (Kind::JsonSchema, r#"{"type":"string","minLength":1000000000}"#.to_string()),
            (Kind::JsonSchema, r#"{"type":"string","maxLength":2000000000}"#.to_string()),
            (Kind::JsonSchema, r#"{"type":"array","minItems":1000000000}"#.to_string()),
            (Kind::JsonSchema, r#"{"type":"array","items":{"type":"array","maxItems":99999999},"maxItems":99999999}"#.to_string()),
            (Kind::JsonSchema, r##"{"$ref":"#"}"##.to_string()),
            (Kind::JsonSchema, r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_string()),
            (Kind::JsonSchema, r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_string()),
            (Kind::JsonSchema, format!(r#"{{"enum":[{numbers}]}}"#)),
            (Kind::JsonSchema, format!(r#"{{"anyOf":[{any_of}]}}"#)),
            (Kind::JsonSchema, format!(r#"{{"type":"string","allOf":[{all_of}]}}"#)),
            (Kind::JsonSchema, format!(r#"{{"properties":{{{properties}}},"required":[{required}]}}"#)),
            (Kind::JsonSchema, r#"{"type":"integer","multipleOf":999999937,"minimum":-1e300,"maximum":1e300}"#.to_string()),
            (Kind::JsonSchema, r#"{"patternProperties":{"(a|b)*a(a|b){20}":{},"(b|a)*b(a|b){20}":{"type":"string"}}}"#.to_string()),
            (Kind::JsonSchema, "[".repeat(100_000)),
            (Kind::JsonSchema, r#"{"items":"#.repeat(120) + "{}" + &"}".repeat(120)),
            (Kind::Lark, "start: start start | \"a\" |".to_string()),
            (Kind::Lark, "start: a\na: b |\nb: a a".to_string()),
            (Kind::Lark, format!("start: {}", "(".repeat(200_000))),
            (Kind::Lark, format!("start: {}\n", "\"a\" ".repeat(60_000))),
            (Kind::Lark, format!("start: x\nx: {}\n", "\"a\" | ".repeat(60_000) + "\"b\"")),
            (Kind::Lark, format!("start: x\nx: {}\ny: \"a\"\n", "y|".repeat(24_000) + "\"b\"")),
            (Kind::Lark, format!("start: x\nx: {}\n", "\"a\"|".repeat(16_000) + "\"b\"")),
            (Kind::JsonSchema, format!(r#"{{"anyOf":[{}]}}"#, vec![r#"{"const":1}"#; 18_000].join(","))),
            (Kind::JsonSchema, format!(r#"{{"anyOf":[{}]}}"#, (0..15_000).map(|n| format!(r#"{{"const":{n}}}"#)).collect::<Vec<_>>().join(","))),
            (Kind::JsonSchema, format!(r#"{{"anyOf":[{}]}}"#, (0..12_000).map(|n| format!(r#"{{"minimum":{n}}}"#)).collect::<Vec<_>>().join(","))),
            (Kind::Lark, "start: A{1000000}\nA: /a{1000}/".to_string()),
            (Kind::Lark, "start: %json {\"type\": \"string\", \"minLength\": 5".to_string()),
        ] {
            if let Err(failure) = soon(kind, &text) {
                assert_ne!(failure.outcome, Outcome::Internal, "{}", failure.message);
            }
        }
    }
}
