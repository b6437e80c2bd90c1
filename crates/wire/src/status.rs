//! gRPC errors with `google.rpc` details: every violation of a request as `BadRequest`, and the reason as `ErrorInfo` (AIP-193).

use std::{collections::HashMap, time::Duration};

use berth_model::Violation;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every reason.
pub const DOMAIN: &str = "berth.dev";

/// Between a problem and its hint in a field violation's description, which has one text for both.
const HINT: &str = "; hint: ";

/// INVALID_ARGUMENT with every violation.
#[must_use]
pub fn invalid_argument(violations: &[Violation]) -> Status {
    let message = match violations {
        [] => "the request is not valid".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    };
    let fields: Vec<FieldViolation> = violations
        .iter()
        .map(|violation| {
            let description = if violation.hint.is_empty() {
                violation.problem.clone()
            } else {
                format!("{}{HINT}{}", violation.problem, violation.hint)
            };
            FieldViolation::new(violation.path.clone(), description)
        })
        .collect();
    let mut details = ErrorDetails::with_bad_request(fields);
    details.set_error_info("INVALID", DOMAIN, HashMap::new());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// An error with a reason (UPPER_SNAKE_CASE) that machines can tell, and what it speaks of.
#[must_use]
pub fn reasoned(code: Code, reason: &str, message: impl Into<String>, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, DOMAIN, metadata),
    )
}

/// The violations in an error; none when it has none.
#[must_use]
pub fn violations(status: &Status) -> Vec<Violation> {
    let Some(bad) = status.get_details_bad_request() else {
        return Vec::new();
    };
    bad.field_violations
        .into_iter()
        .map(|field| match field.description.split_once(HINT) {
            Some((problem, hint)) => Violation::new(field.field, problem, hint),
            None => Violation::new(field.field, field.description, ""),
        })
        .collect()
}

/// The reason in an error.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)
        .map(|info| info.reason)
}

/// When to ask again, as the error says (`google.rpc.RetryInfo`).
#[must_use]
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// What an error with a reason speaks of, by its name.
#[must_use]
pub fn detail(status: &Status, name: &str) -> Option<String> {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)
        .and_then(|mut info| info.metadata.remove(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_survive_the_way_through_grpc() {
        let sent = [
            Violation::new("spec.tier", "\"gold\" does not exist", "did you mean \"free\"?"),
            Violation::new("spec.size", "is required", ""),
        ];
        let status = invalid_argument(&sent);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "spec.tier: \"gold\" does not exist (did you mean \"free\"?), and 1 more"
        );
        assert_eq!(violations(&status), sent);
        assert_eq!(reason(&status).as_deref(), Some("INVALID"));
    }

    #[test]
    fn a_reason_survives_and_a_foreign_one_is_not_ours() {
        let ours = reasoned(
            Code::Aborted,
            "STALE_ETAG",
            "changed meanwhile",
            &[("name", "tenants/acme")],
        );
        assert_eq!(reason(&ours).as_deref(), Some("STALE_ETAG"));
        let foreign = ErrorDetails::with_error_info("QUOTA", "googleapis.com", HashMap::new());
        assert_eq!(
            reason(&Status::with_error_details(Code::Aborted, "no", foreign)),
            None
        );
        assert!(violations(&Status::unavailable("gone")).is_empty());
    }
}
