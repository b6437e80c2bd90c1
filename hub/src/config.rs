//! The hub's configuration file. Unknown fields are errors; everything has a default.

mod auth;

pub use auth::{Auth, OidcProvider};

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use berth_eks::EksConfig;
use berth_model::AcceptedGaps;
use berth_plan::view::{BreakerSettings, Settings};
use serde::Deserialize;

use crate::limits::Limits;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Names and addresses the hub is reached by, besides the listeners' own and `localhost`; they stand in its certificate.
    pub names: Vec<String>,
    /// How agents reach the hub and what they run.
    pub agents: Agents,
    /// Bounds of placement.
    pub placement: Placement,
    /// How etcd is reached, when the store is there.
    pub etcd: EtcdAccess,
    /// When taking tenants away from a cluster stops until an operator confirms it.
    pub breaker: Breaker,
    /// Continuous backups of the store; without it there are none but those somebody makes.
    pub backup: Option<Backup>,
    /// How callers without a client certificate prove who they are.
    pub auth: Auth,
    /// Where keys are.
    pub keys: Keys,
    /// How the audit log is kept, and where it is sent.
    pub audit: Audit,
    /// What strangers and callers may take of the hub.
    pub limits: Limits,
    /// The cloud account; without it the hub makes no node pools and no clusters.
    pub eks: Option<EksConfig>,
}

/// How agents reach the hub and what they run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Agents {
    /// Where agents dial, such as `https://berth.example.com:7444`; empty takes the agent listener's address.
    pub hub_urls: Vec<String>,
    /// Image of the agent in clusters the hub makes.
    pub image: String,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            hub_urls: Vec::new(),
            image: format!("berth-agent:{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// Bounds of placement. Set the clouds' quotas as your account has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// Most namespaces of one cluster.
    pub namespaces_per_cluster: u32,
    /// Most node groups of one cluster.
    pub node_groups_per_cluster: u32,
    /// Most clusters the hub makes in one region.
    pub clusters_per_region: u32,
    /// Region for clusters whose tenant names none.
    pub default_region: String,
    /// Share of a cluster's capacity that is never reserved, in percent.
    pub headroom_percent: u32,
    /// Seconds between two looks at infrastructure that is being made.
    pub infra_poll_seconds: f64,
    /// Walls (network-policy, admission-policy) that no cluster need hold, with the reasons: for demonstrations and tests. Every tenant placed
    /// so shows it for ever.
    pub accept_gaps: AcceptedGaps,
}

impl Default for Placement {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            namespaces_per_cluster: settings.namespaces_per_cluster,
            node_groups_per_cluster: settings.node_groups_per_cluster,
            clusters_per_region: settings.clusters_per_region,
            default_region: settings.default_region,
            headroom_percent: settings.headroom_percent,
            infra_poll_seconds: settings.infra_poll.as_secs_f64(),
            accept_gaps: settings.accept_gaps,
        }
    }
}

/// Credentials and times of etcd. Its address is the command line's (`--store`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EtcdAccess {
    /// Who signs the members' certificates, a PEM file; needed for etcds://.
    pub ca_file: Option<PathBuf>,
    /// The certificate this hub shows, a PEM file; with `keyFile`.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The user, when etcd asks for one; with `passwordFile`.
    pub user: Option<String>,
    /// A file with its password.
    pub password_file: Option<PathBuf>,
    /// How long a leader that is not heard of stays leader: fail-over takes about as long.
    pub lease_seconds: u64,
    /// How long an answer of etcd is waited for.
    pub request_timeout_seconds: f64,
}

impl Default for EtcdAccess {
    fn default() -> Self {
        Self {
            ca_file: None,
            cert_file: None,
            key_file: None,
            user: None,
            password_file: None,
            lease_seconds: 5,
            request_timeout_seconds: 5.0,
        }
    }
}

/// When taking tenants away from a cluster stops until an operator confirms it. Agents have their own, with the same defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Breaker {
    /// That many tenants of a cluster may always go within the window.
    pub tenants: u32,
    /// That share of the cluster's tenants may go within the window, in percent, when it is more.
    pub percent: u32,
    /// The window, in seconds.
    pub window_seconds: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let limits = BreakerSettings::default();
        Self {
            tenants: limits.tenants,
            percent: limits.percent,
            window_seconds: limits.window.as_secs(),
        }
    }
}

/// Continuous backups of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backup {
    /// Where to: a directory, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` with credentials from the usual AWS environment.
    pub to: String,
    /// To whom the hub's keys are encrypted beside it, an age recipient (`age1...`). Without it backups hold no private keys: keep `ca/` and
    /// `audit-key/` elsewhere.
    #[serde(default)]
    pub recipient: Option<String>,
    /// The longest time between a change and its being in the backup, in seconds.
    #[serde(default = "Backup::interval")]
    pub interval_seconds: u64,
    /// Chains (a whole snapshot a day and the changes after it) that are kept whatever their age.
    #[serde(default = "Backup::chains")]
    pub keep_chains: usize,
    /// Days that further chains are kept.
    #[serde(default = "Backup::days")]
    pub keep_days: u64,
}

impl Backup {
    const fn interval() -> u64 {
        10
    }

    const fn chains() -> usize {
        3
    }

    const fn days() -> u64 {
        7
    }
}

