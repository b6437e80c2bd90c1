//! One tenant as a sequence of calls would have it: what each answer may be after those before it.
//!
//! Uids and etags are chosen by hubs. The model learns them from answers; of a write whose answer was lost it knows them only when
//! a later answer shows them. Between a deletion and the next call the tenant may have gone by itself.
//!
//! The tester tries orders one by one and remembers nothing. So the model remembers for it: the same calls in another order that
//! lead to the same tenant lead nowhere either, because a search that succeeds ends (Wing and Gong's search with Lowe's memory).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// A bit for each call that has had its turn.
    done: Vec<u64>,
    /// Calls with an answer that have not had their turn.
    answers: usize,
    search: Arc<Mutex<Search>>,
}

/// What all copies of one tenant share.
#[derive(Debug)]
struct Search {
    /// Steps that may still be taken.
    steps: u64,
    /// Where the search has been.
    been: BTreeSet<Place>,
}

/// The calls that have had their turn, and what the tenant is by them.
type Place = (Vec<u64>, Option<Present>, u64, BTreeSet<u32>);

/// A call with its number among those on the tenant.
pub type Numbered = (usize, Op);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Present {
    uid: Option<u32>,
    generation: i64,
    etag: Option<u64>,
    value: u64,
    deleting: bool,
}

impl Tenant {
    /// A tenant that never was, for a search of at most `steps` steps among calls with so many answers.
    #[must_use]
    pub fn absent(steps: u64, answers: usize) -> Self {
        Self {
            present: None,
            gone: BTreeSet::new(),
            etag: 0,
            done: Vec::new(),
            answers,
            search: Arc::new(Mutex::new(Search {
                steps,
                been: BTreeSet::new(),
            })),
        }
    }

    /// Steps that the search may still take.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.search.lock().unwrap_or_else(PoisonError::into_inner).steps
    }

    /// Ends the search by unwinding with [`Exhausted`]: the tester has no other way out.
    fn step(&self) {
        let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = search.steps.checked_sub(1) else {
            drop(search);
            std::panic::resume_unwind(Box::new(Exhausted));
        };
        search.steps = left;
    }

    /// Notes that a call has had its turn; false when the search has been here before.
    fn new_place(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, number % 64);
        if self.done.len() <= word {
            self.done.resize(word + 1, 0);
        }
        if let Some(word) = self.done.get_mut(word) {
            *word |= 1 << bit;
        }
        let place = (self.done.clone(), self.present, self.etag, self.gone.clone());
        let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        search.been.insert(place)
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

    /// A write whose answer was lost has its effect now; false when it can have none, which is as if it had no turn at all.
    fn lost(&mut self, op: Op) -> bool {
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
        self.present = changed.or(self.present);
        changed.is_some()
    }

    /// Whether the answer can be; learns from it.
    fn answered(&mut self, op: Op, answer: Answer) -> bool {
        if answer == Answer::Nothing {
            return true;
        }
        let Some(known) = self.present else {
            return self.on_nothing(op, answer);
        };
        if self.on(known, op, answer) {
            return true;
        }
        // What is being deleted may have gone meanwhile.
        if !known.deleting {
            return false;
        }
        self.present = Some(known);
        self.go();
        self.on_nothing(op, answer)
    }
}

impl SequentialSpec for Tenant {
    type Op = Numbered;
    /// None when the answer was lost. Such a call counts as one that goes on until the end: it has its turn where it has an effect,
    /// or at the end, where it has none. The tester's own way, calls that never return, tries their orders even where nothing
    /// can come of it.
    type Ret = Option<Answer>;

    fn invoke(&mut self, (number, op): &Numbered) -> Option<Answer> {
        self.is_valid_step(&(*number, *op), &None);
        None
    }

    fn is_valid_step(&mut self, (number, op): &Numbered, answer: &Option<Answer>) -> bool {
        self.step();
        let can_be = match *answer {
            Some(answer) => {
                self.answers = self.answers.saturating_sub(1);
                self.answered(*op, answer)
            }
            None => self.answers == 0 || self.lost(*op),
        };
        can_be && self.new_place(*number)
    }
}
