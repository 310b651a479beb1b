//! Which tokens may come next so that an answer keeps to a JSON schema, a regular expression or a grammar: llguidance, with
//! what a stranger's text may cost.
//!
//! A schema is compiled once, within an allowance of memory and processor time (budget.rs), on a thread with a deep stack.
//! What is asked of the result afterwards is bounded by llguidance's own limits: a step that goes beyond one fails.

use crate::failure::{Failure, Outcome};
use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{json, Value};
use std::sync::Arc;

/// As in flotilla_text.h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    JsonObject,
    JsonSchema,
    Regex,
    Lark,
}

impl Kind {
    pub fn from_number(number: u32) -> Option<Kind> {
        [Kind::JsonObject, Kind::JsonSchema, Kind::Regex, Kind::Lark].get((number as usize).checked_sub(1)?).copied()
    }
}

/// Of JSON between its parts: nothing, one space, or a new line with its indentation. Without a bound a model that has
/// nothing to say may write white space for ever.
const WHITE_SPACE: &str = r"\x20|\x0A[\x20\x09]{0,40}";

const LEXER_STATES_MAX: usize = 20_000; // 1 to 2 KiB each
const GRAMMAR_SYMBOLS_MAX: usize = 30_000; // alternatives in one place cost time by their square: a second
const ALTERNATIVES_MAX: usize = 4_000; // of a grammar: their square is a tenth of a second, in loops that allocate nothing
const REASON_BYTES_MAX: usize = 400;

pub struct Vocabulary {
    factory: ParserFactory,
}

impl Vocabulary {
    /// `words`: each token's bytes, empty where it is no part of any text; `is_control`: it is known to grammars by its text
    /// and never part of other text; `ends`: tokens that end an answer, at least one.
    pub fn build(words: Vec<&[u8]>, is_control: &[bool], ends: &[u32]) -> Result<Vocabulary, Failure> {
        let Some(first_end) = ends.first() else {
            return Err(Failure::new(Outcome::Failed, "the vocabulary has no token that ends an answer"));
        };
        if ends.iter().any(|end| *end as usize >= words.len()) || is_control.len() != words.len() {
            return Err(Failure::internal("the vocabulary contradicts itself"));
        }
        let marked = words.iter().zip(is_control).map(|(word, control)| match control {
            true => [&[TokTrie::SPECIAL_TOKEN_MARKER], *word].concat(),
            false => word.to_vec(),
        });
        let marked: Vec<Vec<u8>> = marked.collect();
        let trie = TokTrie::from(&TokRxInfo::new(marked.len() as u32, *first_end), &marked).with_eos_tokens(ends);
        // Forced text is not put into tokens for the model: it may cut its words as it likes.
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| Failure::internal(reason(&error.to_string())))?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_lexer_states: LEXER_STATES_MAX,
            max_grammar_size: GRAMMAR_SYMBOLS_MAX,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        let vocabulary = Vocabulary { factory };
        // What the library makes once for all is made here, where no stranger's text can use up the allowance in the middle.
        Constraint::compile(&vocabulary, Kind::JsonSchema, r#"{"type":"string","pattern":"^[a-z]+$"}"#)?;
        Ok(vocabulary)
    }
}

#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
}

impl Constraint {
    /// `Syntax` where the text is none of its kind, asks for what is not supported, or nothing could ever satisfy it.
    pub fn compile(vocabulary: &Vocabulary, kind: Kind, text: &str) -> Result<Constraint, Failure> {
        let grammar = match kind {
            Kind::JsonObject => TopLevelGrammar::from_json_schema(with_options(json!({"type": "object"}))?),
            Kind::JsonSchema => {
                let schema = serde_json::from_str(text).map_err(|error| syntax(&error.to_string()))?;
                TopLevelGrammar::from_json_schema(with_options(schema)?)
            }
            Kind::Regex => TopLevelGrammar::from_regex(text),
            Kind::Lark => {
                check_alternatives(text)?;
                TopLevelGrammar::from_lark(text.to_string())
            }
        };
        let parser = vocabulary.factory.create_parser(grammar).map_err(|error| syntax(&error.to_string()))?;
        let mut matcher = Matcher::new(Ok(parser));
        matcher.compute_mask_or_eos().map_err(|error| syntax(&error.to_string()))?;
        Ok(Constraint { matcher })
    }

    /// The answer goes on with these tokens.
    pub fn advance(&mut self, tokens: &[u32]) -> Result<(), Failure> {
        self.matcher.consume_tokens(tokens).map_err(stuck)
    }

    /// Its last `count` tokens are taken back.
    pub fn retreat(&mut self, count: usize) -> Result<(), Failure> {
        self.matcher.rollback(count).map_err(stuck)
    }

    /// How many of the tokens, one after the other, may come next.
    pub fn allowed(&mut self, tokens: &[u32]) -> Result<usize, Failure> {
        self.matcher.validate_tokens(tokens).map_err(stuck)
    }

    /// One bit for each token, the lowest of each word first. Where the answer must end, these are the ends.
    pub fn mask(&mut self, words: &mut [u32]) -> Result<(), Failure> {
        let mask = self.matcher.compute_mask_or_eos().map_err(stuck)?;
        let bits = mask.as_slice();
        let known = bits.len().min(words.len());
        words[..known].copy_from_slice(&bits[..known]);
        words[known..].fill(0);
        Ok(())
    }
}

/// Ours, whatever a client's schema says in their place.
fn with_options(schema: Value) -> Result<Value, Failure> {
    match schema {
        Value::Object(mut fields) => {
            fields.insert("x-guidance".to_string(), json!({"whitespace_pattern": WHITE_SPACE}));
            Ok(Value::Object(fields))
        }
        Value::Bool(true) => with_options(json!({})),
        _ => Err(syntax("expected a JSON schema to be an object")),
    }
}

