//! The kinds that assignments may hold, how one object is named and addressed, and what is checked before it is.
//!
//! The set is closed: it is what Berth renders and what bundles may hold, so nothing has to be discovered and no name
//! reaches a URL unchecked.

mod check;
mod kind;

use std::fmt;

use berth_model::{
    TenantId,
    assignment::{AppliedAs, ApplyPhase},
    id::{is_dns_label, is_dns_subdomain},
    label,
};
use serde::{Deserialize, Serialize};

pub use check::check;
pub use kind::Kind;
pub(crate) use kind::Look;

/// One object of a tenant: kind, namespace, name. Made only with checked names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Spelled", into = "Spelled")]
pub struct ObjectRef {
    kind: Kind,
    namespace: Option<Box<str>>,
    name: Box<str>,
}

/// How an [`ObjectRef`] is written down.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spelled {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

impl ObjectRef {
    /// Names an object, after checking scope and names.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn new(kind: Kind, namespace: Option<&str>, name: &str) -> Result<Self, String> {
        match (kind.namespaced(), namespace) {
            (true, None) => return Err(format!("{kind} {name:?} has no namespace")),
            (false, Some(_)) => {
                return Err(format!("{kind} {name:?} is cluster-scoped and names a namespace"));
            }
            (true, Some(namespace)) if !is_dns_label(namespace) => {
                return Err(format!(
                    "namespace {namespace:?} of {kind} {name:?} is no DNS label"
                ));
            }
            _ => {}
        }
        let fine = if kind == Kind::Namespace {
            is_dns_label(name)
        } else {
            is_dns_subdomain(name)
        };
        if !fine {
            return Err(format!("name {name:?} of a {kind} is no DNS name"));
        }
        Ok(Self {
            kind,
            namespace: namespace.map(Into::into),
            name: name.into(),
        })
    }

    /// A namespace.
    ///
    /// # Errors
    /// It is no DNS label.
    pub fn namespace_called(name: &str) -> Result<Self, String> {
        Self::new(Kind::Namespace, None, name)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The namespace of a namespaced object.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it is in, or that it is.
    #[must_use]
    pub fn home(&self) -> &str {
        self.namespace.as_deref().unwrap_or(&self.name)
    }

    /// Its path on the API server.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.collection(self.namespace()), self.name)
    }
}

impl fmt::Display for ObjectRef {
    /// `NetworkPolicy t-acme/default-deny`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl TryFrom<Spelled> for ObjectRef {
    type Error = String;
    fn try_from(spelled: Spelled) -> Result<Self, String> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == spelled.kind);
        let kind = kind.ok_or_else(|| format!("kind {:?} is not known", spelled.kind))?;
        Self::new(kind, spelled.namespace.as_deref(), &spelled.name)
    }
}

impl From<ObjectRef> for Spelled {
    fn from(object: ObjectRef) -> Self {
        Self {
            kind: object.kind.name().to_owned(),
            namespace: object.namespace.map(Into::into),
            name: object.name.into(),
        }
    }
}

/// One object as it is applied: checked, and kept as the bytes that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub object: ObjectRef,
    /// When.
    pub phase: ApplyPhase,
    /// By whom.
    pub applied_as: AppliedAs,
    /// JSON.
    pub body: Box<[u8]>,
}

/// Which tenant a namespace belongs to by its name, if any: `t-<id>` or `t-<id>--<name>`.
#[must_use]
pub fn tenant_of_namespace(namespace: &str) -> Option<TenantId> {
    let rest = namespace.strip_prefix(label::NAMESPACE_PREFIX)?;
    let id = rest.split_once("--").map_or(rest, |(id, _)| id);
    TenantId::new(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_edit_the_path() {
        for name in ["", "..", "a/b", "a?x=y", "a%2fb", "A", "a b", "../secrets/x"] {
            assert!(
                ObjectRef::new(Kind::ConfigMap, Some("t-a"), name).is_err(),
                "{name}"
            );
            assert!(
                ObjectRef::new(Kind::ConfigMap, Some(name), "fine").is_err(),
                "{name}"
            );
            assert!(ObjectRef::namespace_called(name).is_err(), "{name}");
        }
    }

    #[test]
    fn scope_is_checked() {
        assert!(ObjectRef::new(Kind::Namespace, Some("t-a"), "t-a").is_err());
        assert!(ObjectRef::new(Kind::Pod, None, "p").is_err());
    }

    #[test]
    fn an_object_is_addressed_by_group_version_namespace_and_plural() {
        let path = |kind, namespace, name| ObjectRef::new(kind, namespace, name).unwrap().path();
        assert_eq!(path(Kind::Namespace, None, "t-a"), "/api/v1/namespaces/t-a");
        assert_eq!(path(Kind::Pod, Some("t-a"), "p"), "/api/v1/namespaces/t-a/pods/p");
        let policy = path(Kind::NetworkPolicy, Some("t-a"), "deny");
        assert_eq!(
            policy,
            "/apis/networking.k8s.io/v1/namespaces/t-a/networkpolicies/deny"
        );
    }

    #[test]
    fn a_reference_survives_being_written_down() {
        let object = ObjectRef::new(Kind::Deployment, Some("t-a--dev"), "web.v1").unwrap();
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"Deployment","namespace":"t-a--dev","name":"web.v1"}"#
        );
        assert_eq!(serde_json::from_str::<ObjectRef>(&text).unwrap(), object);
        assert!(
            serde_json::from_str::<ObjectRef>(r#"{"kind":"Secret","namespace":"t-a","name":"x"}"#).is_err()
        );
    }

    #[test]
    fn a_namespace_names_its_tenant() {
        let tenant = |namespace| tenant_of_namespace(namespace).map(|t| t.to_string());
        assert_eq!(tenant("t-acme"), Some("acme".into()));
        assert_eq!(tenant("t-acme-corp--dev"), Some("acme-corp".into()));
        assert_eq!(tenant("kube-system"), None);
        assert_eq!(tenant("t-"), None);
    }
}
