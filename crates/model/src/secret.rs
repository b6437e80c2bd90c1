//! Secrets are told by where they are, never by what they are: a key of a store that External Secrets reads, or a Secret in the
//! tenant's namespace. And what looks like a secret itself is found, wherever it was pasted.

use std::{fmt, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Violation,
    id::{TenantId, is_dns_subdomain},
};

/// What stands for the tenant in [`SecretStore::key_prefix`].
pub const TENANT: &str = "{tenant}";

/// A store that a tier's tenants may have secrets from, as External Secrets has it (external-secrets.io).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStore {
    /// Its name.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub kind: SecretStoreKind,
    /// What goes before every key, with `{tenant}` for the tenant's id: what the tenant may reach.
    #[serde(default)]
    pub key_prefix: String,
}

/// Whose a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretStoreKind {
    /// The cluster's, shared by its tenants.
    #[default]
    ClusterSecretStore,
    /// The tenant's, in its main namespace.
    SecretStore,
}

impl SecretStoreKind {
    /// As in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterSecretStore => "ClusterSecretStore",
            Self::SecretStore => "SecretStore",
        }
    }
}

impl SecretStore {
    /// What is wrong with it, if anything: who shares a store has to be kept to its own keys.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if !is_dns_subdomain(&self.name) {
            return Some(format!("{:?} is no name of a store", self.name));
        }
        if !self.key_prefix.replace(TENANT, "t").bytes().all(is_of_a_key) || climbs(&self.key_prefix) {
            return Some(
                "keyPrefix may hold letters, digits, '/', '_', '.', '-' and {tenant}, and no '..'".into(),
            );
        }
        if self.kind == SecretStoreKind::ClusterSecretStore && !self.key_prefix.contains("{tenant}/") {
            return Some(
                "keyPrefix must contain \"{tenant}/\": without it, tenants that share the store read each other's secrets".into(),
            );
        }
        None
    }

    /// The key in the store of what this tenant calls `key`.
    #[must_use]
    pub fn key_of(&self, tenant: &TenantId, key: &str) -> String {
        self.key_prefix.replace(TENANT, tenant.as_str()) + key
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In a store; External Secrets makes a Secret of it.
    External {
        /// The store's name.
        store: String,
        /// Its key there, below the tenant's prefix.
        key: String,
        /// One property of it; empty for the whole.
        property: String,
    },
    /// In a Secret that is in the tenant's main namespace already.
    Existing {
        /// The Secret's name.
        name: String,
        /// The key in it.
        key: String,
    },
}

/// Why something is no [`SecretRef`]. It never repeats what was given: that may be the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretRef {
    /// A plain value.
    #[error(
        "is a value; secrets are given by reference and never by value, so that no store, log or backup of the hub holds them"
    )]
    Value,
    /// Not one of the two forms.
    #[error("is not exactly one of externalSecret {{store, key, property}} and existingSecret {{name, key}}")]
    Form,
    /// A part is wrong.
    #[error("{0} is missing or not well formed")]
    Part(&'static str),
}

/// What to write instead of a secret.
pub const HINT: &str = "write {externalSecret: {store: STORE, key: KEY, property: PROPERTY}}, or {existingSecret: {name: NAME, key: KEY}} for a Secret in the tenant's namespace";

impl SecretRef {
    /// Reads `{externalSecret: {store, key, property}}` or `{existingSecret: {name, key}}`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(value: &Value) -> Result<Self, InvalidSecretRef> {
        let Some(fields) = value.as_object() else {
            return Err(InvalidSecretRef::Value);
        };
        let (Some((form, parts)), 1) = (fields.iter().next(), fields.len()) else {
            return Err(InvalidSecretRef::Form);
        };
        let known: &[&str] = match form.as_str() {
            "externalSecret" => &["store", "key", "property"],
            "existingSecret" => &["name", "key"],
            _ => return Err(InvalidSecretRef::Form),
        };
        let parts = parts.as_object().ok_or(InvalidSecretRef::Form)?;
        if parts.keys().any(|part| !known.contains(&part.as_str())) {
            return Err(InvalidSecretRef::Form);
        }
        let part = |name: &'static str, good: fn(&str) -> bool| {
            let text = parts.get(name).and_then(Value::as_str).unwrap_or_default();
            if good(text) {
                Ok(text.to_owned())
            } else {
                Err(InvalidSecretRef::Part(name))
            }
        };
        Ok(if form == "externalSecret" {
            Self::External {
                store: part("store", is_dns_subdomain)?,
                key: part("key", is_key)?,
                property: part("property", |text| text.is_empty() || is_key(text))?,
            }
        } else {
            Self::Existing {
                name: part("name", is_dns_subdomain)?,
                key: part("key", is_secret_key)?,
            }
        })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External { store, key, .. } => write!(f, "key {key} of store {store}"),
            Self::Existing { name, key } => write!(f, "key {key} of Secret {name}"),
        }
    }
}

