//! The hub: wiring, gRPC and configuration. Decisions are [`berth_control`]'s and [`berth_plan`]'s.

pub mod acceptor;
pub mod app;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod bootstrap;
pub mod calls;
pub mod command;
pub mod config;
pub mod error;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "failpoints")]
mod failing;
pub mod gate;
pub mod grpc;
pub mod home;
pub mod lead;
pub mod limits;
mod metrics;
pub mod options;
pub mod tenure;
mod upkeep;

pub use app::{Running, run};
pub use berth_control::records;
#[cfg(feature = "failpoints")]
pub use berth_runtime::failpoint::Failpoints;
pub use error::{HubError, StorePlace};
pub use options::{LogFormat, Options};

use std::process::ExitCode;

use berth_runtime::{Drain, telemetry};

/// Runs a hub as a process: logs, signals, exit code.
#[must_use]
pub fn start(options: Options) -> ExitCode {
    let format = match options.log_format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    if let Err(error) = telemetry::init(format, &options.log) {
        eprintln!("error: {error}");
        return ExitCode::from(78);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    let drain = Drain::new();
    let place = StorePlace::of(&options);
    let outcome = runtime.block_on(async {
        let told = drain.clone();
        tokio::spawn(async move {
            if let Ok(name) = berth_runtime::drain::signal().await {
                tracing::info!(signal = name, "ending");
                told.start();
            }
        });
        run(options, drain.token().clone(), |_| {}).await
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the hub cannot go on");
            if let Some(hint) = error.hint(&place) {
                tracing::error!("{hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
