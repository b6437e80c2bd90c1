//! Leading and following: a hub campaigns, acts while it leads, and follows again when it has lost the lead.
//!
//! What is decided in a period of leading is the control loop's business; here a period begins and ends. Everybody who answers or
//! commands in the leader's name asks [`Lead`] whether this hub leads at this moment.

use std::{sync::Arc, time::Duration};

use berth_control::{
    Board, Fleet, Mode, Parts, Sessions,
    fleet::{FleetError, FleetHandle},
    seams::{Bootstrapper, Recorder},
};
use berth_model::{FleetId, Term};
use berth_plan::view::Settings;
use berth_provision::Provisioner;
use berth_runtime::{CancellationToken, Clock};
use berth_store::{Candidate, Leadership, StoreError};
use berth_wire::record::RestoreRecord;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    backup::Backing,
    error::HubError,
    home::{Home, HomeError, Period},
    tenure::Tenure,
};

/// How long the last backup of a period may take.
const LAST_BACKUP: Duration = Duration::from_secs(5);

/// Whether this hub leads, and what leading is made of. Copies tell the same.
#[derive(Clone)]
pub struct Lead {
    state: watch::Sender<Option<Arc<Leading>>>,
    fleet_id: watch::Sender<Option<FleetId>>,
    leader: watch::Receiver<Option<Candidate>>,
    /// Who this hub is.
    pub candidate: Arc<Candidate>,
}

/// A period of leading.
pub struct Leading {
    /// Its term.
    pub term: Term,
    /// The control loop.
    pub fleet: FleetHandle,
    /// What the store was restored from, until somebody lets the hub take command.
    pub restored: Option<Restored>,
    /// Of this period: watch tokens of another one begin a new snapshot.
    pub incarnation: String,
    /// How long it lasts.
    pub tenure: Tenure,
}

/// A restored store.
#[derive(Clone, Debug)]
pub struct Restored(
    /// What it says of itself; none when that cannot be read.
    pub Option<RestoreRecord>,
);

impl Leading {
    /// Whether this hub leads at this very moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.tenure.holds()
    }
}

impl Lead {
    /// A hub that does not lead yet; `leader` tells who does.
    #[must_use]
    pub fn new(candidate: Candidate, leader: watch::Receiver<Option<Candidate>>) -> Self {
        Self {
            state: watch::Sender::new(None),
            fleet_id: watch::Sender::new(None),
            leader,
            candidate: Arc::new(candidate),
        }
    }

    /// The period of leading under way; none while this hub does not lead.
    #[must_use]
    pub fn leading(&self) -> Option<Arc<Leading>> {
        self.state.borrow().clone().filter(|leading| leading.holds())
    }

    /// Whether `leading` is still the period under way: what was read before this is asked was the leader's state. A hub that is
    /// asked to end still leads until its loop has ended.
    #[must_use]
    pub fn led_by(&self, leading: &Arc<Leading>) -> bool {
        let now = self.state.borrow().clone();
        leading.tenure.leads() && now.is_some_and(|now| Arc::ptr_eq(&now, leading))
    }

    /// Tells of every period of leading, when it begins and when it is over.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<Leading>>> {
        self.state.subscribe()
    }

    /// Who leads when it is another hub, as far as is known.
    #[must_use]
    pub fn elsewhere(&self) -> Option<Candidate> {
        let leader = self.leader.borrow().clone();
        leader.filter(|leader| leader.id != self.candidate.id)
    }

    /// Returns when this hub leads and can answer, or knows who else does.
    pub async fn settled(&self) {
        let (mut state, mut leader) = (self.state.subscribe(), self.leader.clone());
        loop {
            // A leader that is this hub has still to read what it leads.
            leader.mark_unchanged();
            if state.borrow_and_update().is_some() || self.elsewhere().is_some() {
                return;
            }
            // Both senders live as long as the hub.
            tokio::select! {
                biased;
                _ = state.changed() => {}
                _ = leader.changed() => {}
            }
        }
    }
}

