//! Metrics of the limits.

use berth_runtime::Metrics;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{Listener, Reason};

type Labels = [(&'static str, &'static str); 2];

/// What was refused, and what is taken. Copies are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    limited: Family<Labels, Counter>,
    connections: Family<[(&'static str, &'static str); 1], Gauge>,
    watches: Gauge,
}

impl Counts {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register(
                "limited",
                "Connections and calls that were refused or ended by a limit",
                self.limited.clone(),
            );
            registry.register(
                "connections",
                "Connections, handshakes included",
                self.connections.clone(),
            );
            registry.register(
                "watches",
                "Open watches and other streams of callers",
                self.watches.clone(),
            );
        });
        // Shown from the beginning, so that an alert on them is no alert on nothing.
        for listener in [Listener::Api, Listener::Agents] {
            drop(self.connections.get_or_create(&[("listener", listener.as_str())]));
            for reason in Reason::ALL {
                drop(self.limited.get_or_create(&labels(listener, reason)));
            }
        }
    }

    pub(super) fn limited(&self, listener: Listener, reason: Reason) {
        self.limited.get_or_create(&labels(listener, reason)).inc();
    }

    pub(super) fn connected(&self, listener: Listener) {
        self.connections
            .get_or_create(&[("listener", listener.as_str())])
            .inc();
    }

    pub(super) fn disconnected(&self, listener: Listener) {
        self.connections
            .get_or_create(&[("listener", listener.as_str())])
            .dec();
    }

    pub(super) fn watches(&self, now: usize) {
        self.watches.set(i64::try_from(now).unwrap_or(i64::MAX));
    }
}

const fn labels(listener: Listener, reason: Reason) -> Labels {
    [("listener", listener.as_str()), ("limit", reason.as_str())]
}
