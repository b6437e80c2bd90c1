//! `berth-hub`: the central part of Berth.

use std::process::ExitCode;

use clap::Parser;

/// The hub of Berth: holds tenants, tiers and clusters, decides where each tenant is, and tells the agents.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: berth_hub::Options,
    #[cfg(feature = "failpoints")]
    #[command(flatten)]
    failpoints: berth_hub::Failpoints,
}

fn main() -> ExitCode {
    // Before anything speaks TLS: two libraries bring a provider each, and none may choose by itself.
    drop(rustls::crypto::ring::default_provider().install_default());
    let cli = Cli::parse();
    #[cfg(feature = "failpoints")]
    if let Err(error) = cli.failpoints.arm() {
        eprintln!("error: arm the failpoints: {error}");
        return ExitCode::FAILURE;
    }
    berth_hub::start(cli.options)
}
