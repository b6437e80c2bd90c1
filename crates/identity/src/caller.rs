//! Who calls the API, however that was proved.

use std::fmt;

/// The credential that the hub writes on its first start; what it may do depends on no binding, so that nobody can lock everybody out.
pub const BREAK_GLASS: &str = "admin";

/// A caller of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// Groups that whoever vouches for it says it is in.
    pub groups: Vec<String>,
    /// Which of its credentials was shown, for the record: never the credential itself.
    pub credential: String,
}

/// Who somebody is. Its text is the subject that bindings name and that the audit log has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// A client certificate of the fleet's authority: `certificate:NAME`.
    Certificate(String),
    /// A person, as an OpenID provider knows it: `user:NAME`.
    Person(String),
    /// A machine account of the hub: `apikey:NAME`.
    ApiKey(String),
    /// A `ServiceAccount` of a cluster of the fleet: `serviceaccount:CLUSTER/NAMESPACE/NAME`.
    ServiceAccount {
        /// The cluster that vouches for it.
        cluster: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Caller {
    /// Whoever holds the client certificate of that name.
    #[must_use]
    pub fn certificate(name: &str, key_sha256: &str) -> Self {
        Self {
            principal: Principal::Certificate(name.to_owned()),
            groups: Vec::new(),
            credential: format!("certificate {key_sha256}"),
        }
    }

    /// Whether this is the credential that the hub writes on its first start.
    #[must_use]
    pub fn breaks_glass(&self) -> bool {
        matches!(&self.principal, Principal::Certificate(name) if name == BREAK_GLASS)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "certificate:{name}"),
            Self::Person(name) => write!(f, "user:{name}"),
            Self::ApiKey(name) => write!(f, "apikey:{name}"),
            Self::ServiceAccount {
                cluster,
                namespace,
                name,
            } => write!(f, "serviceaccount:{cluster}/{namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_certificate_of_that_name_breaks_glass() {
        let caller = |principal| Caller {
            principal,
            groups: Vec::new(),
            credential: String::new(),
        };
        assert!(Caller::certificate(BREAK_GLASS, "").breaks_glass());
        assert!(!Caller::certificate("alice", "").breaks_glass());
        for other in [Principal::Person, Principal::ApiKey] {
            assert!(!caller(other(BREAK_GLASS.into())).breaks_glass());
        }
    }

    #[test]
    fn every_principal_is_a_subject_of_its_own() {
        let account = Principal::ServiceAccount {
            cluster: "eu-1".into(),
            namespace: "argocd".into(),
            name: "deployer".into(),
        };
        assert_eq!(account.to_string(), "serviceaccount:eu-1/argocd/deployer");
        assert_eq!(Principal::Certificate("a".into()).to_string(), "certificate:a");
        assert_eq!(Principal::Person("a@b".into()).to_string(), "user:a@b");
        assert_eq!(Principal::ApiKey("a".into()).to_string(), "apikey:a");
    }
}