/// Where keys are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Keys {
    /// The directory that has `ca/` and `audit-key/`, such as a mounted secret, which may be read-only when the keys are in it. Default:
    /// the data directory.
    pub dir: Option<PathBuf>,
}

/// How the audit log is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Audit {
    /// Where its segments are. Default: `audit` in the data directory.
    pub dir: Option<PathBuf>,
    /// A segment that is longer ends, in MiB.
    pub segment_megabytes: u64,
    /// Events that are sealed together at most.
    pub seal_events: u64,
    /// What was written is sealed after that many seconds at the latest.
    pub seal_seconds: u64,
    /// Where every line is sent besides.
    pub webhook: Option<Webhook>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            dir: None,
            segment_megabytes: 16,
            seal_events: 256,
            seal_seconds: 10,
            webhook: None,
        }
    }
}

/// Where the audit log is sent: lines as they are, as `application/x-ndjson` by POST, each at least once and in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// The address, `https://...`; `http://` for what is on the same machine.
    pub url: String,
    /// Who signs the server's certificate, a PEM file; without it whoever the system trusts.
    pub ca_file: Option<PathBuf>,
    /// A file with headers to send, `Name: value` a line, such as `Authorization: Bearer ...`. Read anew for each batch.
    pub header_file: Option<PathBuf>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is wrong.
    #[error("configuration {path}: {problem}")]
    Wrong {
        /// Which file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

impl Config {
    /// Reads `path`; nothing means all defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and what is wrong in it.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: name.clone(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| ConfigError::Wrong { path: name, problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = if text.trim().is_empty() {
            Self::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?
        };
        let placement = &config.placement;
        if placement.headroom_percent >= 100 {
            return Err("placement.headroomPercent must be under 100".into());
        }
        if !(0.01..=3600.0).contains(&placement.infra_poll_seconds) {
            return Err("placement.infraPollSeconds must be between 0.01 and 3600".into());
        }
        if !(2..=60).contains(&config.etcd.lease_seconds) {
            return Err("etcd.leaseSeconds must be between 2 and 60".into());
        }
        if !(0.1..=60.0).contains(&config.etcd.request_timeout_seconds) {
            return Err("etcd.requestTimeoutSeconds must be between 0.1 and 60".into());
        }
        if let Some(backup) = &config.backup {
            if !(1..=3600).contains(&backup.interval_seconds) {
                return Err("backup.intervalSeconds must be between 1 and 3600".into());
            }
            if backup.keep_chains == 0 || backup.keep_days > 3650 {
                return Err("backup.keepChains must be at least 1, backup.keepDays at most 3650".into());
            }
        }
        config.auth.check()?;
        config.limits.check()?;
        let breaker = &config.breaker;
        if breaker.percent > 100 {
            return Err("breaker.percent must be 100 at most".into());
        }
        if !(1..=86_400).contains(&breaker.window_seconds) {
            return Err("breaker.windowSeconds must be between 1 and 86400".into());
        }
        for url in &config.agents.hub_urls {
            if !url.starts_with("https://") {
                return Err(format!("agents.hubUrls: {url:?} must start with https://"));
            }
        }
        Ok(config)
    }

    /// The planner's settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let placement = &self.placement;
        Settings {
            namespaces_per_cluster: placement.namespaces_per_cluster,
            node_groups_per_cluster: placement.node_groups_per_cluster,
            clusters_per_region: placement.clusters_per_region,
            default_region: placement.default_region.clone(),
            cloud: self.eks.is_some(),
            headroom_percent: placement.headroom_percent,
            infra_poll: Duration::from_secs_f64(placement.infra_poll_seconds),
            accept_gaps: placement.accept_gaps.clone(),
            breaker: BreakerSettings {
                tenants: self.breaker.tenants,
                percent: self.breaker.percent,
                window: Duration::from_secs(self.breaker.window_seconds),
            },
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_all_defaults() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.settings(), Settings::default());
    }

    #[test]
    fn the_limits_in_the_readme_are_the_defaults() {
        let readme = include_str!("../README.md");
        let (_, rest) = readme.split_once("```yaml\nlimits:").unwrap();
        let (limits, _) = rest.split_once("```").unwrap();
        assert_eq!(
            Config::parse(&format!("limits:{limits}")).unwrap().limits,
            Limits::default()
        );
    }

    #[test]
    fn an_unknown_field_is_an_error_that_names_it() {
        let problem = Config::parse("placement:\n  headroom: 3\n").unwrap_err();
        assert!(problem.contains("headroom"), "{problem}");
    }

    #[test]
    fn nonsense_amounts_are_refused() {
        assert!(Config::parse("placement:\n  headroomPercent: 100\n").is_err());
        assert!(Config::parse("placement:\n  infraPollSeconds: 0\n").is_err());
        assert!(Config::parse("breaker:\n  percent: 101\n").is_err());
        assert!(Config::parse("breaker:\n  windowSeconds: 0\n").is_err());
        assert!(Config::parse("backup:\n  to: /b\n  intervalSeconds: 0\n").is_err());
        assert!(Config::parse("backup:\n  intervalSeconds: 5\n").is_err());
        assert!(Config::parse("agents:\n  hubUrls: ['http://x']\n").is_err());
    }
}
