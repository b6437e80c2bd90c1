//! Randomness as a seam: uids and jitter are drawn here, so that a simulation can draw them from its seed.
//!
//! Secrets are not: keys and tokens come from the system's own generator, whatever is played.

use std::time::Duration;

use rand::Rng as _;
use uuid::Uuid;

/// An identifier nobody has had: a random (version 4) UUID.
#[must_use]
pub fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(((u128::from(word()) << 64) | u128::from(word())).to_be_bytes())
        .into_uuid()
}

/// Anything from nothing up to `longest`, all equally likely.
#[must_use]
pub fn up_to(longest: Duration) -> Duration {
    let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    // The product of the two fits, so the share is exact to the nanosecond.
    let drawn = (u128::from(word()) * (u128::from(nanos) + 1)) >> 64;
    Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
}

fn word() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(drawn) = crate::simulation::draw() {
        return drawn;
    }
    rand::rng().random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_stays_within_its_bound_and_uses_all_of_it() {
        let longest = Duration::from_millis(10);
        let drawn: Vec<Duration> = (0..2000).map(|_| up_to(longest)).collect();
        assert!(drawn.iter().all(|wait| *wait <= longest));
        assert!(drawn.iter().any(|wait| *wait < longest / 4));
        assert!(drawn.iter().any(|wait| *wait > longest * 3 / 4));
        assert_eq!(up_to(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn an_identifier_is_of_version_4_and_another_every_time() {
        assert_eq!(uuid().get_version_num(), 4);
        assert_ne!(uuid(), uuid());
    }
}
