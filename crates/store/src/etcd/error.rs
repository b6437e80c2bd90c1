//! etcd's answers as the seam's errors.
//!
//! etcd tells several errors of one gRPC code apart by their text alone: the texts here are the published ones of its
//! `rpctypes`, which its own client compares the same way.

use etcd_client::Error;
use tonic::{Code, Status};

use crate::error::StoreError;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
const AUTH_FAILED: &str = "etcdserver: authentication failed, invalid user ID or password";
const AUTH_OFF: &str = "etcdserver: authentication is not enabled";
const AUTH_OLD: &str = "etcdserver: revision of auth store is old";
const USER_EMPTY: &str = "etcdserver: user name is empty";
const TOO_LARGE: &str = "etcdserver: request is too large";

/// What etcd's answer means for who asked the store.
pub(super) fn meaning(operation: &'static str, error: Error) -> StoreError {
    match error {
        Error::GRpcStatus(status) => of_status(operation, &status),
        Error::InvalidArgs(problem) => StoreError::Invalid { problem },
        other => away(operation, other.to_string()),
    }
}

pub(super) fn away(operation: &'static str, problem: impl Into<String>) -> StoreError {
    StoreError::Unavailable {
        operation,
        problem: problem.into(),
    }
}

fn of_status(operation: &'static str, status: &Status) -> StoreError {
    let problem = status.message().to_owned();
    match (status.code(), status.message()) {
        (Code::ResourceExhausted, NO_SPACE) => StoreError::Full {
            problem: "etcd has reached its quota; make room: `etcdctl compact REVISION`, `etcdctl defrag --cluster`, \
                      then `etcdctl alarm disarm`, or raise --quota-backend-bytes"
                .to_owned(),
        },
        (Code::InvalidArgument, TOO_LARGE) => StoreError::Invalid {
            problem: "it is larger than etcd's --max-request-bytes".to_owned(),
        },
        (Code::PermissionDenied | Code::Unauthenticated, _)
        | (Code::InvalidArgument, AUTH_FAILED | USER_EMPTY)
        | (Code::FailedPrecondition, AUTH_OFF) => StoreError::Denied { operation, problem },
        (Code::InvalidArgument, text) if text != AUTH_OLD => StoreError::Invalid { problem },
        _ => away(operation, explained(status)),
    }
}

/// The status with what is behind it: tonic says "transport error" and hides the reason one level deeper.
fn explained(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Whether it is not etcd's answer but the lack of one.
pub(super) fn is_no_connection(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if std::error::Error::source(status).is_some())
}

/// Whether another member may do better.
pub(super) fn is_away(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::Aborted
        ),
        Error::InvalidArgs(_) | Error::InvalidUri(_) => false,
        _ => true,
    }
}

/// Whether the session is refused because users were changed since it began; nothing was done, and a new one will do.
pub(super) fn is_old_session(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message() == AUTH_OLD)
}

/// Whether a revision is too old or not there yet.
pub(super) fn is_out_of_history(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.code() == Code::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, text: &str) -> StoreError {
        meaning("write", Error::GRpcStatus(Status::new(code, text)))
    }

    #[test]
    fn answers_of_one_code_are_told_apart() {
        assert!(matches!(
            of(Code::ResourceExhausted, NO_SPACE),
            StoreError::Full { .. }
        ));
        let busy = of(Code::ResourceExhausted, "etcdserver: too many requests");
        assert!(matches!(busy, StoreError::Unavailable { .. }));
        assert!(matches!(
            of(Code::InvalidArgument, TOO_LARGE),
            StoreError::Invalid { .. }
        ));
        assert!(matches!(
            of(Code::InvalidArgument, AUTH_FAILED),
            StoreError::Denied { .. }
        ));
        assert!(of(Code::InvalidArgument, AUTH_OLD).retryable());
        assert!(of(Code::Unavailable, "etcdserver: no leader").retryable());
        assert!(!of(Code::PermissionDenied, "etcdserver: permission denied").retryable());
    }
}