const fn is_of_a_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'.' | b'-')
}

/// Whether a path may leave what it lies in.
fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == ".." || part == ".")
}

/// A key below a prefix: nothing that leads out of it.
fn is_key(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text.bytes().all(is_of_a_key)
        && !text.starts_with('/')
        && !climbs(text)
}

/// A key of a Secret's data.
fn is_secret_key(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| is_of_a_key(byte) && byte != b'/')
        && !climbs(text)
}

/// What a text that looks like a secret looks like.
#[must_use]
pub fn looks_like(text: &str) -> Option<&'static str> {
    FORMS.iter().find(|form| (form.found)(text)).map(|form| form.what)
}

struct Form {
    what: &'static str,
    found: fn(&str) -> bool,
}

static FORMS: LazyLock<[Form; 6]> = LazyLock::new(|| {
    [
        Form {
            what: "a private key",
            found: |text| text.contains("PRIVATE KEY-----") || text.contains("AGE-SECRET-KEY-1"),
        },
        Form {
            what: "an AWS access key",
            found: |text| {
                ["AKIA", "ASIA"].iter().any(|prefix| {
                    follows(text, prefix, 16, |byte| {
                        byte.is_ascii_uppercase() || byte.is_ascii_digit()
                    })
                })
            },
        },
        Form {
            what: "a JSON web token",
            found: is_web_token,
        },
        Form {
            what: "a token of GitHub",
            found: |text| {
                ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_"]
                    .iter()
                    .any(|prefix| {
                        follows(text, prefix, 22, |byte| {
                            byte.is_ascii_alphanumeric() || byte == b'_'
                        })
                    })
            },
        },
        Form {
            what: "a token of Slack",
            found: |text| {
                ["xoxb-", "xoxp-", "xoxa-", "xoxr-"].iter().any(|prefix| {
                    follows(text, prefix, 20, |byte| {
                        byte.is_ascii_alphanumeric() || byte == b'-'
                    })
                })
            },
        },
        Form {
            what: "a key of Berth",
            found: |text| {
                follows(text, "berth_", 40, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
                })
            },
        },
    ]
});

/// Whether somewhere in `text` at least `count` such bytes follow `prefix`, which no letter or digit precedes.
fn follows(text: &str, prefix: &str, count: usize, of: fn(u8) -> bool) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        let (before, after) = (text[..at].bytes().next_back(), &text[at + prefix.len()..]);
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && after.bytes().take_while(|byte| of(*byte)).count() >= count
    })
}

/// Three parts of base64url, the first of which is the head of a JSON object.
fn is_web_token(text: &str) -> bool {
    let of_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.match_indices("eyJ").any(|(at, _)| {
        let mut parts = text[at..].splitn(3, '.');
        let (head, body, seal) = (parts.next(), parts.next(), parts.next());
        let whole = |part: Option<&str>| part.is_some_and(|part| part.len() >= 8 && part.bytes().all(of_one));
        whole(head)
            && body.is_some_and(|body| body.starts_with("eyJ"))
            && whole(body)
            && seal.is_some_and(|seal| seal.bytes().take_while(|byte| of_one(*byte)).count() >= 16)
    })
}

