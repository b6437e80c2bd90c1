//! Whose certificate a peer shows: exactly one SPIFFE URI, `spiffe://<fleet>.berth.dev/cluster/<name>` or `.../user/<name>`.
//!
//! Whether the certificate is to be trusted is the TLS verifier's business and already decided here.

use std::{fmt, str::FromStr};

use berth_model::{ClusterName, FleetId, id::is_dns_label};
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::certificate::{self, CertificateError};

const SCHEME: &str = "spiffe://";
const DOMAIN: &str = ".berth.dev";

/// Who is on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The agent of a cluster.
    Agent {
        /// The cluster.
        cluster: ClusterName,
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
        Ok(match id.who {
            Who::Cluster(cluster) => Self::Agent {
                cluster,
                key_sha256: hex::encode(Sha256::digest(parsed.public_key().raw)),
            },
            Who::User(name) => Self::User { name },
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
    Cluster(ClusterName),
    User(String),
}

/// Not of the two forms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownId;

impl SpiffeId {
    pub(crate) fn agent(fleet: &FleetId, cluster: &ClusterName) -> Self {
        Self {
            fleet: fleet.clone(),
            who: Who::Cluster(cluster.clone()),
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
            Who::Cluster(name) => write!(f, "{SCHEME}{}{DOMAIN}/cluster/{name}", self.fleet),
            Who::User(name) => write!(f, "{SCHEME}{}{DOMAIN}/user/{name}", self.fleet),
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
        let fleet = domain
            .strip_suffix(DOMAIN)
            .and_then(|fleet| FleetId::new(fleet).ok())
            .ok_or(UnknownId)?;
        let who = match path.split_once('/') {
            Some(("cluster", name)) => Who::Cluster(ClusterName::new(name).map_err(|_| UnknownId)?),
            Some(("user", name)) if is_dns_label(name) => Who::User(name.to_owned()),
            _ => return Err(UnknownId),
        };
        Ok(Self { fleet, who })
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
