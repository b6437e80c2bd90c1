//! The agent of one cluster.

use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(name = "berth-agent", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    options: berth_agent::Options,
    #[cfg(feature = "failpoints")]
    #[command(flatten)]
    failpoints: berth_agent::Failpoints,
}

#[tokio::main]
async fn main() -> ExitCode {
    // More than one provider in a program makes rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    #[cfg(feature = "failpoints")]
    if let Err(error) = cli.failpoints.arm() {
        eprintln!("error: arm the failpoints: {error}");
        return ExitCode::FAILURE;
    }
    match serve(cli.options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its causes and without a backtrace: an operator reads it.
            let said = format!("error: {error:#}");
            eprintln!("{}", berth_model::visible::lines(&said));
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: berth_agent::Options) -> anyhow::Result<()> {
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