fn check_alternatives(grammar: &str) -> Result<(), Failure> {
    let bars = grammar.bytes().filter(|byte| *byte == b'|').count();
    if bars > ALTERNATIVES_MAX {
        return Err(syntax(&format!("expected at most {ALTERNATIVES_MAX} alternatives but it has {bars}")));
    }
    Ok(())
}

fn syntax(message: &str) -> Failure {
    Failure::new(Outcome::Syntax, &reason(message))
}

fn stuck(error: impl std::fmt::Display) -> Failure {
    Failure::new(Outcome::Failed, &reason(&error.to_string()))
}

/// Without what the library adds for its own makers, and never a stranger's whole text.
fn reason(message: &str) -> String {
    let message = message.split("\n<").next().unwrap_or_default(); // its own state
    let message = message.split("\n   ").next().unwrap_or_default().trim(); // lines of the grammar
    if message == StopReason::NoExtensionBias.to_string() {
        return "nothing could satisfy it from here on".to_string();
    }
    let mut end = message.len().min(REASON_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    if end < message.len() {
        format!("{} …", &message[..end])
    } else {
        message.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vocabulary {
        let words: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).chain([b"<end>".to_vec(), b"true".to_vec()]).collect();
        let control: Vec<bool> = (0..258).map(|token| token == 256).collect();
        Vocabulary::build(words.iter().map(Vec::as_slice).collect(), &control, &[256]).map_err(|f| f.message).unwrap()
    }

    fn may_follow(constraint: &mut Constraint, text: &str) -> usize {
        constraint.allowed(&text.bytes().map(u32::from).collect::<Vec<_>>()).map_err(|f| f.message).unwrap()
    }

    fn mask_of(constraint: &mut Constraint) -> Vec<u32> {
        let mut words = vec![0; 9];
        constraint.mask(&mut words).map_err(|f| f.message).unwrap();
        (0..258).filter(|token| words[token / 32] >> (token % 32) & 1 == 1).map(|token| token as u32).collect()
    }

    #[test]
    fn a_regex_allows_what_it_matches_and_then_the_end() {
        let vocabulary = bytes();
        let mut constraint = Constraint::compile(&vocabulary, Kind::Regex, "yes|no").map_err(|f| f.message).unwrap();
        assert_eq!(mask_of(&mut constraint), vec![b'n' as u32, b'y' as u32]);
        constraint.advance(&[b'n' as u32, b'o' as u32]).map_err(|f| f.message).unwrap();
        assert_eq!(mask_of(&mut constraint), vec![256]);
        constraint.retreat(1).map_err(|f| f.message).unwrap();
        assert_eq!(mask_of(&mut constraint), vec![b'o' as u32]);
        assert!(constraint.advance(&[b'x' as u32]).is_err());
    }

    #[test]
    fn a_schema_keeps_the_order_of_its_properties_and_bounds_white_space() {
        let vocabulary = bytes();
        let schema = r#"{"type":"object","properties":{"z":{"type":"boolean"},"a":{"const":1}},"required":["z","a"],"additionalProperties":false}"#;
        let mut constraint = Constraint::compile(&vocabulary, Kind::JsonSchema, schema).map_err(|f| f.message).unwrap();
        for text in [r#"{"z":true,"a":1}"#, r#"{"z": false, "a": 1}"#, "{\n  \"z\": true,\n  \"a\": 1\n}"] {
            assert_eq!(may_follow(&mut constraint, text), text.len(), "{text}");
        }
        assert!(may_follow(&mut constraint, r#"{"a":1"#) < 3);
        assert!(may_follow(&mut constraint, "{  ") < 3);
    }

    #[test]
    fn parentheses_are_nested_only_so_deep_but_may_stand_in_texts() {
        let nested = |depth: usize| format!("start: {}\"a\"{}", "(".repeat(depth), ")".repeat(depth));
        let told = |text: &str| format!("start: %json {{\"type\":\"null\",\"description\":\"{text}\"}}");
        let compile = |text: &str| Constraint::compile(&bytes(), Kind::Lark, text).map(|_| ()).map_err(|f| f.outcome);
        assert_eq!(compile(&nested(20)), Ok(()));
        assert_eq!(compile(&nested(100_000)), Err(Outcome::Syntax));
        assert_eq!(compile(&told(&"(".repeat(300))), Ok(()));
    }

    #[test]
    fn what_cannot_be_compiled_says_why_in_a_line() {
        let vocabulary = bytes();
        for (kind, text) in [
            (Kind::JsonSchema, "{"),
            (Kind::JsonSchema, "[]"),
            (Kind::JsonSchema, r##"{"$ref":"#/nowhere"}"##),
            (Kind::JsonSchema, r#"{"$ref":"http://example.com/schema"}"#),
            (Kind::JsonSchema, r#"{"type":"string","minLength":3,"maxLength":2}"#),
            (Kind::JsonSchema, r#"{"type":"string","pattern":"(?<=a)b"}"#),
            (Kind::JsonSchema, r#"{"not":{"type":"string"}}"#),
            (Kind::Regex, "("),
            (Kind::Regex, r"(a)\1"),
            (Kind::Lark, "start: nothing"),
            (Kind::Lark, ""),
        ] {
            let failure = Constraint::compile(&vocabulary, kind, text).map(|_| ()).expect_err(text);
            assert_eq!(failure.outcome, Outcome::Syntax, "{text}");
            assert!(!failure.message.is_empty() && failure.message.len() < 500, "{text}: {}", failure.message);
        }
    }
}
