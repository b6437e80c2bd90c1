//! The flags of `berth dev`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// Show Berth on this machine: hub, fake EKS, clusters, agents, and tenants of every isolation level
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// End when every tenant is Ready: exit code 0, or 7 with the reasons when time is over
    #[arg(long)]
    pub exit_when_ready: bool,
    /// How to show the tenants
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: DevFormat,
    /// Keep everything here, and continue from it on the next run [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What clusters are made of: the embedded Kubernetes API, or real kube-apiservers (see `cargo xtask control-plane`)
    #[arg(long, default_value = "embedded", value_name = "KIND")]
    pub control_plane: ControlPlaneKind,
    /// Only the played cloud and its clusters, without hub, agents and tenants: for a hub of your own (see hub/README.md)
    #[arg(long, conflicts_with_all = ["exit_when_ready", "output"])]
    pub cloud_only: bool,
    /// Longest wait for every tenant to be Ready
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = crate::args::duration)]
    pub timeout: Duration,
    /// Which log lines go to DATA_DIR/berth.log
    #[arg(long, env = "BERTH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// What clusters are made of.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlPlaneKind {
    /// In this process.
    Embedded,
    /// kube-apiserver, etcd, controller manager, scheduler and kwok, as processes.
    Real,
}

/// How tenants are shown.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DevFormat {
    /// For people.
    Table,
    /// A JSON list for machines.
    Json,
}
