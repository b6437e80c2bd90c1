//! What the loop writes down of its decisions before it carries them out, and what each of them stood on.
//!
//! A decision that cannot be written down is not carried out, whatever it is: it is made again a second later. What was decided before
//! goes on: agents are kept, told again what was recorded already, and heard.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use berth_model::{ClusterName, Revision, TenantId};
use berth_plan::{plan::Step, view::View};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::Fleet;
use crate::{
    execute::{Batch, InfraCall},
    seams::Decision,
};

/// After which what could not be recorded is decided again.
const AGAIN: Duration = Duration::from_secs(1);

/// The decisions of one round.
pub(super) struct Decided {
    /// What all of them stand on.
    fleet: Sha256,
    revision: Revision,
    decisions: Vec<Decision>,
    /// Of infrastructure: what is to be remembered when it is recorded.
    calls: Vec<(TenantId, String)>,
}

impl Decided {
    /// Sums up what every decision of a round sees: the settings; the store's revision, which stands for everything that is kept, as a
    /// backup brings it back; and of what agents say, which clusters are not connected, not fresh or not well.
    pub(super) fn at(view: &View, revision: Revision) -> Self {
        let mut fleet = Sha256::new();
        let text = &mut Hashing(&mut fleet);
        // A hash takes everything.
        let _ = write!(
            text,
            "{}/{}/{}/{revision}/{:?}",
            view.fleet, view.term, view.command_term, view.settings
        );
        for (name, known) in &view.clusters {
            let error = known.session.as_ref().map(|session| &session.api_error);
            let fresh = known.evidence_at.is_some_and(|at| {
                view.now.duration_since(at).unsigned_abs() <= view.settings.evidence_lifetime
            });
            if !fresh || error != Some(&None) {
                let _ = write!(text, "/cluster {name} {fresh} {error:?}");
            }
        }
        Self {
            fleet,
            revision,
            decisions: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// What a step decides; its inputs are the fleet's and everything that is known of the tenant.
    pub(super) fn decision(&self, view: &View, step: &Step) -> Decision {
        let tenant = step.tenant();
        let mut seen = self.fleet.clone();
        if let Some(known) = view.tenants.get(tenant) {
            let _ = write!(Hashing(&mut seen), "/tenant {known:?}");
        }
        let (name, cluster, reason, mut detail) = told(step);
        detail.insert("storeRevision", self.revision.to_string());
        if let Some(known) = view.tenants.get(tenant) {
            detail.insert("generation", known.tenant.generation.to_string());
            detail.insert("uid", known.tenant.uid.to_string());
        }
        Decision {
            step: name,
            tenant: tenant.clone(),
            cluster,
            reason,
            inputs: format!("sha256:{}", hex::encode(seen.finalize())),
            detail,
        }
    }

    pub(super) fn push(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    /// A call to a cloud is made again and again until it is done: only the first is a decision.
    pub(super) fn push_call(&mut self, decision: Decision, recorded: &BTreeMap<TenantId, String>) {
        let attempt = decision.detail.get("attempt").map_or("", String::as_str);
        let said = format!("{} {attempt} {}", decision.step, decision.reason);
        if recorded.get(&decision.tenant) != Some(&said) {
            self.calls.push((decision.tenant.clone(), said));
            self.decisions.push(decision);
        }
    }
}

impl Fleet {
    /// Records the decisions; when that fails, whoever they are about is looked at again soon.
    pub(super) async fn recorded(&mut self, decided: Decided, batch: &Batch, calls: &[InfraCall]) -> bool {
        if decided.decisions.is_empty() {
            return true;
        }
        let Err(problem) = self.recorder.record(decided.decisions).await else {
            self.recorded.extend(decided.calls);
            return true;
        };
        warn!(%problem, "decisions cannot be recorded and are not carried out; they are made again");
        let again = self.view.now.checked_add(AGAIN).unwrap_or(self.view.now);
        let tenants = batch.tenants().chain(calls.iter().map(|call| &call.tenant.id));
        self.wakes.extend(tenants.map(|tenant| (tenant.clone(), again)));
        false
    }
}

type Told = (
    &'static str,
    Option<ClusterName>,
    String,
    BTreeMap<&'static str, String>,
);

/// A step in words.
fn told(step: &Step) -> Told {
    let none = BTreeMap::new;
    match step {
        Step::SavePlacement {
            placement,
            reason,
            accepted_gaps,
            ..
        } => {
            let mut detail = BTreeMap::from([("isolation", placement.isolation().to_string())]);
            if !accepted_gaps.is_empty() {
                detail.insert("acceptedGaps", format!("{accepted_gaps:?}"));
            }
            (
                "SavePlacement",
                Some(placement.cluster().clone()),
                reason.clone(),
                detail,
            )
        }
        Step::Assign { cluster, .. } => (
            "Assign",
            Some(cluster.clone()),
            "what the tenant is to have differs from what its cluster was told".into(),
            none(),
        ),
        Step::Resend { cluster, .. } => ("Resend", Some(cluster.clone()), String::new(), none()),
        Step::Withdraw {
            cluster, confirmed, ..
        } => (
            "Withdraw",
            Some(cluster.clone()),
            "the tenant is not to be there any more".into(),
            BTreeMap::from([("confirmed", confirmed.to_string())]),
        ),
        Step::TripBreaker { cluster, tripped, .. } => (
            "TripBreaker",
            Some(cluster.clone()),
            format!(
                "{} of {} tenants went within the window, and {} may",
                tripped.went, tripped.held, tripped.allowed
            ),
            none(),
        ),
        Step::SaveWithdrawn { .. } => (
            "SaveWithdrawn",
            None,
            "the agent says that nothing of the tenant is left".into(),
            none(),
        ),
        Step::Forget { cluster, .. } => (
            "Forget",
            cluster.clone(),
            "everything outside is gone".into(),
            none(),
        ),
        Step::EnsureNodePool(step) => (
            "EnsureNodePool",
            Some(step.cluster.clone()),
            format!("the tenant bought nodes of its own: pool {}", step.pool),
            attempt(step.attempt),
        ),
        Step::ReleaseNodePool(step) => (
            "ReleaseNodePool",
            Some(step.cluster.clone()),
            format!("nothing needs pool {} any more", step.pool),
            attempt(step.attempt),
        ),
        Step::EnsureCluster(step) => (
            "EnsureCluster",
            Some(step.cluster.clone()),
            format!("the tenant bought a cluster of its own, in {}", step.region),
            attempt(step.attempt),
        ),
        Step::ReleaseCluster(step) => (
            "ReleaseCluster",
            Some(step.cluster.clone()),
            "nothing needs the cluster any more".into(),
            attempt(step.attempt),
        ),
        Step::Bootstrap(step) => (
            "Bootstrap",
            Some(step.cluster.clone()),
            "the new cluster has no agent yet".into(),
            attempt(step.attempt),
        ),
    }
}

fn attempt(attempt: u32) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("attempt", attempt.to_string())])
}

/// Takes a text into a hash as it is written.
struct Hashing<'a>(&'a mut Sha256);

impl fmt::Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
