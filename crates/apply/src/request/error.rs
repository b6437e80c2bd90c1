//! Why the API server did not do what it was asked.

use std::time::Duration;

use kube::core::{Status, response::StatusDetails};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The API server said no.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It could not be reached, or broke off.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// What was to be sent or what came back makes no sense.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// No server is taken at its word for longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

impl RequestError {
    /// From an answer that is no success: what it says in its body, or else in its head. A server that is overrun, or what stands
    /// before it, has no `Status` to send.
    pub(crate) fn refused(head: &http::response::Parts, body: &[u8]) -> Self {
        let mut status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
            let reason = head.status.canonical_reason().unwrap_or("no reason given");
            Status::failure(reason, "").with_code(head.status.as_u16())
        });
        // A body that contradicts the head is somebody else's.
        status.code = head.status.as_u16();
        let asked = head
            .headers
            .get(http::header::RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        if let Some(seconds) = asked {
            let details = status.details.get_or_insert_with(|| StatusDetails {
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                causes: Vec::new(),
                retry_after_seconds: 0,
            });
            details.retry_after_seconds = details.retry_after_seconds.max(seconds);
        }
        Self::Refused(status.boxed())
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            _ => None,
        }
    }

    /// One word in CamelCase, as in conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            _ if self.is_terminating() => "NamespaceTerminating",
            Self::Refused(status) => match status.code {
                400 | 413 | 415 | 422 => "Invalid",
                401 => "Unauthorized",
                403 => "Forbidden",
                404 => "NotFound",
                409 => "Conflict",
                _ => "ServerBusy",
            },
            Self::TimedOut(_) => "TimedOut",
            Self::Unreachable(_) => "Unreachable",
            Self::Malformed(_) => "Malformed",
        }
    }

    /// Whether the very same request may work in a moment.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(status) => matches!(status.code, 429 | 500 | 502 | 503 | 504),
            Self::TimedOut(_) | Self::Unreachable(_) => true,
            Self::Malformed(_) => false,
        }
    }

    /// When the server wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status) => {
                let seconds = status
                    .details
                    .as_ref()
                    .map_or(0, |details| details.retry_after_seconds);
                (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)).min(LONGEST_RETRY_AFTER))
            }
            _ => None,
        }
    }

    /// 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// 403, for whatever reason.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// 410: a watch's past is gone.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.code() == Some(410)
    }

    /// 403 because the namespace is on its way out.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        let Self::Refused(status) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the server said anything at all that it says only when it works.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.code().is_some_and(|code| code < 500)
    }
}

impl From<kube::Error> for RequestError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            other => Self::Unreachable(other.to_string()),
        }
    }
}
