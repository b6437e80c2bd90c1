//! The ground of a deterministic simulation: on a thread that has begun one, everything the product draws by chance and every
//! system clock follow a seed and tokio's paused time.
//!
//! Only for tests: the programs are built without it.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use jiff::Timestamp;

/// When every simulation begins: a fixed moment, so that a seed always sees the same days.
pub const BEGINNING: Timestamp = Timestamp::constant(1_800_000_000, 0);

thread_local! {
    static CHANCE: RefCell<Option<Chance>> = const { RefCell::new(None) };
    static STARTED: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
}

/// Chance that follows from a seed: SplitMix64, the same on every machine and for ever.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The one of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let drawn = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u64::try_from(drawn).unwrap_or(0)
    }

    /// True `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Anything from `least` to `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(self.below(span + 1))
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(of.len()).unwrap_or(u64::MAX));
        of.get(usize::try_from(at).unwrap_or(0))
    }
}

/// A simulation on this thread; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the simulation ends when this is dropped"]
pub struct Simulation(());

/// Begins one on this thread, inside its runtime.
pub fn begin(seed: u64) -> Simulation {
    CHANCE.set(Some(Chance::new(seed)));
    STARTED.set(Some(tokio::time::Instant::now()));
    Simulation(())
}

impl Drop for Simulation {
    fn drop(&mut self) {
        CHANCE.set(None);
        STARTED.set(None);
    }
}

/// 64 bits of the simulation on this thread; none when there is no simulation.
pub(crate) fn draw() -> Option<u64> {
    CHANCE.with_borrow_mut(|chance| chance.as_mut().map(Chance::next))
}

/// The simulated time of day as a clock without fault shows it; none when there is no simulation on this thread.
#[must_use]
pub fn now() -> Option<Timestamp> {
    STARTED
        .get()
        .map(|started| BEGINNING.saturating_add(started.elapsed()).unwrap_or(BEGINNING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_draws_the_same_and_time_starts_at_the_beginning() {
        let drawn = || {
            let _simulation = begin(7);
            (
                crate::entropy::uuid(),
                crate::entropy::up_to(Duration::from_secs(1)),
            )
        };
        assert_eq!(drawn(), drawn());
        assert_eq!(now(), None);
        let _simulation = begin(7);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let passed = now().unwrap().duration_since(BEGINNING);
        assert_eq!(passed.as_secs(), 5);
    }
}
