//! What every long-running part of Berth needs to run: time, retries, files, logs, readiness, metrics, and a bounded end.
//!
//! This crate knows nothing of tenants, clusters, Kubernetes or gRPC. It is the only place that reads the real clock,
//! and the only place where `backoff` is used.

pub mod bell;
pub mod clock;
pub mod drain;
pub mod entropy;
#[cfg(feature = "failpoints")]
pub mod failpoint;
pub mod files;
pub mod memory;
pub mod metrics;
pub mod ops;
pub mod readiness;
pub mod retry;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod telemetry;

pub use bell::Bell;
pub use clock::{Clock, ManualClock, SystemClock};
pub use drain::{Drain, Holder};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use tokio_util::sync::CancellationToken;
