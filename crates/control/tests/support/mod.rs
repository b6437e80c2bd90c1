//! What several tests share.

use berth_control::registry::Joining;

/// An agent with that key; every token is used in a Kubernetes cluster of its own.
pub(crate) fn by<'a>(token: &'a str, key_sha256: &'a str) -> Joining<'a> {
    Joining {
        token,
        key_sha256,
        kubernetes_uid: token.split('.').next().unwrap_or_default(),
        remote: None,
    }
}
