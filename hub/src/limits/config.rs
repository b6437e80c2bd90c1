//! The section `limits` of the configuration: what strangers and callers may take of the hub.

use std::time::Duration;

use serde::Deserialize;

/// Limits of both listeners. What is refused is counted in `berth_hub_limited_total`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Of the listener of the API.
    pub api: ListenerLimits,
    /// Of the listener of agents.
    pub agents: ListenerLimits,
    /// TLS handshakes at once, on each listener; one address may hold half of them.
    pub handshakes: usize,
    /// How long a handshake may take, in seconds.
    pub handshake_seconds: u64,
    /// How long a connection may stay without a single call, in seconds.
    pub first_call_seconds: u64,
    /// How long a connection without an open call is kept after its last one, in seconds.
    pub idle_seconds: u64,
    /// How long the message of a request may take to arrive, and an answer to be taken, in seconds.
    pub message_seconds: u64,
    /// The longest message, in bytes, either way.
    pub message_bytes: usize,
    /// The longest list of headers, in bytes.
    pub header_bytes: u32,
    /// Calls that were given up and not yet looked at (HTTP/2 rapid reset); a connection with more is ended.
    pub pending_resets: usize,
    /// Calls of one identity a second, when it goes on for long.
    pub calls_per_second: u32,
    /// Calls of one identity at once.
    pub calls_burst: u32,
    /// Calls from one address a second, before it is known who calls.
    pub address_calls_per_second: u32,
    /// Calls from one address at once.
    pub address_calls_burst: u32,
    /// Open watches and other streams of one identity.
    pub watches_per_caller: usize,
    /// Open watches and other streams in all.
    pub watches: usize,
    /// How long the reader of a watch may leave its next event lying, in seconds.
    pub slow_reader_seconds: u64,
}

/// Limits of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address (of IPv6, from one /64).
    pub connections_per_address: usize,
    /// New connections from one address a second, when it goes on for long.
    pub new_connections_per_second: u32,
    /// New connections from one address at once.
    pub new_connections_burst: u32,
    /// Calls at once on one connection.
    pub streams_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            api: ListenerLimits {
                connections: 4096,
                connections_per_address: 256,
                new_connections_per_second: 100,
                new_connections_burst: 1000,
                streams_per_connection: 128,
            },
            // Whole sites of agents may come from one address, all of them at once after the hub was away.
            agents: ListenerLimits {
                connections: 16_384,
                connections_per_address: 4096,
                new_connections_per_second: 200,
                new_connections_burst: 8192,
                streams_per_connection: 16,
            },
            handshakes: 1024,
            handshake_seconds: 10,
            first_call_seconds: 30,
            idle_seconds: 900,
            message_seconds: 30,
            message_bytes: 4 << 20,
            header_bytes: 16 << 10,
            pending_resets: 20,
            calls_per_second: 500,
            calls_burst: 5000,
            address_calls_per_second: 2000,
            address_calls_burst: 10_000,
            watches_per_caller: 64,
            watches: 2048,
            slow_reader_seconds: 30,
        }
    }
}

impl Limits {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The field, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        let counts = [
            ("handshakes", self.handshakes, 2),
            ("watchesPerCaller", self.watches_per_caller, 1),
            ("watches", self.watches, 1),
            ("pendingResets", self.pending_resets, 1),
            ("callsPerSecond", self.calls_per_second as usize, 1),
            ("callsBurst", self.calls_burst as usize, 1),
            ("addressCallsPerSecond", self.address_calls_per_second as usize, 1),
            ("addressCallsBurst", self.address_calls_burst as usize, 1),
        ];
        for (name, value, least) in counts {
            if value < least {
                return Err(format!("limits.{name} must be at least {least}"));
            }
        }
        for (name, listener) in [("api", &self.api), ("agents", &self.agents)] {
            let values = [
                listener.connections,
                listener.connections_per_address,
                listener.new_connections_per_second as usize,
                listener.new_connections_burst as usize,
                listener.streams_per_connection as usize,
            ];
            if values.contains(&0) {
                return Err(format!("limits.{name}: every limit must be at least 1"));
            }
        }
        let times = [
            ("handshakeSeconds", self.handshake_seconds),
            ("firstCallSeconds", self.first_call_seconds),
            ("idleSeconds", self.idle_seconds),
            ("messageSeconds", self.message_seconds),
            ("slowReaderSeconds", self.slow_reader_seconds),
        ];
        for (name, value) in times {
            if !(1..=86_400).contains(&value) {
                return Err(format!("limits.{name} must be between 1 and 86400"));
            }
        }
        if !(64 << 10..=4 << 20).contains(&self.message_bytes) {
            return Err("limits.messageBytes must be between 65536 and 4194304".into());
        }
        if !(4 << 10..=1 << 20).contains(&self.header_bytes) {
            return Err("limits.headerBytes must be between 4096 and 1048576".into());
        }
        Ok(())
    }

    pub(super) const fn first_call(&self) -> Duration {
        Duration::from_secs(self.first_call_seconds)
    }

    pub(super) const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    pub(super) const fn message(&self) -> Duration {
        Duration::from_secs(self.message_seconds)
    }

    pub(super) const fn slow_reader(&self) -> Duration {
        Duration::from_secs(self.slow_reader_seconds)
    }

    /// How long a handshake may take.
    #[must_use]
    pub const fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_nothing_may_be_without_a_bound_or_shut() {
        assert_eq!(Limits::default().check(), Ok(()));
        for wrong in [
            Limits {
                watches: 0,
                ..Limits::default()
            },
            Limits {
                calls_per_second: 0,
                ..Limits::default()
            },
            Limits {
                idle_seconds: 0,
                ..Limits::default()
            },
            Limits {
                message_bytes: usize::MAX,
                ..Limits::default()
            },
            Limits {
                header_bytes: 1,
                ..Limits::default()
            },
        ] {
            assert!(wrong.check().unwrap_err().starts_with("limits."));
        }
    }
}
