//! A token of a `ServiceAccount` that somebody shows, and whose it is: only the account's own cluster can say.

use std::fmt;

use zeroize::Zeroizing;

use crate::id::is_dns_label;

/// A token that is to be looked at. Wiped when dropped, and shown in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenToReview {
    token: Zeroizing<String>,
    /// What it must be for.
    pub audience: String,
}

impl TokenToReview {
    /// A token as somebody showed it.
    #[must_use]
    pub fn new(token: String, audience: String) -> Self {
        Self {
            token: Zeroizing::new(token),
            audience,
        }
    }

    /// The token, for the API server of its cluster. It goes into no log, no record and no error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for TokenToReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenToReview([redacted], for {:?})", self.audience)
    }
}

/// A `ServiceAccount`, as its cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewedAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl ReviewedAccount {
    /// Whether its names are such as Kubernetes gives: a namespace is a label, an account a subdomain.
    #[must_use]
    pub fn well_formed(&self) -> bool {
        is_dns_label(&self.namespace)
            && !self.name.is_empty()
            && self.name.len() <= 253
            && self.name.split('.').all(is_dns_label)
            && self.uid.len() <= 128
            && !self.uid.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_itself_in_no_debug_output() {
        let review = TokenToReview::new("eyJ.very.secret".into(), "f.berth.dev".into());
        assert_eq!(
            format!("{review:?}"),
            "TokenToReview([redacted], for \"f.berth.dev\")"
        );
    }

    #[test]
    fn only_names_that_kubernetes_gives_are_well_formed() {
        let account = |namespace: &str, name: &str| ReviewedAccount {
            namespace: namespace.into(),
            name: name.into(),
            uid: "u1".into(),
        };
        for (namespace, name) in [("argocd", "deployer"), ("a", "b.c-d")] {
            assert!(account(namespace, name).well_formed());
        }
        for (namespace, name) in [
            ("", "a"),
            ("a", ""),
            ("a/b", "c"),
            ("a", "b/c"),
            ("a.b", "c"),
            ("A", "c"),
            ("a", "b..c"),
            ("a", "b\n"),
        ] {
            assert!(!account(namespace, name).well_formed(), "{namespace} {name}");
        }
    }
}
