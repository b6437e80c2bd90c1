//! Whose certificate a peer shows: exactly one SPIFFE URI, `spiffe://<fleet>/cluster/<uid>` or `spiffe://<fleet>/user/<name>`.
//!
//! A cluster's uid tells it from an earlier one of its name; the name itself is the certificate's common name, which the hub wrote
//! too. Certificates of the first version have `spiffe://<fleet>.berth.dev/cluster/<name>`, and no uid.
//!
//! Whether the certificate is to be trusted is the TLS verifier's business and already decided here.

use std::{fmt, str::FromStr};

use berth_model::{ClusterName, FleetId, Uid, id::is_dns_label};
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
};

use crate::certificate::{self, CertificateError};

const SCHEME: &str = "spiffe://";
/// What followed the fleet's id in certificates of the first version.
const OLD_DOMAIN: &str = ".berth.dev";

/// Who is on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The agent of a cluster.
    Agent {
        /// The cluster.
        cluster: ClusterName,
        /// What tells it from an earlier cluster of that name; none in certificates of the first version.
        uid: Option<Uid>,
        /// SHA-256 of the key's `SubjectPublicKeyInfo`, hexadecimal.
        key_sha256: String,
    },
    /// A person or a program that uses the API.
    User {
        /// Its name.
        name: String,
    },
}

/// Why a certificate is nobody's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not a certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// None, or more than one.
    #[error("the certificate has {0} names, exactly one SPIFFE URI is needed")]
    Names(usize),
    /// Not one of ours.
    #[error("the certificate's name {0:?} is no identity of Berth")]
    Unknown(String),
    /// It does not say which cluster it is of.
    #[error("the certificate of a cluster names none")]
    NoCluster,
    /// Of another fleet.
    #[error("the certificate is of the fleet {found}, this is {expected}")]
    OtherFleet {
        /// Whose it is.
        found: FleetId,
        /// Whose it should be.
        expected: FleetId,
    },
}

/// Why a name cannot be a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user name {0:?} is no DNS label (lower-case letters, digits and '-')")]
pub struct InvalidUser(pub String);

impl Peer {
    /// Reads the peer off its certificate (DER), which must be of this fleet.
    ///
    /// # Errors
    /// [`PeerError`] for everything but exactly one URI of the two forms.
    pub fn of_certificate(der: &[u8], fleet: &FleetId) -> Result<Self, PeerError> {
        let parsed = certificate::parse(der)?;
        let mut names = Vec::new();
        for extension in parsed.extensions() {
            if let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() {
                names.extend(san.general_names.iter());
            }
        }
        let [name] = names.as_slice() else {
            return Err(PeerError::Names(names.len()));
        };
        let GeneralName::URI(uri) = name else {
            return Err(PeerError::Unknown(name.to_string()));
        };
        let id: SpiffeId = uri
            .parse()
            .map_err(|UnknownId| PeerError::Unknown(shortened(uri)))?;
        if &id.fleet != fleet {
            return Err(PeerError::OtherFleet {
                found: id.fleet,
                expected: fleet.clone(),
            });
        }
        let key_sha256 = hex::encode(Sha256::digest(parsed.public_key().raw));
        Ok(match id.who {
            Who::Cluster(uid) => Self::Agent {
                cluster: common_name(&parsed).ok_or(PeerError::NoCluster)?,
                uid: Some(uid),
                key_sha256,
            },
            Who::OldCluster(cluster) => Self::Agent {
                cluster,
                uid: None,
                key_sha256,
            },
            Who::User(name) | Who::OldUser(name) => Self::User { name },
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { cluster, .. } => write!(f, "agent of {cluster}"),
            Self::User { name } => write!(f, "user {name}"),
        }
    }
}

/// The URI of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpiffeId {
    fleet: FleetId,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Cluster(Uid),
    User(String),
    OldCluster(ClusterName),
    OldUser(String),
}

/// Not of the two forms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownId;

impl SpiffeId {
    pub(crate) fn agent(fleet: &FleetId, uid: &Uid) -> Self {
        Self {
            fleet: fleet.clone(),
            who: Who::Cluster(uid.clone()),
        }
    }

    pub(crate) fn user(fleet: &FleetId, name: &str) -> Result<Self, InvalidUser> {
        if !is_dns_label(name) {
            return Err(InvalidUser(shortened(name)));
        }
        Ok(Self {
            fleet: fleet.clone(),
            who: Who::User(name.to_owned()),
        })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Cluster(uid) => write!(f, "{SCHEME}{}/cluster/{uid}", self.fleet),
            Who::User(name) => write!(f, "{SCHEME}{}/user/{name}", self.fleet),
            Who::OldCluster(name) => write!(f, "{SCHEME}{}{OLD_DOMAIN}/cluster/{name}", self.fleet),
            Who::OldUser(name) => write!(f, "{SCHEME}{}{OLD_DOMAIN}/user/{name}", self.fleet),
        }
    }
}

