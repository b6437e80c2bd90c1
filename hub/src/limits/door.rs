//! How many connections there may be, from one address and in all, and how fast new ones may come.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_identity::{Doorkeeper, Place};
use berth_runtime::Clock;

use super::{Buckets, Listener, ListenerLimits, Rate, Reason, counts::Counts};

/// Addresses whose rate of new connections is remembered.
const ADDRESSES: usize = 16_384;

/// Keeps the door of one listener.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    limits: ListenerLimits,
    /// Handshakes that one address may hold.
    handshakes: usize,
    rates: Buckets<IpAddr>,
    inside: Arc<Mutex<Inside>>,
    counts: Counts,
    clock: Arc<dyn Clock>,
}

/// Who is inside. It has as many entries as there are connections at most.
#[derive(Debug, Default)]
struct Inside {
    all: usize,
    of: BTreeMap<IpAddr, Of>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Of {
    connections: usize,
    handshakes: usize,
}

/// What counts as one address: of IPv6 a whole /64, which any one host can have; an IPv4 address in either form.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn open(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    pub(super) fn new(
        listener: Listener,
        limits: ListenerLimits,
        handshakes: usize,
        counts: Counts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let rate = Rate::new(limits.new_connections_per_second, limits.new_connections_burst);
        Self {
            listener,
            limits,
            handshakes: handshakes / 2,
            rates: Buckets::new(rate, ADDRESSES),
            inside: Arc::default(),
            counts,
            clock,
        }
    }

    fn reason_against(&self, inside: &Inside, from: IpAddr) -> Option<Reason> {
        let of = inside.of.get(&from).copied().unwrap_or_default();
        if inside.all >= self.limits.connections {
            Some(Reason::Connections)
        } else if of.connections >= self.limits.connections_per_address {
            Some(Reason::ConnectionsOfAddress)
        } else if of.handshakes >= self.handshakes {
            Some(Reason::HandshakesOfAddress)
        } else if self.rates.take(&from, self.clock.monotonic()).is_err() {
            Some(Reason::NewConnectionsOfAddress)
        } else {
            None
        }
    }
}

impl Doorkeeper for Door {
    fn admit(&self, address: IpAddr) -> Option<Box<dyn Place>> {
        let from = network(address);
        let mut inside = open(&self.inside);
        if let Some(reason) = self.reason_against(&inside, from) {
            drop(inside);
            self.counts.limited(self.listener, reason);
            tracing::debug!(%address, reason = reason.as_str(), "no place for a connection");
            return None;
        }
        inside.all += 1;
        let of = inside.of.entry(from).or_default();
        of.connections += 1;
        of.handshakes += 1;
        drop(inside);
        self.counts.connected(self.listener);
        Some(Box::new(Inhabited {
            from,
            greeted: false,
            listener: self.listener,
            inside: self.inside.clone(),
            counts: self.counts.clone(),
        }))
    }
}

#[derive(Debug)]
struct Inhabited {
    from: IpAddr,
    greeted: bool,
    listener: Listener,
    inside: Arc<Mutex<Inside>>,
    counts: Counts,
}

impl Place for Inhabited {
    fn greeted(&mut self) {
        if !std::mem::replace(&mut self.greeted, true)
            && let Some(of) = open(&self.inside).of.get_mut(&self.from)
        {
            of.handshakes -= 1;
        }
    }
}

impl Drop for Inhabited {
    fn drop(&mut self) {
        self.greeted();
        let mut inside = open(&self.inside);
        inside.all -= 1;
        if let Some(of) = inside.of.get_mut(&self.from) {
            of.connections -= 1;
            if of.connections == 0 {
                inside.of.remove(&self.from);
            }
        }
        drop(inside);
        self.counts.disconnected(self.listener);
    }
}

#[cfg(test)]
mod tests {
    use berth_runtime::ManualClock;

    use super::*;

    fn door(limits: ListenerLimits, handshakes: usize) -> (Door, ManualClock) {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let door = Door::new(
            Listener::Api,
            limits,
            handshakes,
            Counts::default(),
            Arc::new(clock.clone()),
        );
        (door, clock)
    }

    const LIMITS: ListenerLimits = ListenerLimits {
        connections: 6,
        connections_per_address: 4,
        new_connections_per_second: 1,
        new_connections_burst: 100,
        streams_per_connection: 1,
    };

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_room_for_others_and_places_are_given_back() {
        let (door, _clock) = door(LIMITS, 100);
        let mut held: Vec<_> = (0..4).map(|_| door.admit(from("10.0.0.1")).unwrap()).collect();
        assert!(door.admit(from("10.0.0.1")).is_none());
        assert!(
            door.admit(from("::ffff:10.0.0.1")).is_none(),
            "the same in IPv6's form"
        );
        held.push(door.admit(from("10.0.0.2")).unwrap());
        held.push(door.admit(from("10.0.0.3")).unwrap());
        assert!(
            door.admit(from("10.0.0.4")).is_none(),
            "there are as many as there may be"
        );
        drop(held);
        assert!(door.admit(from("10.0.0.1")).is_some());
        assert!(
            open(&door.inside).of.is_empty(),
            "nothing is remembered of who left"
        );
    }

    #[test]
    fn one_address_holds_no_more_than_half_of_the_handshakes() {
        let (door, _clock) = door(LIMITS, 4);
        let mut held: Vec<_> = (0..2).map(|_| door.admit(from("10.0.0.1")).unwrap()).collect();
        assert!(door.admit(from("10.0.0.1")).is_none());
        for place in &mut held {
            place.greeted();
        }
        assert!(door.admit(from("10.0.0.1")).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let (door, _clock) = door(LIMITS, 100);
        let _held: Vec<_> = (1..5)
            .map(|host| door.admit(from(&format!("2001:db8::{host}"))).unwrap())
            .collect();
        assert!(door.admit(from("2001:db8::ffff")).is_none());
        assert!(door.admit(from("2001:db8:0:1::1")).is_some());
    }

    #[tokio::test]
    async fn who_connects_over_and_over_is_slowed() {
        let limits = ListenerLimits {
            new_connections_burst: 2,
            ..LIMITS
        };
        let (door, clock) = door(limits, 100);
        for _ in 0..2 {
            drop(door.admit(from("10.0.0.1")).unwrap());
        }
        assert!(door.admit(from("10.0.0.1")).is_none());
        clock.advance(std::time::Duration::from_secs(1));
        assert!(door.admit(from("10.0.0.1")).is_some());
    }
}
