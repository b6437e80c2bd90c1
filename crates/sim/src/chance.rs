//! The chance of one run, shared by everything that is played. The product draws from another one of the same seed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_runtime::simulation::Chance;

/// Copies draw from the same chance.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<Chance>>);

impl Dice {
    /// Of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Chance::new(seed ^ 0x0b5e_55ed_d1ce))))
    }

    /// Of this seed, for something that only some runs have: whoever draws from it takes nothing from the others.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |mixed: u64, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(seed ^ mixed)
    }

    fn with<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number below `bound`; 0 when that is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.with(|chance| chance.below(bound))
    }

    /// True `percent` times in a hundred.
    #[must_use]
    pub fn percent(&self, percent: u64) -> bool {
        self.with(|chance| chance.percent(percent))
    }

    /// Anything between two numbers of milliseconds.
    #[must_use]
    pub fn millis(&self, least: u64, most: u64) -> Duration {
        self.with(|chance| chance.between(Duration::from_millis(least), Duration::from_millis(most)))
    }

    /// One of these; none when there are none.
    #[must_use]
    pub fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        self.with(|chance| chance.pick(of).cloned())
    }
}
