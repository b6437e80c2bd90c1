//! The list of faults while it grows.

use berth_model::{Violation, secret};
use serde::Serialize;

use super::Verdict;

/// Faults and warnings found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Vec<Violation>,
    warnings: Vec<String>,
}

impl Faults {
    pub(super) fn add(
        &mut self,
        path: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.faults.push(Violation::new(path, problem, hint));
    }

    /// Adds a fault when there is a problem.
    pub(super) fn check(&mut self, path: impl Into<String>, problem: Option<String>) {
        if let Some(problem) = problem {
            self.add(path, problem, "");
        }
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub(super) fn verdict(self) -> Verdict {
        if self.faults.is_empty() {
            Ok(self.warnings)
        } else {
            Err(self.faults)
        }
    }
}

/// What is wrong with a text that is shown to people.
pub(super) fn text_problem(text: &str, longest: usize) -> Option<String> {
    if text.chars().count() > longest {
        Some(format!("is longer than {longest} characters"))
    } else if text.chars().any(char::is_control) {
        Some("has control characters".into())
    } else {
        None
    }
}

/// Whether somewhere in a spec is what looks like a secret itself.
pub(super) fn pasted_secrets(spec: &impl Serialize) -> Result<(), Vec<Violation>> {
    let Ok(spec) = serde_json::to_value(spec) else {
        return Ok(());
    };
    match secret::pasted("spec", &spec) {
        found if found.is_empty() => Ok(()),
        found => Err(found),
    }
}
