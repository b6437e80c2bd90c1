//! What is being written about one tenant: conditions with their transition times, steps, and when to look again.

use std::time::Duration;

use berth_model::{Condition, ConditionKind, Conditions, Health, Timestamp, Truth};

use super::Outcome;
use crate::{
    plan::{Step, TenantStatus},
    view::{TenantView, View},
};

/// Conditions that `Ready` sums up, in the order in which they come true.
const STAGES: [ConditionKind; 5] = [
    ConditionKind::Accepted,
    ConditionKind::Placed,
    ConditionKind::Provisioned,
    ConditionKind::Applied,
    ConditionKind::Healthy,
];

/// What is being written about one tenant.
pub(super) struct Sheet<'a> {
    pub(super) view: &'a View,
    pub(super) known: &'a TenantView,
    /// With the old transition times where a status stayed.
    conditions: Conditions,
    steps: Vec<Step>,
    wake: Option<Timestamp>,
    stalled: Option<(String, String)>,
    working: Option<(String, String)>,
    warnings: Vec<String>,
    pub(super) health: Health,
    pub(super) evidence_at: Option<Timestamp>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(view: &'a View, known: &'a TenantView) -> Self {
        Self {
            view,
            known,
            conditions: Conditions::new(),
            steps: Vec::new(),
            wake: None,
            stalled: None,
            working: None,
            warnings: Vec::new(),
            health: Health::default(),
            evidence_at: None,
        }
    }

    /// States one condition. Its time is the old one's where the status is the same.
    pub(super) fn set(
        &mut self,
        kind: ConditionKind,
        status: Truth,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) {
        let since = match self.known.conditions.get(kind) {
            Some(old) if old.status == status => old.since,
            _ => self.view.now,
        };
        self.conditions.set(Condition {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
            since,
            observed_generation: self.known.tenant.generation,
        });
    }

    /// Since when the condition has had that status; now when it has not.
    pub(super) fn since(&self, kind: ConditionKind, status: Truth) -> Timestamp {
        match self.known.conditions.get(kind) {
            Some(old) if old.status == status => old.since,
            _ => self.view.now,
        }
    }

    /// Whether steps may be taken: not for a tenant that the lint stopped.
    pub(super) fn may_act(&self) -> bool {
        self.known.stalled.is_none()
    }

    pub(super) fn step(&mut self, step: Step) {
        if self.may_act() {
            self.steps.push(step);
        }
    }

    /// Looks again at `at`, in a second at the earliest: what is due now was done now.
    pub(super) fn wake(&mut self, at: Timestamp) {
        let at = at.max(later(self.view.now, Duration::from_secs(1)));
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Work stopped and needs a person. The first reason stays.
    pub(super) fn stall(&mut self, reason: impl Into<String>, message: impl Into<String>) {
        self.stalled.get_or_insert((reason.into(), message.into()));
    }

    /// Work goes on. The first reason stays: stages come in order.
    pub(super) fn working(&mut self, reason: impl Into<String>, message: impl Into<String>) {
        self.working.get_or_insert((reason.into(), message.into()));
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The stages after `Placed` for a tenant without a place.
    pub(super) fn nowhere(&mut self) {
        self.set(
            ConditionKind::Provisioned,
            Truth::False,
            "NotPlaced",
            "waiting for a place",
        );
        self.set(
            ConditionKind::Applied,
            Truth::False,
            "NotPlaced",
            "waiting for a place",
        );
        self.set(
            ConditionKind::Healthy,
            Truth::Unknown,
            "NotApplied",
            "nothing is there yet",
        );
    }

    /// What is told of a wall that does not hold.
    fn hole(&self) -> Option<String> {
        let isolated = self.conditions.get(ConditionKind::Isolated)?;
        (isolated.status == Truth::False).then(|| format!("Isolated: {}", isolated.message))
    }

    /// Sums up.
    pub(super) fn finish(mut self) -> Outcome {
        self.isolate();
        let open = STAGES.iter().find_map(|kind| {
            let condition = self.conditions.get(*kind)?;
            (condition.status != Truth::True).then(|| {
                (
                    condition.status,
                    condition.reason.clone(),
                    format!("{}: {}", kind.as_str(), condition.message),
                )
            })
        });
        let deleting = self.known.tenant.deleting_since.is_some();
        match open {
            _ if deleting => self.set(
                ConditionKind::Ready,
                Truth::False,
                "Deleting",
                "it is being deleted",
            ),
            Some((status, reason, message)) => self.set(ConditionKind::Ready, status, reason, message),
            // That nobody knows does not make it unready; that a wall is open does.
            None if let Some(hole) = self.hole() => {
                self.set(ConditionKind::Ready, Truth::False, "NotIsolated", hole);
            }
            None => self.set(
                ConditionKind::Ready,
                Truth::True,
                "Ready",
                "accepted, placed, provisioned, applied and healthy",
            ),
        }
        if let Some((reason, message)) = self.stalled.take() {
            self.set(ConditionKind::Stalled, Truth::True, reason, message);
        } else if let Some((reason, message)) = self.working.take().filter(|_| !deleting) {
            self.set(ConditionKind::Reconciling, Truth::True, reason, message);
        }
        Outcome {
            steps: self.steps,
            status: TenantStatus {
                observed_generation: self.known.tenant.generation,
                conditions: self.conditions,
                health: self.health,
                evidence_at: self.evidence_at,
                warnings: self.warnings,
            },
            wake: self.wake,
        }
    }
}

/// `at` and `pause` more; the last moment there is when that is past it.
pub(super) fn later(at: Timestamp, pause: Duration) -> Timestamp {
    let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}
