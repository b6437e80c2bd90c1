//! A clock for every process: wall clocks are wrong by as much as the simulation likes and may be set at any time, monotonic
//! ones go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use berth_model::Timestamp;
use berth_runtime::{Clock, simulation};

use crate::gate::Gate;

/// By how much a machine's wall clock is wrong, in milliseconds. Outlives the machine's processes.
#[derive(Clone, Debug, Default)]
pub struct Skew(Arc<AtomicI64>);

impl Skew {
    /// Sets it.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    /// What the machine's wall clock says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let right = simulation::now()
            .unwrap_or(simulation::BEGINNING)
            .as_millisecond();
        Timestamp::from_millisecond(right.saturating_add(self.0.load(Ordering::Relaxed)))
            .unwrap_or(simulation::BEGINNING)
    }
}

/// The clock of one process.
#[derive(Clone, Debug)]
pub struct NodeClock {
    skew: Skew,
    gate: Gate,
    started: tokio::time::Instant,
}

impl NodeClock {
    /// For the process behind `gate` on the machine with that skew, which starts now.
    #[must_use]
    pub fn new(skew: Skew, gate: Gate) -> Self {
        Self {
            skew,
            gate,
            started: tokio::time::Instant::now(),
        }
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.skew.now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        self.gate.pass().await;
    }
}
