//! From an error of the SDK to a failure with class, code, words and the pause AWS asked for.

use std::{error::Error, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_eks::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use berth_provision::Failure;

use crate::classes::{self, NO_ANSWER, NO_CONNECTION, NO_CREDENTIALS, TIMEOUT, UNREADABLE};

/// What went wrong with `doing`, such as `create cluster x`.
pub(crate) fn of_call<E>(doing: &str, error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let pause = error.raw_response().and_then(pause);
    let (code, words) = match &error {
        SdkError::ServiceError(answer) => {
            let answer = answer.err();
            let words = answer.message().map_or_else(|| innermost(answer), str::to_owned);
            (answer.code().unwrap_or(UNREADABLE).to_owned(), words)
        }
        other => (without_answer(other).to_owned(), innermost(other)),
    };
    let failure = Failure::new(classes::of_call(&code, status), code, format!("{doing}: {words}"));
    match pause {
        Some(pause) => failure.after(pause),
        None => failure,
    }
}

/// Our name for a failure AWS said nothing about.
fn without_answer<E>(error: &SdkError<E, HttpResponse>) -> &'static str
where
    E: Error + Send + Sync + 'static,
{
    if causes(error).any(|cause| cause.downcast_ref::<CredentialsError>().is_some_and(permanent)) {
        return NO_CREDENTIALS;
    }
    match error {
        SdkError::TimeoutError(_) => TIMEOUT,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => TIMEOUT,
        SdkError::DispatchFailure(failure) if failure.is_io() => NO_ANSWER,
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => NO_CONNECTION,
        _ => UNREADABLE,
    }
}

/// Whether credentials will not come by waiting.
fn permanent(error: &CredentialsError) -> bool {
    matches!(
        error,
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
    )
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The words of the innermost cause: the outer ones only say that a call failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// `Retry-After` in seconds, which EKS's throttling sends.
fn pause(response: &HttpResponse) -> Option<Duration> {
    response
        .headers()
        .get("retry-after")?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// What keeps something from being made, or ails it, in AWS's words. The first issue is the cause; the rest follow it.
pub(crate) fn of_issues<'a>(
    object: &str,
    issues: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>,
    class: fn(&str) -> berth_model::infra::TroubleClass,
) -> Failure {
    let mut issues = issues.into_iter();
    let (code, words) = issues.next().unwrap_or((None, None));
    let code = code.unwrap_or("Unknown");
    let mut message = format!("{object}: {}", words.unwrap_or("EKS gives no reason"));
    for (code, words) in issues {
        message.push_str(&format!(
            "; {}: {}",
            code.unwrap_or("Unknown"),
            words.unwrap_or("no reason given")
        ));
    }
    Failure::new(class(code), code, message)
}

#[cfg(test)]
mod tests {
    use berth_model::infra::TroubleClass;

    use super::*;

    #[test]
    fn the_first_issue_decides_and_all_are_told() {
        let issues = [
            (Some("NodeCreationFailure"), Some("instances did not join")),
            (Some("AccessDenied"), Some("role lacks rights")),
        ];
        let failure = of_issues("node group pool-1", issues, classes::of_making);
        assert_eq!(
            (failure.class(), failure.trouble.code.as_str()),
            (TroubleClass::Replace, "NodeCreationFailure")
        );
        assert_eq!(
            failure.trouble.message,
            "node group pool-1: instances did not join; AccessDenied: role lacks rights"
        );
    }

    #[test]
    fn a_failure_without_a_reason_says_so() {
        let failure = of_issues("cluster a", [], classes::of_making);
        assert_eq!(failure.trouble.message, "cluster a: EKS gives no reason");
    }
}
