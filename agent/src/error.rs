//! Why an agent ends. Each says what to do next.

use std::path::PathBuf;

use berth_identity::{certificate::CertificateError, key::KeyError, tls::TlsError};

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig or the pod's account cannot be used.
    #[error("read how to reach the cluster: {0} (give --kubeconfig FILE, or run in a pod)")]
    Access(String),
    /// The API server refused or could not be reached.
    #[error("{operation} {object}")]
    Kubernetes {
        /// Such as `read`.
        operation: &'static str,
        /// Such as `Secret berth-system/berth-agent-identity`.
        object: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The agent's rights are missing.
    #[error(
        "not allowed to {operation} {object}; apply the agent's manifest (`berth agent manifest`), which brings its rights"
    )]
    Forbidden {
        /// Such as `read`.
        operation: &'static str,
        /// Such as `Secret berth-system/berth-agent-identity`.
        object: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// First start without a token.
    #[error(
        "this cluster has not joined yet: give --token-file and --ca-pin, as `berth token create CLUSTER` prints them"
    )]
    NoToken,
    /// The token file cannot be read.
    #[error("read the token file `{}`; write the token of `berth token create CLUSTER` into it", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The token file holds something else.
    #[error("the file `{}` holds {problem}", path.display())]
    BadToken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: berth_identity::token::InvalidToken,
    },
    /// The hub refused the token.
    #[error(
        "the hub refused the join token: {0}; a token is good once and for a short time, get another by `berth token create CLUSTER`"
    )]
    TokenRefused(String),
    /// The hub is another hub.
    #[error(
        "the hub at {hub} does not have the certificate authority {pin}; check --hub, and --ca-pin against `berth token create`'s output"
    )]
    WrongPin {
        /// Its address.
        hub: String,
        /// The pin.
        pin: String,
    },
    /// The hub answered with something that cannot be.
    #[error("the hub's answer to join: {0}")]
    BadAnswer(String),
    /// The Secret comes from another cluster.
    #[error(
        "Secret {secret} is the identity of another cluster (kube-system uid {theirs}, here {ours}): it was copied. Delete it and join with a token of this cluster's own"
    )]
    CopiedIdentity {
        /// The Secret.
        secret: String,
        /// The uid in it.
        theirs: String,
        /// The uid here.
        ours: String,
    },
    /// The Secret was damaged.
    #[error("Secret {secret} is damaged: {problem}. Restore it, or delete it and join with a new token")]
    DamagedIdentity {
        /// The Secret.
        secret: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It could not be renewed in time, and the hub gives no other for its key.
    #[error(
        "the certificate of cluster {cluster} expired at {at}, and there is no other: {problem}; start with --token-file and --ca-pin of a new `berth token create {cluster} --rejoin`"
    )]
    Expired {
        /// The cluster.
        cluster: String,
        /// When.
        at: berth_model::Timestamp,
        /// Why the hub gives no other.
        problem: String,
    },
    /// Another agent acts.
    #[error("another agent ({0}) acts for this cluster; this one ends")]
    LeaseLost(String),
    /// The operators' listener.
    #[error("listen on {address} for operators")]
    Ops {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The engine ended by itself.
    #[error("the apply engine ended: {0}")]
    Engine(String),
}

impl Error {
    /// Sorts an API server's refusal: missing rights are told apart, because their cure is known.
    pub(crate) fn kubernetes(
        operation: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> Self {
        let object = object.into();
        move |source| {
            let source = Box::new(source);
            if status_code(&source) == Some(403) {
                Self::Forbidden {
                    operation,
                    object,
                    source,
                }
            } else {
                Self::Kubernetes {
                    operation,
                    object,
                    source,
                }
            }
        }
    }

    /// Whether another try may help.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Kubernetes { source, .. } => {
                status_code(source).is_none_or(|code| matches!(code, 409 | 429 | 500..))
            }
            _ => false,
        }
    }

    /// This error and everything beneath it in one line.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

pub(crate) fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
