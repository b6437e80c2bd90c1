//! Seeing whether a tenant's walls stand: what is tried, what should come of it, and what came of it.
//!
//! [`survey`] reads off an assignment who and what there is, [`rights`] asks what accounts and members may do, [`hostile`] has
//! the API server judge objects that should be refused, by dry runs as the tenant's own deployer, [`standing`] compares what stands
//! with what was assigned and with the agent's manifest, [`traffic`] says why no packets are sent, [`refusal`] tells which wall
//! refused. These are pure; [`run`] asks the API server. Nothing is written, and nobody but the deployer is impersonated.
//!
//! It deliberately does not know what follows from a hole, who is told, or when a pass is made.

mod attempts;
mod hostile;
mod refusal;
mod rights;
mod run;
mod standing;
mod survey;
mod traffic;

use berth_model::{Probe, ProbeOutcome};

pub(crate) use run::{Surroundings, pass, served};
pub(crate) use standing::{ADMISSION, POLICY_KINDS};
pub(crate) use survey::Survey;

/// Who probes, how often, and what the agent's manifest has here.
#[derive(Clone, Debug)]
pub struct ProbedBy {
    /// Version of the agent.
    pub agent_version: String,
    /// How often a pass is made.
    pub interval: std::time::Duration,
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum NotProbed {
    /// Nothing is held of the tenant, it is on its way in or out, or something newer came during the pass.
    #[error("tenant {0} is not applied, or not any more")]
    NotApplied(berth_model::TenantId),
    /// The API server does not answer.
    #[error("probe tenant {tenant}")]
    Api {
        /// Which.
        tenant: berth_model::TenantId,
        /// Why not.
        #[source]
        source: crate::RequestError,
    },
}

/// What is tried, before anything came of it.
#[derive(Clone, Debug)]
struct Aim {
    name: String,
    what: String,
    expected: String,
}

impl Aim {
    fn new(name: impl Into<String>, what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            expected: expected.into(),
        }
    }

    fn probe(self, seen: impl Into<String>, required: bool, outcome: ProbeOutcome) -> Probe {
        let Self { name, what, expected } = self;
        Probe {
            name,
            what,
            expected,
            seen: short(seen.into()),
            required,
            outcome,
        }
    }

    fn passed(self, seen: impl Into<String>) -> Probe {
        self.probe(seen, true, ProbeOutcome::Passed)
    }

    fn failed(self, seen: impl Into<String>, hole: impl Into<String>) -> Probe {
        let hole = short(hole.into());
        self.probe(seen, true, ProbeOutcome::Failed { hole })
    }

    /// Not known, and not to be done without.
    fn open(self, reason: impl Into<String>) -> Probe {
        let reason = short(reason.into());
        self.probe("", true, ProbeOutcome::NotTried { reason })
    }

    /// Not known, and said so.
    fn aside(self, reason: impl Into<String>) -> Probe {
        let reason = short(reason.into());
        self.probe("", false, ProbeOutcome::NotTried { reason })
    }
}

/// Longest text about one probe.
const LONGEST: usize = 240;

fn short(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(" ...");
    }
    text
}
