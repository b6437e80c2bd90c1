//! Evidence of isolation: what was tried against a tenant's walls, what was expected, what was seen, when, and against which
//! versions. Made by the agent in the tenant's cluster and signed by it; here is only what it says and what it comes to.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    condition::clipped,
    digest::Digest,
    id::{ClusterName, Generation, TenantId, Uid},
};

/// Most probes of one pass that are taken.
pub const MOST_PROBES: usize = 500;
/// Failed probes that a summary names; more are counted only.
const NAMED: usize = 5;
/// Evidence is believed for so many intervals.
const INTERVALS: u32 = 3;
/// No evidence is believed for less or for longer, whatever interval it names.
const BELIEVED: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(24 * 3600));

/// One pass over a tenant's walls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Where.
    pub cluster: ClusterName,
    /// The assignment that was in force.
    pub generation: Generation,
    /// Of its objects.
    pub digest: Digest,
    /// When the pass began, by the agent's clock.
    pub started_at: Timestamp,
    /// When it ended, by the agent's clock.
    pub finished_at: Timestamp,
    /// How often a pass is made, in seconds.
    pub interval_seconds: u64,
    /// Who probed.
    pub agent_version: String,
    /// Against which API server.
    pub kubernetes_version: String,
    /// The admission policies and bindings that stood, by kind and name.
    #[serde(default)]
    pub policies: BTreeMap<String, PolicySeen>,
    /// Everything that was tried, and what was not.
    pub probes: Vec<Probe>,
    /// Attempts of the tenant's own workloads and people to cross its walls that were refused, as far as the cluster tells.
    #[serde(default)]
    pub refused_attempts: u64,
}

/// Which version of a policy stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySeen {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name, the same in every pass: `pod-host-path`.
    pub name: String,
    /// What was tried, for people.
    pub what: String,
    /// What should come of it.
    pub expected: String,
    /// What came of it.
    pub seen: String,
    /// Whether the walls cannot count as seen without it.
    pub required: bool,
    /// Whether the wall held.
    pub outcome: ProbeOutcome,
}

/// Whether a wall held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum ProbeOutcome {
    /// As expected, and by the wall that is meant.
    Passed,
    /// Not as expected.
    Failed {
        /// What is open, for people.
        hole: String,
    },
    /// Nothing is known. Never counts as passed.
    NotTried {
        /// Why, for people.
        reason: String,
    },
}

/// What a pass comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything that is required was seen to hold.
    Passed,
    /// At least one wall did not hold.
    Failed,
    /// No wall was seen not to hold, and not every required one was seen to hold.
    NotTried,
}

impl Verdict {
    /// `Passed`, `Failed` or `NotTried`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::NotTried => "NotTried",
        }
    }
}

/// The sum of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// What it comes to.
    pub verdict: Verdict,
    /// How many walls held.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// How many were not tried.
    pub not_tried: usize,
    /// One line that names what did not hold, or what was not tried. The same for the same findings, whenever they were made.
    pub told: String,
}

impl Evidence {
    /// What it comes to.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut holes = Vec::new();
        let mut open = Vec::new();
        let mut aside = Vec::new();
        let mut passed = 0;
        for probe in &self.probes {
            match &probe.outcome {
                ProbeOutcome::Passed => passed += 1,
                ProbeOutcome::Failed { hole } => holes.push(format!("{}: {hole}", probe.name)),
                ProbeOutcome::NotTried { reason } if probe.required => {
                    open.push(format!("{}: {reason}", probe.name));
                }
                ProbeOutcome::NotTried { reason } => aside.push(format!("{}: {reason}", probe.name)),
            }
        }
        let (failed, not_tried) = (holes.len(), open.len() + aside.len());
        let (verdict, told) = if failed > 0 {
            let of = self.probes.len();
            (
                Verdict::Failed,
                format!("{failed} of {of} probes failed: {}", listed(&holes)),
            )
        } else if !open.is_empty() || passed == 0 {
            let told = match open.as_slice() {
                [] => "nothing was tried".to_owned(),
                open => format!("{} not tried: {}", open.len(), listed(open)),
            };
            (Verdict::NotTried, told)
        } else if aside.is_empty() {
            (Verdict::Passed, format!("{passed} probes passed"))
        } else {
            let told = format!(
                "{passed} probes passed, {} not tried ({})",
                aside.len(),
                listed(&aside)
            );
            (Verdict::Passed, told)
        };
        Findings {
            verdict,
            passed,
            failed,
            not_tried,
            told: clipped(told),
        }
    }

    /// Whether another pass found the same of the same assignment, policies and versions, whenever it was made.
    #[must_use]
    pub fn found_the_same(&self, other: &Self) -> bool {
        let same_probe =
            |(a, b): (&Probe, &Probe)| (&a.name, a.required, &a.outcome) == (&b.name, b.required, &b.outcome);
        (&self.tenant, &self.uid, &self.cluster) == (&other.tenant, &other.uid, &other.cluster)
            && (self.generation, &self.digest) == (other.generation, &other.digest)
            && self.policies == other.policies
            && self.interval_seconds == other.interval_seconds
            && self.agent_version == other.agent_version
            && self.kubernetes_version == other.kubernetes_version
            && self.probes.len() == other.probes.len()
            && self.probes.iter().zip(&other.probes).all(same_probe)
    }

    /// How long it is believed.
    #[must_use]
    pub fn believed_for(&self) -> Duration {
        Duration::from_secs(self.interval_seconds)
            .saturating_mul(INTERVALS)
            .clamp(BELIEVED.0, BELIEVED.1)
    }
}

