//! How a call went wrong, in the border's words.

/// As in flotilla_text.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok = 0,
    Syntax = 1,
    Refused = 2,
    TooLarge = 3,
    Failed = 4,
    Internal = 5,
}

#[derive(Debug)]
pub struct Failure {
    pub outcome: Outcome,
    pub message: String,
}

impl Failure {
    pub fn new(outcome: Outcome, message: &str) -> Self {
        Self { outcome, message: message.into() }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Internal, message: message.into() }
    }
}