impl FromStr for SpiffeId {
    type Err = UnknownId;

    fn from_str(uri: &str) -> Result<Self, UnknownId> {
        let (domain, path) = uri
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.split_once('/'))
            .ok_or(UnknownId)?;
        let old = domain.strip_suffix(OLD_DOMAIN);
        let fleet = FleetId::new(old.unwrap_or(domain)).map_err(|_| UnknownId)?;
        let who = match (path.split_once('/'), old) {
            (Some(("cluster", uid)), None) => Who::Cluster(Uid::new(uid).map_err(|_| UnknownId)?),
            (Some(("cluster", name)), Some(_)) => {
                Who::OldCluster(ClusterName::new(name).map_err(|_| UnknownId)?)
            }
            (Some(("user", name)), None) if is_dns_label(name) => Who::User(name.to_owned()),
            (Some(("user", name)), Some(_)) if is_dns_label(name) => Who::OldUser(name.to_owned()),
            _ => return Err(UnknownId),
        };
        Ok(Self { fleet, who })
    }
}

/// The only common name of the subject, where it is a cluster's.
fn common_name(certificate: &X509Certificate<'_>) -> Option<ClusterName> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    if names.next().is_some() {
        return None;
    }
    ClusterName::new(name).ok()
}

/// Of which fleet and cluster an agent's certificate (DER) is; none when it says neither, as those of the first version.
#[must_use]
pub fn cluster_of(der: &[u8]) -> Option<(FleetId, Uid)> {
    let parsed = certificate::parse(der).ok()?;
    let names = parsed
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => Some(&san.general_names),
            _ => None,
        });
    let uri = names.flatten().find_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    })?;
    match uri.parse::<SpiffeId>().ok()? {
        SpiffeId {
            fleet,
            who: Who::Cluster(uid),
        } => Some((fleet, uid)),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_two_forms_are_identities() {
        for fine in [
            "spiffe://f1/cluster/0b6e3c2a-7d6f-4c0e-9a55-0a2f4b0d7c11",
            "spiffe://f1/user/admin",
            "spiffe://f1.berth.dev/cluster/eu-1",
            "spiffe://f1.berth.dev/user/admin",
        ] {
            assert_eq!(fine.parse::<SpiffeId>().unwrap().to_string(), fine);
        }
        for wrong in [
            "",
            "spiffe://",
            "https://f1.berth.dev/cluster/eu-1",
            "spiffe://berth.dev/cluster/eu-1",
            "spiffe:///cluster/eu-1",
            "spiffe://f1.other.dev/cluster/eu-1",
            "spiffe://f1/cluster/eu-1/more",
            "spiffe://f1/cluster/",
            "spiffe://f1/cluster/EU-1",
            "spiffe://f1/node/eu-1",
            "spiffe://.berth.dev/cluster/eu-1",
            "spiffe://a.f1.berth.dev/cluster/eu-1",
            "spiffe://f1.berth.dev.evil.example/cluster/eu-1",
            "spiffe://f1.berth.dev/cluster/eu-1/more",
            "spiffe://f1.berth.dev/cluster//eu-1",
            "spiffe://f1.berth.dev//cluster/eu-1",
            "spiffe://f1.berth.dev/cluster/",
            "spiffe://f1.berth.dev/cluster",
            "spiffe://f1.berth.dev/Cluster/eu-1",
            "spiffe://f1.berth.dev/cluster/EU-1",
            "spiffe://f1.berth.dev/cluster/eu%2d1",
            "spiffe://f1.berth.dev/cluster/eu-1?x",
            "spiffe://f1.berth.dev/node/eu-1",
            "spiffe://f1.berth.dev:443/cluster/eu-1",
            "spiffe://x@f1.berth.dev/cluster/eu-1",
        ] {
            assert_eq!(wrong.parse::<SpiffeId>(), Err(UnknownId), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_is_an_identity_is_written_the_same_way_again(text in "(spiffe://)?[a-z0-9.-]{0,20}(\\.berth\\.dev)?/(cluster|user|x)/[a-z0-9/.-]{0,12}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn no_text_and_no_bytes_panic(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = text.parse::<SpiffeId>();
            let fleet = FleetId::new("f1").unwrap();
            prop_assert!(Peer::of_certificate(&bytes, &fleet).is_err());
        }
    }
}
