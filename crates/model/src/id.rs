//! Names and counters. Every identifier is checked when it is made, so that none can edit a URL path or a label.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} {problem}")]
pub struct InvalidId {
    /// What it should have been, such as `tenant id`.
    pub kind: &'static str,
    /// What it was.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Whether `value` is a DNS label as RFC 1123 has it: 1 to 63 of `a-z 0-9 -`, alphanumeric at both ends.
#[must_use]
pub fn is_dns_label(value: &str) -> bool {
    dns_label_problem(value, 63).is_none()
}

/// Whether `value` is a DNS subdomain as RFC 1123 has it: labels joined by dots, 253 characters at most.
#[must_use]
pub fn is_dns_subdomain(value: &str) -> bool {
    value.len() <= 253
        && !value.is_empty()
        && value
            .split('.')
            .all(|part| dns_label_problem(part, 253).is_none())
}

fn dns_label_problem(value: &str, longest: usize) -> Option<String> {
    if value.is_empty() {
        return Some("is empty".into());
    }
    if value.len() > longest {
        return Some(format!("is longer than {longest} characters"));
    }
    if let Some(wrong) = value.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Some(format!("has {wrong:?}; use lower-case letters, digits and '-'"));
    }
    if value.starts_with('-') || value.ends_with('-') {
        return Some("must start and end with a letter or a digit".into());
    }
    None
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `value` and takes it.
            ///
            /// # Errors
            /// [`InvalidId`] says what is wrong with it.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                let check: fn(&str) -> Option<String> = $check;
                match check(&value) {
                    None => Ok(Self(value)),
                    Some(problem) => Err(InvalidId { kind: $kind, value, problem }),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

fn tenant_id_problem(value: &str) -> Option<String> {
    dns_label_problem(value, 40).or_else(|| {
        value
            .contains("--")
            .then(|| "contains \"--\", which separates a tenant from its extra namespaces".into())
    })
}

/// The kinds of subjects, each before a colon.
const SUBJECTS: [&str; 5] = ["user", "group", "apikey", "serviceaccount", "certificate"];

fn subject_problem(value: &str) -> Option<String> {
    let known = value.split_once(':').filter(|(kind, _)| SUBJECTS.contains(kind));
    let Some((kind, name)) = known else {
        return Some(format!(
            "names nobody; write one of {}:NAME, such as user:alice@example.com",
            SUBJECTS.join(":NAME, ")
        ));
    };
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Some("must have a name without spaces around it or control characters".into());
    }
    if value.len() > 320 {
        return Some("is longer than 320 bytes".into());
    }
    if kind == "serviceaccount" {
        let parts: Vec<&str> = name.split('/').collect();
        let fine = parts.len() == 3 && parts.iter().all(|part| is_dns_subdomain(part));
        return (!fine).then(|| "is not of the form serviceaccount:CLUSTER/NAMESPACE/NAME".into());
    }
    None
}

names! {
    /// Who may be given a role, as callers are known: `user:NAME`, `group:NAME`, `apikey:NAME`, `certificate:NAME` or
    /// `serviceaccount:CLUSTER/NAMESPACE/NAME`.
    Subject: "subject", subject_problem;
    /// A role binding's name: a DNS label of at most 63 characters.
    RoleBindingName: "role binding name", |v| dns_label_problem(v, 63);
    /// A tenant's id: a DNS label of at most 40 characters without `--`.
    TenantId: "tenant id", tenant_id_problem;
    /// A tier's name: a DNS label of at most 40 characters.
    TierName: "tier name", |v| dns_label_problem(v, 40);
    /// An organisation's name: a DNS label of at most 63 characters.
    OrganisationName: "organisation name", |v| dns_label_problem(v, 63);
    /// A bundle's name: a DNS label of at most 63 characters.
    BundleName: "bundle name", |v| dns_label_problem(v, 63);
    /// A bundle's version: 1 to 63 of letters, digits, `.`, `-`, `_`, alphanumeric first.
    BundleVersion: "bundle version", |v| {
        let fine = !v.is_empty()
            && v.len() <= 63
            && v.starts_with(|c: char| c.is_ascii_alphanumeric())
            && v.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        (!fine).then(|| "must be 1 to 63 letters, digits, '.', '-' or '_', a letter or digit first".into())
    };
    /// A cluster's name in the fleet: a DNS label of at most 63 characters.
    ClusterName: "cluster name", |v| dns_label_problem(v, 63);
    /// A node pool's name: a DNS label of at most 63 characters.
    PoolName: "node pool name", |v| dns_label_problem(v, 63);
    /// What tells two objects of the same name apart: 1 to 64 of lower-case letters, digits and `-`; made by whoever creates the object.
    Uid: "uid", |v| dns_label_problem(v, 64);
    /// Which fleet (hub with its store) something in a cloud or cluster belongs to.
    FleetId: "fleet id", |v| dns_label_problem(v, 64);
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

counters! {
    /// Raised by one whenever a desired state changes; 1 is the first.
    Generation;
    /// A version of the store: every write transaction raises it.
    Revision;
    /// The leader's epoch: fences every write and every message. 1 is the first.
    Term;
}

/// How far a store had come: its leader's term and its revision. A later term is further than any revision of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePoint {
    /// The term.
    pub term: Term,
    /// The revision.
    pub revision: Revision,
    /// Tells the process that says so from every other one.
    pub incarnation: u64,
    /// From which term on an operator has last let a hub take command.
    pub command_term: Term,
    /// How many transactions the store has taken, where it counts them apart from its revisions; else 0.
    pub writes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_id_is_a_short_dns_label_without_a_double_dash() {
        for fine in ["a", "acme-corp", "abc-123", &"x".repeat(40)] {
            assert!(TenantId::new(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "-a", "a-", "a--b", "A", "a.b", "a/b", "ä", &"x".repeat(41)] {
            assert!(TenantId::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_identifier_can_edit_a_url_path() {
        for text in ["../x", "a/b", "a%2fb", "a?b", "a#b", "a b", ""] {
            assert!(ClusterName::new(text).is_err(), "{text}");
            assert!(BundleVersion::new(text).is_err(), "{text}");
            assert!(Uid::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_subject_is_a_known_kind_and_a_name() {
        for fine in [
            "user:alice@example.com",
            "group:platform team",
            "apikey:ci",
            "certificate:admin",
            "serviceaccount:eu-1/argocd/deployer",
            "user:https://issuer.example#alice",
        ] {
            assert!(Subject::new(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "alice",
            "user:",
            ":alice",
            "User:alice",
            "user: alice",
            "user:a\u{1b}[31m",
            "serviceaccount:eu-1/argocd",
            "serviceaccount:eu-1/argo cd/x",
            &format!("user:{}", "x".repeat(400)),
        ] {
            assert!(Subject::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn deserializing_checks_too() {
        assert!(serde_json::from_str::<TenantId>("\"a--b\"").is_err());
    }
}
