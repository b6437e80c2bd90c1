//! A fault in a file.

use std::fmt;

use berth_model::Violation;

/// A violation with where in the text it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which document of the text, from 1.
    pub document: usize,
    /// Which line of the text, from 1; none when it is not known.
    pub line: Option<u64>,
    /// What is wrong.
    pub violation: Violation,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let Violation { path, problem, hint } = &self.violation;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(problem)?;
        if hint.is_empty() {
            Ok(())
        } else {
            write!(f, " ({hint})")
        }
    }
}
