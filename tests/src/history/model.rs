//! One tenant as a sequence of calls would have it: what each answer may be after those before it.
//!
//! Uids and etags are chosen by hubs. The model learns them from answers; of a write whose answer was lost it knows them only when
//! a later answer shows them. Between a deletion and the next call the tenant may have gone by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stateright::semantics::SequentialSpec;

use super::record::{Answer, Op, Seen};

/// The search for an order took more steps than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// One tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    present: Option<Present>,
    /// Uids that never come back.
    gone: BTreeSet<u32>,
    /// The highest etag that was seen; every write makes a higher one.
    etag: u64,
    /// Steps that the search may still take, by all copies together.
    steps: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
struct Present {
    uid: Option<u32>,
    generation: i64,
    etag: Option<u64>,
    value: u64,
    deleting: bool,
}

impl Tenant {
    /// A tenant that never was, for a search of at most `steps` steps.
    #[must_use]
    pub fn absent(steps: u64) -> Self {
        Self {
            present: None,
            gone: BTreeSet::new(),
            etag: 0,
            steps: Arc::new(AtomicU64::new(steps)),
        }
    }

    /// Ends the search by unwinding with [`Exhausted`]: the tester has no other way out.
    fn step(&self) {
        let left = self
            .steps
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            std::panic::resume_unwind(Box::new(Exhausted));
        }
    }

    fn go(&mut self) {
        if let Some(Present { uid: Some(uid), .. }) = self.present.take() {
            self.gone.insert(uid);
        }
    }

    /// Takes what a write made: a higher etag than all before.
    fn wrote(&mut self, seen: Seen) -> bool {
        let newer = seen.etag > self.etag;
        self.etag = self.etag.max(seen.etag);
        self.present = Some(Present {
            uid: Some(seen.uid),
            generation: seen.generation,
            etag: Some(seen.etag),
            value: seen.value,
            deleting: seen.deleting,
        });
        newer
    }

    /// What the tenant is known to be is what was seen; learns what was not known.
    fn is(&mut self, known: Present, seen: Seen) -> bool {
        let same = known.generation == seen.generation
            && known.value == seen.value
            && known.deleting == seen.deleting
            && self.may_be(known.uid, seen.uid);
        match known.etag {
            _ if !same => false,
            Some(etag) => {
                self.present = Some(Present {
                    uid: Some(seen.uid),
                    ..known
                });
                etag == seen.etag
            }
            // Written by a call whose answer was lost.
            None => self.wrote(seen),
        }
    }

    fn may_be(&self, known: Option<u32>, uid: u32) -> bool {
        known.map_or_else(|| !self.gone.contains(&uid), |known| known == uid)
    }

    /// The call and its answer, on a tenant that is not there.
    fn on_nothing(&mut self, op: Op, answer: Answer) -> bool {
        match (op, answer) {
            (Op::Create { value }, Answer::Is(seen)) => {
                let new = seen.generation == 1
                    && seen.value == value
                    && !seen.deleting
                    && !self.gone.contains(&seen.uid);
                new && self.wrote(seen)
            }
            (Op::Get | Op::Update { .. } | Op::Delete { .. }, Answer::Absent) => true,
            _ => false,
        }
    }

    /// The call and its answer, on a tenant that is there.
    fn on(&mut self, known: Present, op: Op, answer: Answer) -> bool {
        let etag = match op {
            Op::Update { etag, .. } | Op::Delete { etag } => etag,
            Op::Create { .. } | Op::Get => None,
        };
        if answer == Answer::Stale {
            return etag.is_some() && (known.etag.is_none() || known.etag != etag);
        }
        if let (Some(asked), Some(known)) = (etag, known.etag)
            && asked != known
        {
            return false;
        }
        let next = |value: u64, deleting: bool, seen: Seen| {
            seen.generation == known.generation + 1 && seen.value == value && seen.deleting == deleting
        };
        match (op, answer) {
            (Op::Create { .. }, Answer::Exists) => true,
            (Op::Get, Answer::Is(seen)) => self.is(known, seen),
            (Op::Update { .. }, Answer::Deleting) => known.deleting,
            (Op::Update { value, .. }, Answer::Is(seen)) => {
                !known.deleting
                    && next(value, false, seen)
                    && self.may_be(known.uid, seen.uid)
                    && self.wrote(seen)
            }
            (Op::Delete { .. }, Answer::Is(seen)) if known.deleting => self.is(known, seen),
            (Op::Delete { .. }, Answer::Is(seen)) => {
                next(known.value, true, seen) && self.may_be(known.uid, seen.uid) && self.wrote(seen)
            }
            _ => false,
        }
    }

    /// A write whose answer was lost has its effect now, if it can have one.
    fn lost(&mut self, op: Op) {
        if matches!(op, Op::Create { .. }) && self.present.is_some_and(|known| known.deleting) {
            self.go();
        }
        let changed = match (op, self.present) {
            (Op::Create { value }, None) => Some(Present {
                uid: None,
                generation: 1,
                etag: None,
                value,
                deleting: false,
            }),
            (Op::Update { etag, .. } | Op::Delete { etag }, Some(known))
                if !known.deleting && (etag.is_none() || known.etag.is_none() || etag == known.etag) =>
            {
                let (value, deleting) = match op {
                    Op::Update { value, .. } => (value, false),
                    _ => (known.value, true),
                };
                Some(Present {
                    generation: known.generation + 1,
                    etag: None,
                    value,
                    deleting,
                    ..known
                })
            }
            _ => None,
        };
        if changed.is_some() {
            self.present = changed;
        }
    }
}

impl SequentialSpec for Tenant {
    type Op = Op;
    type Ret = Answer;

    fn invoke(&mut self, op: &Op) -> Answer {
        self.step();
        self.lost(*op);
        Answer::Nothing
    }

    fn is_valid_step(&mut self, op: &Op, answer: &Answer) -> bool {
        self.step();
        if *answer == Answer::Nothing {
            return true;
        }
        let Some(known) = self.present else {
            return self.on_nothing(*op, *answer);
        };
        if self.on(known, *op, *answer) {
            return true;
        }
        // What is being deleted may have gone meanwhile.
        if !known.deleting {
            return false;
        }
        self.present = Some(known);
        self.go();
        self.on_nothing(*op, *answer)
    }
}
