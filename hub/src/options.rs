//! The command line of the hub. Every flag is used by [`crate::app::run`], which takes this struct apart field by field.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// How a hub is started.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the hub keeps its store, its certificate authority and the admin's credential. Made on the first start.
    #[arg(long, env = "BERTH_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where the API listens (gRPC over TLS, client certificates required).
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

/// How logs are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
