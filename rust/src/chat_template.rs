//! One chat template: compiled once in the dialect that published templates are written in, rendered under limits.

use crate::failure::{Failure, Outcome};
use crate::{clock, json};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};
use minijinja_contrib::pycompat::unknown_method_callback;
use std::collections::BTreeMap;

const NAME: &str = "chat_template";
const NOW: &str = "strftime_now seconds"; // a variable no template can name
const GENERATION_TAG_BYTES_MAX: usize = 100; // with its white space: each tag is looked through so far

#[derive(Clone, Copy)]
pub struct Limits {
    pub steps: u64,
    pub output_bytes: usize,
}

pub struct ChatTemplate {
    environment: Environment<'static>,
    output_bytes_max: usize,
}

impl ChatTemplate {
    pub fn compile(source: &str, limits: Limits) -> Result<ChatTemplate, Failure> {
        let mut environment = dialect();
        environment.set_fuel(Some(limits.steps));
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(|error| failure(&error))?;
        Ok(ChatTemplate { environment, output_bytes_max: limits.output_bytes })
    }

    /// `context`: a JSON object with the template's variables.
    pub fn render(&self, context: &str, local_seconds: i64) -> Result<String, Failure> {
        let mut variables: BTreeMap<String, Value> =
            serde_json::from_str(context).map_err(|error| Failure::internal(format!("the context: {error}")))?;
        variables.insert(NOW.into(), Value::from(local_seconds));
        let template = self.environment.get_template(NAME).map_err(|error| failure(&error))?;
        let mut output = BoundedOutput { bytes: Vec::new(), bytes_max: self.output_bytes_max };
        template.render_captured_to(Value::from(variables), &mut output).map_err(|error| failure(&error))?;
        String::from_utf8(output.bytes).map_err(|_| Failure::internal("the output is not UTF-8"))
    }
}

/// What Hugging Face sets up around Jinja2 for chat templates.
fn dialect() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the standard delimiters are valid"));
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("from_json", json::from_json);
    environment.add_function("raise_exception", |words: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Raised(words)))
    });
    environment.add_function("strftime_now", |state: &State, format: &str| -> Result<String, Error> {
        let seconds = state.lookup(NOW).and_then(|value| i64::try_from(value).ok()).unwrap_or(0);
        Ok(clock::strftime(seconds, format))
    });
    environment
}

/// `{% generation %}` marks what a trainer learns from and prints nothing. An `if true` in its place keeps the scope, the
/// line numbers and the trimming of white space around the tag.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, behind) = rest.split_at(start + 2);
        out.push_str(before);
        rest = behind;
        let close = behind.as_bytes().windows(2).take(GENERATION_TAG_BYTES_MAX).position(|pair| pair == b"%}");
        let inside = &behind[..close.unwrap_or(0)];
        let word = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        out.push_str(&inside.replacen(word, replacement, 1));
        rest = &behind[inside.len()..];
    }
    out.push_str(rest);
    out
}

