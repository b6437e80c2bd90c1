//! What a hub remembers of a cluster's mass-delete breaker: how many tenants it took away lately, and whether it stopped.
//!
//! When it stops and what a release lets go is the planner's to say.

use jiff::Timestamp;

use crate::id::Revision;

/// The memory of one cluster's breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakerMemory {
    /// Withdrawals that were begun within the window, oldest first; those that an operator confirmed are not counted.
    pub gone: Vec<Gone>,
    /// Nothing more goes until an operator releases it.
    pub tripped: Option<Tripped>,
    /// The last release.
    pub released: Option<Released>,
}

/// Withdrawals of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When they were begun.
    pub at: Timestamp,
    /// How many.
    pub tenants: u32,
}

/// When and why a breaker tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// When.
    pub at: Timestamp,
    /// Tenants that had gone within the window.
    pub went: u32,
    /// Tenants that may go within the window.
    pub allowed: u32,
    /// Tenants the cluster held when the window began.
    pub held: u32,
}

/// An operator's word that everything that was asked for by then is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// When.
    pub at: Timestamp,
    /// The store's revision then. Time and revision must both be kept: a clock that was set back makes nothing older that came
    /// later, nor does a store that counts anew.
    pub revision: Revision,
}

impl BreakerMemory {
    /// Counts one more withdrawal at `now`, and forgets what is older than `oldest`.
    pub fn count(&mut self, now: Timestamp, oldest: Timestamp) {
        self.gone.retain(|gone| gone.at >= oldest);
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        match self.gone.last_mut().filter(|last| last.at == second) {
            Some(last) => last.tenants = last.tenants.saturating_add(1),
            None => self.gone.push(Gone {
                at: second,
                tenants: 1,
            }),
        }
    }

    /// An operator confirms what was asked for by then: it goes on, and counting starts anew.
    pub fn release(&mut self, released: Released) {
        self.gone.clear();
        self.tripped = None;
        self.released = Some(released);
    }
}