/// The first of `texts`, and how many more there are.
fn listed(texts: &[String]) -> String {
    let mut told = texts.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > NAMED {
        told.push_str(&format!("; and {} more", texts.len() - NAMED));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(name: &str, required: bool, outcome: ProbeOutcome) -> Probe {
        Probe {
            name: name.into(),
            what: "w".into(),
            expected: "refused".into(),
            seen: "refused".into(),
            required,
            outcome,
        }
    }

    fn evidence(probes: Vec<Probe>) -> Evidence {
        Evidence {
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new("u").unwrap(),
            cluster: ClusterName::new("eu-1").unwrap(),
            generation: Generation(1),
            digest: Digest::new("0".repeat(64)).unwrap(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            interval_seconds: 600,
            agent_version: "0.1.0".into(),
            kubernetes_version: "v1.36.3".into(),
            policies: BTreeMap::new(),
            probes,
            refused_attempts: 0,
        }
    }

    fn failed() -> ProbeOutcome {
        ProbeOutcome::Failed { hole: "open".into() }
    }

    fn not_tried() -> ProbeOutcome {
        ProbeOutcome::NotTried { reason: "why".into() }
    }

    #[test]
    fn what_was_not_tried_never_counts_as_passed() {
        let passed = || probe("a", true, ProbeOutcome::Passed);
        let cases = [
            (vec![], Verdict::NotTried, "nothing was tried"),
            (vec![passed()], Verdict::Passed, "1 probes passed"),
            (
                vec![passed(), probe("b", true, not_tried())],
                Verdict::NotTried,
                "1 not tried: b: why",
            ),
            (
                vec![passed(), probe("b", false, not_tried())],
                Verdict::Passed,
                "1 probes passed, 1 not tried (b: why)",
            ),
            (
                vec![probe("b", false, not_tried())],
                Verdict::NotTried,
                "nothing was tried",
            ),
            (
                vec![
                    passed(),
                    probe("b", true, not_tried()),
                    probe("c", false, failed()),
                ],
                Verdict::Failed,
                "1 of 3 probes failed: c: open",
            ),
        ];
        for (probes, verdict, told) in cases {
            let findings = evidence(probes).findings();
            assert_eq!((findings.verdict, findings.told.as_str()), (verdict, told));
        }
    }

    #[test]
    fn every_probe_is_counted_and_the_first_holes_are_named() {
        let probes = (0..9)
            .map(|at| probe(&format!("p{at}"), true, failed()))
            .collect();
        let findings = evidence(probes).findings();
        assert_eq!((findings.passed, findings.failed, findings.not_tried), (0, 9, 0));
        assert!(
            findings.told.ends_with("p4: open; and 4 more"),
            "{}",
            findings.told
        );
    }

    #[test]
    fn times_and_counts_alone_are_no_other_findings() {
        let first = evidence(vec![probe("a", true, ProbeOutcome::Passed)]);
        let mut again = first.clone();
        again.finished_at = Timestamp::MAX;
        again.refused_attempts = 7;
        again.probes[0].seen = "refused otherwise".into();
        assert!(first.found_the_same(&again));
        again.probes[0].outcome = failed();
        assert!(!first.found_the_same(&again));
        let other = PolicySeen {
            uid: "u".into(),
            generation: 2,
        };
        let policies = BTreeMap::from([("ValidatingAdmissionPolicy p".to_owned(), other)]);
        assert!(!first.found_the_same(&Evidence {
            policies,
            ..first.clone()
        }));
    }

    #[test]
    fn evidence_is_believed_for_three_intervals_within_bounds() {
        let believed = |interval_seconds| {
            let evidence = Evidence {
                interval_seconds,
                ..evidence(Vec::new())
            };
            evidence.believed_for().as_secs()
        };
        assert_eq!(believed(600), 1800);
        assert_eq!(believed(0), 3);
        assert_eq!(believed(u64::MAX), 24 * 3600);
    }
}
