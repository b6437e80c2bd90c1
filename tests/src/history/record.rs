//! The history: calls and events in the order in which this process saw them. Nothing here judges.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_proto::v1;

/// What a client asks of one tenant. Every write brings a value that nobody else writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// CreateTenant.
    Create {
        /// The value.
        value: u64,
    },
    /// GetTenant, or the tenant's place in ListTenants.
    Get,
    /// UpdateTenant, at an etag or at any.
    Update {
        /// The value.
        value: u64,
        /// The etag.
        etag: Option<u64>,
    },
    /// DeleteTenant, at an etag or at any.
    Delete {
        /// The etag.
        etag: Option<u64>,
    },
}

/// A tenant as an answer or an event shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Stands for its uid.
    pub uid: u32,
    /// Its generation.
    pub generation: i64,
    /// Its etag.
    pub etag: u64,
    /// The value that was last written.
    pub value: u64,
    /// Whether its deletion was asked for.
    pub deleting: bool,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is the tenant now.
    Is(Seen),
    /// There is none.
    Absent,
    /// There is one already.
    Exists,
    /// It is not at that etag.
    Stale,
    /// It is being deleted and cannot be changed.
    Deleting,
    /// Refused, and surely without effect.
    Nothing,
}

/// One call concerning one tenant. Moments are counted, not measured: of two, the smaller was earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called.
    pub client: usize,
    /// The tenant.
    pub tenant: String,
    /// What was asked.
    pub op: Op,
    /// When it was about to be sent.
    pub begun: u64,
    /// When the answer was there, and the answer; none when it was lost: the call may have had its effect, or may yet.
    pub ended: Option<(u64, Answer)>,
}

/// Something a watch stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The stream was opened.
    Opened {
        /// At which hub.
        hub: usize,
        /// With the resume token of the event before.
        resuming: bool,
    },
    /// There is this tenant, or it changed.
    Upserted {
        /// The tenant.
        tenant: String,
        /// How it is.
        seen: Seen,
        /// Stands for all of the message.
        whole: u64,
        /// It is part of a snapshot.
        snapshot: bool,
    },
    /// It is gone.
    Deleted {
        /// The tenant.
        tenant: String,
    },
    /// The snapshot is complete.
    SnapshotEnd,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The calls in the order in which they began.
    pub calls: Vec<Call>,
    /// The events of each watcher in order.
    pub watches: Vec<Vec<Event>>,
    /// What there was when everything was quiet again.
    pub last: BTreeMap<String, Seen>,
}

/// Writes a history down while it happens.
#[derive(Debug, Default)]
pub struct Recorder {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    moment: u64,
    uids: BTreeMap<String, u32>,
    values: u64,
    used: BTreeMap<usize, u64>,
    history: History,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    fn seen(&mut self, tenant: &v1::Tenant) -> Seen {
        let next = u32::try_from(self.uids.len()).unwrap_or(u32::MAX);
        let uid = *self.uids.entry(tenant.uid.clone()).or_insert(next);
        let value = tenant.spec.as_ref().map(|spec| spec.display_name.as_str());
        Seen {
            uid,
            generation: tenant.generation,
            etag: tenant.etag.parse().unwrap_or(0),
            value: value.and_then(|value| value.parse().ok()).unwrap_or(0),
            deleting: tenant.delete_time.is_some(),
        }
    }
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value that was not given out before.
    pub fn value(&self) -> u64 {
        let mut state = self.state();
        state.values += 1;
        state.values
    }

    /// The tenant that `slot` stands for now; after `calls` calls it stands for another one, so that no tenant's history grows
    /// beyond what can be checked.
    pub fn tenant(&self, slot: usize, calls: u64) -> String {
        let mut state = self.state();
        let used = state.used.entry(slot).or_insert(0);
        let epoch = *used / calls.max(1);
        *used += 1;
        format!("h{slot}-{epoch}")
    }

    /// Notes that a call is about to be sent; the place to note its answer at.
    pub fn begin(&self, client: usize, tenant: &str, op: Op) -> usize {
        let mut state = self.state();
        let begun = state.tick();
        state.history.calls.push(Call {
            client,
            tenant: tenant.to_owned(),
            op,
            begun,
            ended: None,
        });
        state.history.calls.len() - 1
    }

    /// Notes an answer that shows a tenant, and gives back what it shows.
    pub fn shown(&self, call: usize, tenant: &v1::Tenant) -> Seen {
        let seen = self.state().seen(tenant);
        self.end(call, Answer::Is(seen));
        seen
    }

    /// Notes an answer.
    pub fn end(&self, call: usize, answer: Answer) {
        let mut state = self.state();
        let moment = state.tick();
        if let Some(call) = state.history.calls.get_mut(call) {
            call.ended = Some((moment, answer));
        }
    }

    /// Room for another watcher's events.
    pub fn watcher(&self) -> usize {
        let mut state = self.state();
        state.history.watches.push(Vec::new());
        state.history.watches.len() - 1
    }

    /// Notes an event.
    pub fn event(&self, watcher: usize, event: Event) {
        if let Some(events) = self.state().history.watches.get_mut(watcher) {
            events.push(event);
        }
    }

    /// A tenant as an event or a list shows it.
    pub fn seen(&self, tenant: &v1::Tenant) -> Seen {
        self.state().seen(tenant)
    }

    /// What has been written down so far.
    pub fn history(&self) -> History {
        self.state().history.clone()
    }
}