/// What raise_exception() leaves in the chain of causes, so that a template's own words are told from ours.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// Refuses the first piece beyond the limit.
struct BoundedOutput {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl std::io::Write for BoundedOutput {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if piece.len() > self.bytes_max - self.bytes.len() {
            return Err(std::io::Error::other("the output is too large"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn failure(error: &Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut outcome = Outcome::Failed;
    while let Some(link) = cause {
        if let Some(Raised(words)) = link.downcast_ref::<Raised>() {
            return Failure { outcome: Outcome::Refused, message: words.clone() };
        }
        if let Some(inner) = link.downcast_ref::<Error>() {
            outcome = match inner.kind() {
                ErrorKind::SyntaxError | ErrorKind::BadEscape if outcome == Outcome::Failed => Outcome::Syntax,
                ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Outcome::TooLarge,
                // The interpreter's own bounds (recursion, repetition, range) have no kind of their own.
                _ if inner.detail().is_some_and(is_a_bound) => Outcome::TooLarge,
                _ => outcome,
            };
        }
        cause = link.source();
    }
    Failure { outcome, message: error.to_string() }
}

fn is_a_bound(detail: &str) -> bool {
    ["recursion limit", "too large", "too many elements"].iter().any(|words| detail.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::render;

    fn outcome(source: &str) -> Outcome {
        match render(source, "{}") {
            Ok(_) => Outcome::Ok,
            Err(failure) => failure.outcome,
        }
    }

    #[test]
    fn generation_tags_print_nothing_and_trim_as_they_would() {
        let source = "a\n  {% generation %}\nb {%- endgeneration -%} \n c{%generation-%} d{%+ endgeneration %}";
        assert_eq!(render(source, "{}").unwrap(), "a\nbcd");
        assert_eq!(render("{% set generation = 1 %}{{ generation }}", "{}").unwrap(), "1");
    }

    #[test]
    fn tags_that_do_not_close_cost_no_more_than_their_length() {
        let source = "{%".repeat(1 << 18) + "%}{%}{% generation %}";
        let begun = std::time::Instant::now();
        assert!(without_generation_tags(&source).ends_with("%}{%}{% if true %}"));
        assert!(begun.elapsed().as_secs() < 5);
    }

    #[test]
    fn a_template_that_refuses_is_heard_in_its_own_words() {
        let failure = render("{% macro m() %}{{ raise_exception('no ' ~ who) }}{% endmacro %}{{ m() }}", r#"{"who": "tools"}"#);
        let failure = failure.unwrap_err();
        assert_eq!((failure.outcome, failure.message.as_str()), (Outcome::Refused, "no tools"));
    }

    #[test]
    fn a_template_that_does_not_parse_says_where() {
        let failure = render("one\n{% if %}", "{}").unwrap_err();
        assert_eq!(failure.outcome, Outcome::Syntax);
        assert!(failure.message.contains("chat_template:2"), "{}", failure.message);
    }

    #[test]
    fn undefined_prints_nothing_but_has_no_attributes() {
        assert_eq!(render("[{{ nothing }}]{% if not nothing %}!{% endif %}", "{}").unwrap(), "[]!");
        assert_eq!(outcome("{{ nothing.more }}"), Outcome::Failed);
    }

    #[test]
    fn endless_work_ends() {
        for source in [
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "{% for i in range(1000) %}{{ 'x' * 100000 }}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% for i in range(1000000) %}{% endfor %}",
            "{{ 'x' * 1000000000 }}",
        ] {
            assert_eq!(outcome(source), Outcome::TooLarge, "{source}");
        }
    }

    #[test]
    fn no_template_reaches_another_file() {
        assert_eq!(outcome("{% include 'Cargo.toml' %}"), Outcome::Syntax);
    }

    #[test]
    fn tojson_writes_what_python_writes() {
        let context = r#"{"v": {"b": [1, 2.5, null, true], "a": "<é> \" \n \u0001", "e": [], "m": {}}}"#;
        let render = |source: &str| render(source, context).unwrap();
        assert_eq!(
            render("{{ v|tojson }}"),
            r#"{"b": [1, 2.5, null, true], "a": "<é> \" \n \u0001", "e": [], "m": {}}"#
        );
        assert_eq!(render("{{ v.a|tojson(ensure_ascii=true) }}"), r#""<\u00e9> \" \n \u0001""#);
        assert_eq!(render("{{ '😀'|tojson(ensure_ascii=true) }}"), r#""\ud83d\ude00""#);
        assert_eq!(render("{{ {'b': [1], 'e': []}|tojson(indent=2) }}"), "{\n  \"b\": [\n    1\n  ],\n  \"e\": []\n}");
        assert_eq!(render("{{ v|tojson(separators=(',', ':'), sort_keys=true) }}").find("\"a\":"), Some(1));
        assert_eq!(render("{{ ('[1, {\"a\": 2}]'|from_json)[1].a }}"), "2");
    }

    #[test]
    fn methods_and_globals_of_python_work() {
        assert_eq!(render("{{ ' a,b '.strip().split(',')[-1].upper() }}", "{}").unwrap(), "B");
        assert_eq!(render("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{}").unwrap(), "3");
        assert_eq!(render("{{ dict(a=1)['a'] }}{{ strftime_now('%Y') }}", "{}").unwrap(), "11970");
    }
}
