//! What has to be done for one object, and in which order. Pure.

use berth_model::assignment::ApplyPhase;
use sha2::{Digest as _, Sha256};

/// The phases in their order.
pub(crate) const PHASES: [ApplyPhase; 4] = [
    ApplyPhase::Namespace,
    ApplyPhase::Walls,
    ApplyPhase::Access,
    ApplyPhase::Workload,
];

/// What people are told while a phase runs.
pub(crate) const fn phase_name(phase: ApplyPhase) -> &'static str {
    match phase {
        ApplyPhase::Namespace => "namespaces",
        ApplyPhase::Walls => "quotas, limits and network policies",
        ApplyPhase::Access => "accounts and role bindings",
        ApplyPhase::Workload => "workloads",
    }
}

/// A hash that stays the same from one version of Berth to the next: the ledger keeps it.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Parts are told apart by their length.
    pub(crate) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> u64 {
        let digest = self.0.finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut print = Self::new();
        print.add(bytes);
        print.finish()
    }
}

/// How an object was when we last wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Its version then; 0 when only the ledger remembers.
    pub(crate) version: u64,
    /// What tells whether it was changed since.
    pub(crate) fingerprint: u64,
    /// Of the bytes that were sent.
    pub(crate) body: u64,
}

/// How an object looks now, as far as the watch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Not seen; the watch of its kind has come as far as that version, or has not yet had a first look.
    Unseen(Option<u64>),
    /// Gone with that version.
    Gone(u64),
    /// There.
    There {
        /// Its version.
        version: u64,
        /// Its fingerprint.
        fingerprint: u64,
    },
}

/// How it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drift {
    /// As we left it.
    None,
    /// The watch has not come so far.
    Pending,
    /// Somebody took a field that we own.
    Changed,
    /// Somebody deleted it.
    Deleted,
}

/// Compares what was written with what is seen.
pub(crate) fn judge(applied: Applied, sight: Sight) -> Drift {
    match sight {
        Sight::Unseen(None) => Drift::Pending,
        Sight::Unseen(Some(reached)) | Sight::Gone(reached) if reached < applied.version => Drift::Pending,
        Sight::Unseen(Some(_)) | Sight::Gone(_) => Drift::Deleted,
        Sight::There { fingerprint, .. } if fingerprint == applied.fingerprint => Drift::None,
        Sight::There { version, .. } if version < applied.version => Drift::Pending,
        Sight::There { .. } => Drift::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLIED: Applied = Applied {
        version: 10,
        fingerprint: 7,
        body: 0,
    };

    #[test]
    fn only_what_happened_after_our_own_write_is_drift() {
        let there = |version, fingerprint| Sight::There { version, fingerprint };
        let cases = [
            (Sight::Unseen(None), Drift::Pending),
            (Sight::Unseen(Some(9)), Drift::Pending),
            (Sight::Unseen(Some(10)), Drift::Deleted),
            (Sight::Gone(9), Drift::Pending),
            (Sight::Gone(11), Drift::Deleted),
            (there(9, 6), Drift::Pending),
            (there(10, 7), Drift::None),
            (there(12, 7), Drift::None),
            (there(12, 8), Drift::Changed),
        ];
        for (sight, drift) in cases {
            assert_eq!(judge(APPLIED, sight), drift, "{sight:?}");
        }
    }

    #[test]
    fn what_only_the_ledger_remembers_is_compared_with_the_first_look() {
        let remembered = Applied {
            version: 0,
            ..APPLIED
        };
        assert_eq!(judge(remembered, Sight::Unseen(None)), Drift::Pending);
        assert_eq!(judge(remembered, Sight::Unseen(Some(5))), Drift::Deleted);
        assert_eq!(
            judge(
                remembered,
                Sight::There {
                    version: 5,
                    fingerprint: 7
                }
            ),
            Drift::None
        );
        assert_eq!(
            judge(
                remembered,
                Sight::There {
                    version: 5,
                    fingerprint: 8
                }
            ),
            Drift::Changed
        );
    }
}
