//! The condition `Isolated`: whether the tenant's walls were seen to hold, by evidence that is fresh and of what is assigned now.

use berth_model::{ConditionKind, Timestamp, Truth, Verdict};

use super::sheet::{Sheet, later};
use crate::view::{Assigned, Probed};

/// What evidence says now.
struct Word {
    truth: Truth,
    reason: &'static str,
    message: String,
    /// When that changes by itself.
    until: Option<Timestamp>,
}

impl Sheet<'_> {
    /// States it, and looks again when the evidence is too old to be believed.
    pub(super) fn isolate(&mut self) {
        let Word {
            truth,
            reason,
            message,
            until,
        } = self.evidence_of_walls();
        self.set(ConditionKind::Isolated, truth, reason, message);
        if let Some(until) = until {
            self.wake(until);
        }
    }

    fn evidence_of_walls(&self) -> Word {
        let unknown = |reason, message: String| Word {
            truth: Truth::Unknown,
            reason,
            message,
            until: None,
        };
        let known = self.known;
        let assigned = known.assigned.as_ref().filter(|assigned| !assigned.withdrawing);
        let probed = known
            .probed
            .as_ref()
            .filter(|probed| probed.uid == known.tenant.uid);
        let (Some(assigned), Some(probed)) = (assigned, probed) else {
            return unknown("NotProbed", "the walls have not been probed".to_owned());
        };
        if !is_of(probed, assigned) {
            let message = format!(
                "the latest evidence is of generation {} on cluster {}, generation {} on {} is assigned",
                probed.generation, probed.cluster, assigned.generation, assigned.cluster
            );
            return unknown("NotProbed", message);
        }
        let until = later(probed.at, probed.believed_for);
        let told = &probed.findings.told;
        if self.view.now > until {
            let message = format!("the latest evidence is too old, of {:.0}: {told}", probed.at);
            return unknown("EvidenceTooOld", message);
        }
        // Without the time: the same findings of later are no news, and their age is shown with the evidence.
        let (truth, reason) = match probed.findings.verdict {
            Verdict::Passed => (Truth::True, "WallsHold"),
            Verdict::Failed => (Truth::False, "ProbeFailed"),
            Verdict::NotTried => (Truth::Unknown, "NotTried"),
        };
        Word {
            truth,
            reason,
            message: told.clone(),
            until: Some(later(until, std::time::Duration::from_millis(1))),
        }
    }
}

fn is_of(probed: &Probed, assigned: &Assigned) -> bool {
    probed.cluster == assigned.cluster
        && probed.generation == assigned.generation
        && probed.digest == assigned.digest
}
