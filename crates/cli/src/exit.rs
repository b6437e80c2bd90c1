//! How the command line ends: exit codes, and failures with what to do next.

use std::process::ExitCode;

use berth_wire::status;
use tonic::{Code, Status};

/// The exit codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  all went well
  1  a failure that is none of those below, or `diff` found differences
  2  the command line is wrong
  3  the input is not valid
  4  not found
  5  conflict: it exists already, changed meanwhile, or its state does not allow it
  6  the hub, or the cluster behind it, cannot be reached
  7  a time limit is over
  8  not allowed, or not signed in
  78 a store or a backup is damaged, or a newer version wrote it";

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything else, and differences found by `diff`.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The input is not valid.
    Invalid = 3,
    /// Not found.
    NotFound = 4,
    /// Exists already, changed meanwhile, or in the wrong state.
    Conflict = 5,
    /// The hub, or the cluster behind it, cannot be reached.
    Unavailable = 6,
    /// A time limit is over.
    Timeout = 7,
    /// Not allowed, or not signed in.
    Denied = 8,
    /// A store or a backup is damaged, or a newer version wrote it (EX_CONFIG of sysexits.h).
    Damaged = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure: how to exit, and what to tell people, a line each. No lines when all has been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How to exit.
    pub exit: Exit,
    /// What to tell.
    pub lines: Vec<String>,
}

impl Failure {
    /// A failure with one line.
    pub(crate) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self {
            exit,
            lines: vec![line.into()],
        }
    }

    /// A wrong command line.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self::new(Exit::Usage, line)
    }

    /// Everything has been told already.
    pub(crate) const fn told(exit: Exit) -> Self {
        Self {
            exit,
            lines: Vec::new(),
        }
    }

    /// What the hub answered about `subject`.
    pub(crate) fn of(subject: &str, status: &Status) -> Self {
        let violations = status::violations(status);
        if !violations.is_empty() {
            let lines = violations
                .iter()
                .map(|violation| format!("{subject}: {violation}"))
                .collect();
            return Self {
                exit: Exit::Invalid,
                lines,
            };
        }
        let message = status.message();
        let (exit, line) = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => (Exit::Invalid, format!("{subject}: {message}")),
            Code::NotFound => (Exit::NotFound, format!("{subject}: not found")),
            Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => {
                (Exit::Conflict, format!("{subject}: {message}"))
            }
            // The hub itself says so: it was reached, and somebody behind it was not.
            Code::Unavailable if status::reason(status).is_some() => {
                (Exit::Unavailable, format!("{subject}: {message}"))
            }
            Code::Unavailable => (
                Exit::Unavailable,
                format!(
                    "{subject}: the hub cannot be reached: {} (is it running at the context's server address?)",
                    cause(status)
                ),
            ),
            Code::DeadlineExceeded | Code::Cancelled => (
                Exit::Timeout,
                format!("{subject}: the hub did not answer in time (--request-timeout allows longer)"),
            ),
            Code::PermissionDenied => (Exit::Denied, format!("{subject}: {message}")),
            // The hub's own words name the next step.
            Code::Unauthenticated if status::reason(status).is_some() => {
                (Exit::Denied, format!("{subject}: {message}"))
            }
            Code::Unauthenticated => (
                Exit::Denied,
                format!("{subject}: {message} (check the credentials in the context file)"),
            ),
            code => (Exit::Failure, format!("{subject}: {message} ({code:?})")),
        };
        Self::new(exit, line)
    }
}

/// The innermost cause of a transport failure; tonic's own words for it are only "transport error".
fn cause(status: &Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// Collects the failures of several independent pieces of work.
#[derive(Debug, Default)]
pub(crate) struct Outcome(Option<Failure>);

impl Outcome {
    /// Takes a failure in; the first one decides the exit code.
    pub(crate) fn add(&mut self, failure: Failure) {
        match &mut self.0 {
            None => self.0 = Some(failure),
            Some(first) => first.lines.extend(failure.lines),
        }
    }

    /// Takes a result in and gives what went well.
    pub(crate) fn take<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                self.add(failure);
                None
            }
        }
    }

    /// Well, or every failure.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use berth_model::Violation;

    use super::*;

    #[test]
    fn every_violation_is_a_line_with_path_problem_and_hint() {
        let status = status::invalid_argument(&[
            Violation::new("spec.tier", "\"gold\" does not exist", "did you mean \"free\"?"),
            Violation::new("spec.size", "is too large", ""),
        ]);
        let failure = Failure::of("tenant/acme", &status);
        assert_eq!(failure.exit, Exit::Invalid);
        assert_eq!(
            failure.lines,
            [
                "tenant/acme: spec.tier: \"gold\" does not exist (did you mean \"free\"?)",
                "tenant/acme: spec.size: is too large"
            ]
        );
    }

    #[test]
    fn each_answer_has_its_exit_code() {
        for (code, exit) in [
            (Code::InvalidArgument, Exit::Invalid),
            (Code::NotFound, Exit::NotFound),
            (Code::AlreadyExists, Exit::Conflict),
            (Code::Aborted, Exit::Conflict),
            (Code::FailedPrecondition, Exit::Conflict),
            (Code::Unavailable, Exit::Unavailable),
            (Code::DeadlineExceeded, Exit::Timeout),
            (Code::PermissionDenied, Exit::Denied),
            (Code::Internal, Exit::Failure),
        ] {
            assert_eq!(Failure::of("x", &Status::new(code, "no")).exit, exit, "{code:?}");
        }
    }

    #[test]
    fn what_the_hub_says_of_somebody_behind_it_is_not_taken_for_a_hub_that_is_away() {
        let away = status::reasoned(
            Code::Unavailable,
            "AGENT_AWAY",
            "the agent of cluster eu-1 is away",
            &[],
        );
        let failure = Failure::of("tenant/acme", &away);
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(failure.lines, ["tenant/acme: the agent of cluster eu-1 is away"]);
    }

    #[test]
    fn the_first_failure_decides_how_to_exit_and_all_are_told() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.take(Ok(1)), Some(1));
        outcome.add(Failure::new(Exit::NotFound, "a"));
        outcome.add(Failure::new(Exit::Conflict, "b"));
        assert_eq!(
            outcome.finish(),
            Err(Failure {
                exit: Exit::NotFound,
                lines: vec!["a".into(), "b".into()]
            })
        );
    }
}