/// Every place in `value` that holds what looks like a secret, with its path. Nothing of it is repeated.
#[must_use]
pub fn pasted(path: &str, value: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    walk(path, value, &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<Violation>) {
    let fault = |what: &str| {
        let problem = format!("holds what looks like {what}; secrets are given by reference, never by value");
        Violation::new(
            path,
            problem,
            "make a bundle parameter of type secret, and give it a reference",
        )
    };
    match value {
        Value::String(text) => found.extend(looks_like(text).map(fault)),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(&format!("{path}[{at}]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                if let Some(what) = looks_like(key) {
                    // A path with the key in it would repeat it.
                    found.push(fault(what));
                    walk(path, field, found);
                } else {
                    walk(&format!("{path}.{key}"), field, found);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_one_of_two_forms_and_no_value() {
        let external =
            json!({"externalSecret": {"store": "vault", "key": "db/main", "property": "password"}});
        let existing = json!({"existingSecret": {"name": "db", "key": "password"}});
        assert!(matches!(
            SecretRef::parse(&external),
            Ok(SecretRef::External { .. })
        ));
        assert!(matches!(
            SecretRef::parse(&existing),
            Ok(SecretRef::Existing { .. })
        ));
        for wrong in [
            json!("hunter2"),
            json!(7),
            json!({}),
            json!({"value": "hunter2"}),
            json!({"existingSecret": {"name": "db", "key": "password", "value": "hunter2"}}),
            json!({"existingSecret": {"name": "db", "key": "p"}, "externalSecret": {}}),
            json!({"existingSecret": {"name": "../x", "key": "p"}}),
            json!({"externalSecret": {"store": "vault"}}),
        ] {
            let error = SecretRef::parse(&wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn no_key_leads_out_of_the_tenants_prefix() {
        for key in [
            "../b/db",
            "a/../../b",
            "/b",
            "",
            "a b",
            "a\u{1b}",
            "./a",
            "a/..",
            "{tenant}",
        ] {
            let value = json!({"externalSecret": {"store": "vault", "key": key}});
            assert!(SecretRef::parse(&value).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_shared_store_keeps_each_tenant_to_its_own_keys() {
        let store = |kind, prefix: &str| SecretStore {
            name: "vault".into(),
            kind,
            key_prefix: prefix.into(),
        };
        let shared = SecretStoreKind::ClusterSecretStore;
        for wrong in [
            "",
            "tenants/",
            "tenants/{tenant}",
            "{tenant}-",
            "../{tenant}/",
            "a b/{tenant}/",
        ] {
            assert!(store(shared, wrong).problem().is_some(), "{wrong:?}");
        }
        let good = store(shared, "tenants/{tenant}/");
        assert_eq!(good.problem(), None);
        assert_eq!(
            good.key_of(&TenantId::new("acme").unwrap(), "db"),
            "tenants/acme/db"
        );
        assert_eq!(store(SecretStoreKind::SecretStore, "").problem(), None);
    }

    #[test]
    fn secrets_are_known_by_their_form_and_ordinary_texts_are_not_taken_for_them() {
        for secret in [
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "-----BEGIN PRIVATE KEY-----",
            "id=AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "xoxb-123456789012-abcdefghijkl",
        ] {
            assert!(looks_like(secret).is_some(), "{secret}");
        }
        for plain in [
            "registry.example.com/team/app@sha256:4bf0a7b2f3f8c1d5e6a79b8c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e",
            "-----BEGIN CERTIFICATE-----",
            "AKIA",
            "my-berth_test",
            "eyJ is how they begin",
            "postgres://db.example.com:5432/main",
            "arn:aws:iam::123456789012:role/berth",
        ] {
            assert_eq!(looks_like(plain), None, "{plain}");
        }
    }

    #[test]
    fn what_was_pasted_is_found_wherever_it_is_and_not_repeated() {
        let secret = "AKIAIOSFODNN7EXAMPLE";
        let found = pasted(
            "spec",
            &json!({"labels": {"a": "b"}, "x": [{"y": secret}], secret: 1}),
        );
        let paths: Vec<&str> = found.iter().map(|violation| violation.path.as_str()).collect();
        assert_eq!(paths, ["spec", "spec.x[0].y"]);
        assert!(!format!("{found:?}").contains(secret));
    }
}
