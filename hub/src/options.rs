//! The command line of the hub. Every flag is used by [`crate::app::run`], which takes this struct apart field by field.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// How a hub is started.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the hub keeps its store, its certificate authority and the admin's credential. Made on the first start.
    #[arg(long, env = "BERTH_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where the fleet is kept: `sled`, in the data directory, for one hub; or etcd for several, as
    /// `etcd://HOST:2379,HOST:2379/PREFIX` (etcds:// for TLS). All hubs on one etcd need the same `ca/` in their data directories.
    #[arg(long, env = "BERTH_STORE", value_name = "STORE", default_value = "sled", value_parser = store_choice)]
    pub store: StoreChoice,

    /// Where this hub's API is reached by others, as https://HOST:PORT; hubs that follow send callers there. Default: --listen.
    #[arg(long, env = "BERTH_ADVERTISE_API", value_name = "URL")]
    pub advertise_api: Option<String>,

    /// Where agents reach this hub, as https://HOST:PORT; hubs that follow send agents there. Default: --agent-listen.
    #[arg(long, env = "BERTH_ADVERTISE_AGENTS", value_name = "URL")]
    pub advertise_agents: Option<String>,

    /// Where the API listens (gRPC over TLS; callers show a client certificate, an API key or a token).
    #[arg(
        long,
        env = "BERTH_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7443"
    )]
    pub listen: SocketAddr,

    /// Where agents dial (gRPC over mTLS; only Join comes without a certificate).
    #[arg(
        long,
        env = "BERTH_AGENT_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7444"
    )]
    pub agent_listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served (plain HTTP; keep it inside).
    #[arg(
        long,
        env = "BERTH_OPS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7445"
    )]
    pub ops_listen: SocketAddr,

    /// Configuration file (YAML): limits, how agents reach the hub, the cloud account. See hub/README.md.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How logs are written.
    #[arg(long, env = "BERTH_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Which logs are written, as tracing directives.
    #[arg(long, env = "BERTH_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Where the fleet is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreChoice {
    /// In the data directory.
    #[default]
    Sled,
    /// In etcd, by this address.
    Etcd(String),
}

fn store_choice(text: &str) -> Result<StoreChoice, String> {
    match text {
        "sled" => Ok(StoreChoice::Sled),
        url if url.starts_with("etcd://") || url.starts_with("etcds://") => {
            Ok(StoreChoice::Etcd(url.to_owned()))
        }
        other => Err(format!(
            "{other:?} is no store; write sled, or etcd://HOST:2379,HOST:2379/PREFIX"
        )),
    }
}

/// How logs are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