/// What a period of leading needs.
pub struct Leader {
    /// Where this hub tells whether it leads.
    pub lead: Lead,
    /// The store and its election.
    pub home: Arc<Home>,
    /// The cloud.
    pub provisioner: Arc<dyn Provisioner>,
    /// Who brings agents into new clusters.
    pub bootstrapper: Arc<dyn Bootstrapper>,
    /// Who keeps a record of decisions.
    pub recorder: Arc<dyn Recorder>,
    /// The agents.
    pub sessions: Sessions,
    /// Where readers look.
    pub board: Board,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the admin set.
    pub settings: Settings,
    /// Continuous backups, when they are wanted.
    pub backing: Option<Arc<Backing>>,
}

/// How a period of leading ended.
enum Ended {
    /// The hub is to end.
    Cancelled,
    /// Another hub leads, or may.
    Lost,
    /// The next period begins under the same lead: an operator let this hub take command.
    Again,
}

impl Leader {
    /// Campaigns, leads and follows. With `cancel` what waits and streams in a period ends and nothing new is begun; the control loop
    /// goes on until `loop_cancel`, so that what was accepted last is still decided.
    ///
    /// # Errors
    /// What this hub cannot go on with, whoever leads.
    pub async fn run(
        self,
        cancel: CancellationToken,
        loop_cancel: CancellationToken,
    ) -> Result<(), HubError> {
        loop {
            self.follow();
            let campaign = self.home.election.campaign(&self.lead.candidate);
            let Some(elected) = cancel.run_until_cancelled(campaign).await else {
                return Ok(());
            };
            let leadership = Arc::new(elected.map_err(HomeError::Store)?);
            loop {
                match self.period(&leadership, &cancel, &loop_cancel).await? {
                    Ended::Cancelled => return Ok(()),
                    Ended::Again => {}
                    Ended::Lost => break,
                }
            }
        }
    }

    /// One period: from the fleet's record to the end of the loop.
    async fn period(
        &self,
        leadership: &Arc<Leadership>,
        cancel: &CancellationToken,
        loop_cancel: &CancellationToken,
    ) -> Result<Ended, HubError> {
        let begun = tokio::select! {
            biased;
            begun = self.home.begin(self.clock.now()) => begun,
            () = leadership.lost() => return Ok(Ended::Lost),
            () = cancel.cancelled() => return Ok(Ended::Cancelled),
        };
        let period = match begun {
            Ok(period) => period,
            Err(HomeError::Store(error)) => return self.after(error.into(), cancel).await,
            Err(other) => return Err(other.into()),
        };
        let (fleet, handle) = match Fleet::start(self.parts(&period)).await {
            Ok(started) => started,
            Err(error) => return self.after(error, cancel).await,
        };
        let over = cancel.child_token();
        let leading = Arc::new(Leading {
            term: period.term,
            fleet: handle,
            restored: period.restored,
            incarnation: berth_runtime::entropy::uuid().simple().to_string(),
            tenure: Tenure::new(over.clone(), leadership.clone()),
        });
        info!(term = %period.term, observing = leading.restored.is_some(), "this hub leads");
        // Weak: whoever still holds a session must not keep the lead.
        let asked = Arc::downgrade(&leading);
        self.sessions.begin(Arc::new(move || {
            asked.upgrade().is_some_and(|leading| leading.holds())
        }));
        self.lead.fleet_id.send_replace(Some(period.fleet.clone()));
        self.lead.state.send_replace(Some(leading));
        let stop = loop_cancel.child_token();
        let running = tokio::spawn(fleet.run(stop.clone()));
        let mut backing = tokio::spawn(back_up(
            self.backing.clone(),
            self.home.clone(),
            period.fleet,
            self.clock.clone(),
            stop.clone(),
        ));
        let ended = self.until_over(running, leadership, cancel).await;
        stop.cancel();
        over.cancel();
        self.follow();
        if !matches!(ended, Ok(Ended::Lost)) {
            // What was changed last is in the backup too, when its place answers soon.
            tokio::select! {
                biased;
                _ = &mut backing => {}
                () = self.clock.sleep(LAST_BACKUP) => warn!("the last backup was not finished"),
            }
        }
        backing.abort();
        ended
    }

