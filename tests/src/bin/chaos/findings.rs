//! What a section tried and found.

use std::fmt;

/// What a section tried and found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What was tried, with figures.
    pub(crate) tried: Vec<String>,
    /// What must not be.
    pub(crate) violations: Vec<String>,
}

impl Findings {
    pub(crate) fn tried(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("{what}");
        self.tried.push(what);
    }

    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// A violation if the outcome is an error.
    pub(crate) fn check(&mut self, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            self.violation(format!("{error:#}"));
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tried {
            writeln!(f, "- {line}")?;
        }
        for line in &self.violations {
            writeln!(f, "VIOLATION: {line}")?;
        }
        Ok(())
    }
}
