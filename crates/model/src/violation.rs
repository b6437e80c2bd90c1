//! One fault in something a person wrote.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fault: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// Field path as in the file, such as `spec.bundles[0].version`.
    pub path: String,
    /// What is wrong, without a full stop.
    pub problem: String,
    /// What to do; empty when there is nothing useful to say.
    pub hint: String,
}

impl Violation {
    /// A fault with a hint (which may be empty).
    pub fn new(path: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)?;
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.hint)
        }
    }
}
