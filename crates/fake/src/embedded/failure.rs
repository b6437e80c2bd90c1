//! Refusals as the API says them: `Status` objects with the code, reason and causes a kube-apiserver would use. And the
//! error of starting or serving a cluster.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::kinds::Kind;

/// Why an embedded cluster could not be started or served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the data directory could not be read or written.
    #[error("{operation} {path}")]
    File {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of the data directory holds something else than it should.
    #[error("read {path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cluster's certificates could not be made.
    #[error("make certificates of cluster `{name}`")]
    Certificate {
        /// The cluster.
        name: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The listener could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The wanted address.
        address: std::net::SocketAddr,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

/// One cause of a refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn invalid(field: impl Into<String>, value: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
            field: field.into(),
        }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl Failure {
    fn about(code: u16, reason: &'static str, kind: &Kind, name: &str, message: String) -> Self {
        let mut details = json!({"kind": kind.plural});
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !kind.group.is_empty() {
            details["group"] = kind.group.into();
        }
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::about(
            404,
            "NotFound",
            kind,
            name,
            format!("{} \"{name}\" not found", kind.qualified()),
        )
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::about(
            409,
            "AlreadyExists",
            kind,
            name,
            format!("{} \"{name}\" already exists", kind.qualified()),
        )
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            kind.qualified()
        );
        Self::about(409, "Conflict", kind, name, message)
    }

    pub(crate) fn stale(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let list: Vec<String> = causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect();
        let text = if let [only] = list.as_slice() {
            only.clone()
        } else {
            format!("[{}]", list.join(", "))
        };
        let qualified = if kind.group.is_empty() {
            kind.kind.to_owned()
        } else {
            format!("{}.{}", kind.kind, kind.group)
        };
        let message = format!("{qualified} \"{name}\" is invalid: {text}");
        let mut failure = Self::about(422, "Invalid", kind, name, message);
        failure.details["kind"] = kind.kind.into();
        failure.with_causes(causes)
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        Self::about(403, "Forbidden", kind, name, message)
    }

    pub(crate) fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        Self::forbidden(kind, name, &why).with_causes(&[Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        }])
    }

    pub(crate) fn with_causes(mut self, causes: &[Cause]) -> Self {
        if self.details.is_null() {
            self.details = json!({});
        }
        self.details["causes"] = causes.iter().map(Cause::json).collect();
        self
    }

    pub(crate) fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        Self::plain(409, "Conflict", message).with_causes(causes)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// A refusal with a code and no reason, as the apiserver gives errors that are not its own.
    pub(crate) fn unnamed(code: u16, message: impl Into<String>) -> Self {
        Self::plain(code, "", message)
    }

    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        Self::plain(
            410,
            "Expired",
            format!("too old resource version: {asked} ({oldest})"),
        )
    }

    pub(crate) fn no_such_path() -> Self {
        let mut failure = Self::plain(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = json!({});
        failure
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut failure = Self::plain(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        failure.details = json!({});
        failure
    }

    pub(crate) fn unauthorized() -> Self {
        Self::plain(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large() -> Self {
        Self::plain(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728",
        )
    }

    pub(crate) fn unavailable() -> Self {
        Self::plain(503, "ServiceUnavailable", "the cluster was shut down")
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
