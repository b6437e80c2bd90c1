//! The agent of one cluster.

use clap::Parser;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(name = "berth-agent", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    options: berth_agent::Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // More than one provider in a program makes rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Cli { options } = Cli::parse();
    berth_runtime::telemetry::init(options.log_format.into(), &options.log)?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(berth_agent::run(options, shutdown.clone()));
    tokio::spawn(async move {
        if berth_runtime::drain::signal().await.is_ok() {
            shutdown.cancel();
        }
    });
    Ok(running.await??)
}
