//! Why a hub ends, with which exit code, and what a person can do about it.

use std::{net::SocketAddr, path::PathBuf};

use berth_control::fleet::FleetError;
#[cfg(feature = "etcd")]
use berth_store::EtcdError;
use berth_store::StoreError;

use berth_identity::tls;

use crate::{
    audit::AuditError,
    auth::ProviderError,
    config::ConfigError,
    home::HomeError,
    options::{Options, StoreChoice},
};

/// Why a hub ended.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its data directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A listener.
    #[error("listen on {address} for {what}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// TLS.
    #[error("set up TLS")]
    Tls(#[from] tls::TlsError),
    /// Certificates.
    #[error("issue the hub's certificate")]
    Certificate(#[from] berth_identity::CaError),
    /// A file of the certificate from outside.
    #[error("read `{}` (tls in the configuration)", path.display())]
    OutsideFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The certificate from outside.
    #[error("use the certificate `{}` (tls.certFile, with tls.keyFile)", path.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: tls::TlsError,
    },
    /// The cloud account.
    #[error("the cloud account: {0}")]
    Cloud(String),
    /// Who may sign in.
    #[error("the OpenID providers (auth.oidc)")]
    Auth(#[from] ProviderError),
    /// Backups.
    #[error(transparent)]
    Backup(crate::backup::BackingError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The control loop.
    #[error("the control loop ended")]
    Fleet(#[from] berth_control::fleet::FleetError),
    /// Serving.
    #[error("serve {what}")]
    Serve {
        /// What.
        what: &'static str,
        /// Why it ended.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HubError {
    /// 78 (EX_CONFIG) when only a person can help: a damaged store, a wrong configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Cloud(_)
            | Self::Auth(_)
            | Self::Backup(_)
            | Self::Audit(_)
            | Self::OutsideFile { .. }
            | Self::Outside { .. } => 78,
            Self::Home(HomeError::Open(error)) => error.exit_code(),
            Self::Home(
                HomeError::OtherAuthority { .. }
                | HomeError::NoEtcd
                | HomeError::Readable(_)
                | HomeError::Record { .. }
                | HomeError::Unfinished { .. },
            )
            | Self::Fleet(FleetError::Record { .. }) => 78,
            error if error.newer_schema() => 78,
            _ => 1,
        }
    }

    /// What to do about the store at `place`, with the command to do it; none where the error says it all.
    #[must_use]
    pub fn hint(&self, place: &StorePlace) -> Option<String> {
        match self {
            Self::Home(HomeError::Open(error)) => Some(error.hint()),
            Self::Home(HomeError::Record { .. }) | Self::Fleet(FleetError::Record { .. }) => {
                Some(place.unreadable())
            }
            Self::Home(HomeError::Unfinished { .. }) => Some(place.unfinished()),
            error if error.newer_schema() => Some(
                "start the version that wrote it, or a newer one; every hub on a store is to be of one version in the end".into(),
            ),
            _ => None,
        }
    }

    fn newer_schema(&self) -> bool {
        match self {
            Self::Home(HomeError::Store(error)) | Self::Fleet(FleetError::Store(error)) => {
                matches!(error, StoreError::NewerSchema { .. })
            }
            #[cfg(feature = "etcd")]
            Self::Home(HomeError::Etcd(EtcdError::Store(error))) => {
                matches!(error, StoreError::NewerSchema { .. })
            }
            _ => false,
        }
    }
}

/// Which store a hub stands on, as `berth store` is told.
#[derive(Clone, Debug)]
pub struct StorePlace {
    argument: String,
    /// Where a backup goes: in the store's place, or beside it where others share it.
    restored: String,
}

impl StorePlace {
    /// The store of a hub that is started so.
    #[must_use]
    pub fn of(options: &Options) -> Self {
        match &options.store {
            StoreChoice::Sled => {
                let argument = format!("--data-dir {}", options.data_dir.display());
                Self {
                    restored: format!("{argument} --replace"),
                    argument,
                }
            }
            StoreChoice::Etcd(url) => Self {
                argument: format!("--store {url}"),
                restored: format!("--store {}", beside(url)),
            },
        }
    }

    fn unreadable(&self) -> String {
        let Self { argument, restored } = self;
        format!(
            "if a newer version wrote it, start that version; else stop every hub on this store, see what else cannot be read with \
             `berth store verify {argument}`, and bring a backup back with `berth store restore {restored} --from BACKUP`{}",
            self.then()
        )
    }

    fn unfinished(&self) -> String {
        let restored = &self.restored;
        format!(
            "restore again with `berth store restore {restored} --from BACKUP`{}",
            self.then()
        )
    }

    fn then(&self) -> String {
        self.restored
            .strip_prefix("--store ")
            .map_or_else(String::new, |url| {
                format!(", and start every hub with --store {url}")
            })
    }
}

/// The same members with a prefix that is likely empty.
fn beside(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("etcd", url));
    let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = match prefix.trim_matches('/') {
        "" => "berth",
        prefix => prefix,
    };
    format!("{scheme}://{hosts}/{prefix}-restored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_a_command_for_the_very_store() {
        for (url, other) in [
            ("etcd://a:1,b:2/fleets/eu", "etcd://a:1,b:2/fleets/eu-restored"),
            ("etcds://a", "etcds://a/berth-restored"),
        ] {
            assert_eq!(beside(url), other);
        }
    }
}