    async fn until_over(
        &self,
        mut running: tokio::task::JoinHandle<Result<(), FleetError>>,
        leadership: &Leadership,
        cancel: &CancellationToken,
    ) -> Result<Ended, HubError> {
        let ended = tokio::select! {
            biased;
            ended = &mut running => ended,
            () = leadership.lost() => {
                warn!("this hub has lost the lead");
                // What the loop has in hand the store refuses.
                running.abort();
                // It may be in the middle of showing something.
                let _ = running.await;
                return Ok(Ended::Lost);
            }
        };
        match ended {
            Ok(Ok(())) if cancel.is_cancelled() => Ok(Ended::Cancelled),
            Ok(Ok(())) => Ok(Ended::Lost),
            Ok(Err(error)) => self.after(error, cancel).await,
            Err(panicked) => Err(HubError::Serve {
                what: "the control loop",
                source: Box::new(panicked),
            }),
        }
    }

    /// What an error of the loop means for leading.
    async fn after(&self, error: FleetError, cancel: &CancellationToken) -> Result<Ended, HubError> {
        match error {
            FleetError::OtherTerm { now } => {
                info!(term = %now, "an operator let this hub take command");
                Ok(Ended::Again)
            }
            FleetError::Store(StoreError::NotLeader) => Ok(Ended::Lost),
            // Somebody let a hub take command at the same moment, or the store moved on while it was read.
            FleetError::Store(error)
                if error.retryable()
                    || matches!(error, StoreError::Conflict { .. } | StoreError::Compacted { .. }) =>
            {
                warn!(%error, "the store does not do as asked; trying again");
                let pause = self.clock.sleep(Duration::from_secs(1));
                match cancel.run_until_cancelled(pause).await {
                    Some(()) => Ok(Ended::Again),
                    None => Ok(Ended::Cancelled),
                }
            }
            other => Err(other.into()),
        }
    }

    /// Commands nobody and answers nothing in the leader's name.
    fn follow(&self) {
        self.lead.state.send_replace(None);
        let leader = self.lead.elsewhere().map(|leader| leader.agent_url);
        self.sessions.follow(&leader.unwrap_or_default());
        self.board.clear();
    }

    fn parts(&self, period: &Period) -> Parts {
        Parts {
            store: self.home.store.clone(),
            provisioner: self.provisioner.clone(),
            bootstrapper: self.bootstrapper.clone(),
            recorder: self.recorder.clone(),
            sessions: self.sessions.clone(),
            board: self.board.clone(),
            clock: self.clock.clone(),
            settings: self.settings.clone(),
            fleet: period.fleet.clone(),
            term: period.term,
            mode: if period.restored.is_some() {
                Mode::Observe
            } else {
                Mode::Act
            },
        }
    }
}

async fn back_up(
    backing: Option<Arc<Backing>>,
    home: Arc<Home>,
    fleet: FleetId,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    if let Some(backing) = backing {
        backing.write(&home, &fleet, clock, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_hub_that_was_elected_is_not_settled_before_it_can_answer() {
        let candidate = |id: &str| Candidate {
            id: id.into(),
            ..Candidate::default()
        };
        let known = watch::Sender::new(Some(candidate("me")));
        let lead = Lead::new(candidate("me"), known.subscribe());
        let mut settled = std::pin::pin!(lead.settled());
        let early = std::future::poll_fn(|context| Poll::Ready(settled.as_mut().poll(context))).await;
        assert!(early.is_pending(), "it has still to read what it leads");
        known.send_replace(Some(candidate("other")));
        settled.await;
    }
}
