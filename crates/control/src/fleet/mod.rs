//! The loop. Its task owns the view; everything that happens only says "look again".

mod act;
mod decided;
mod handle;
mod hear;
mod prove;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_model::{ClusterName, FleetId, Revision, StorePoint, TenantId, Term, Timestamp};
use berth_plan::{
    Changes,
    view::{Settings, View},
};
use berth_provision::Provisioner;
use berth_runtime::{CancellationToken, Clock, entropy};
use berth_store::{Store, StoreError, Watch};
use futures::StreamExt as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    board::Board,
    execute::{Bundles, Executor, InfraDone},
    load,
    seams::{Bootstrapper, Recorder},
    sessions::{Fence, Sessions},
};
use act::Look;
pub use handle::FleetHandle;
use handle::Question;
use trouble::Trouble;

/// How often freshness is looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What the loop is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
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
    /// Which fleet.
    pub fleet: FleetId,
    /// The leader's term.
    pub term: Term,
    /// Whether it acts.
    pub mode: Mode,
}

/// Whether a loop acts on what it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Act,
    /// It watches and shows, and neither commands agents nor calls clouds: its store was restored, and no operator has let it take
    /// command yet.
    Observe,
}

/// What keeps a loop from acting; nothing when all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It only observes.
    pub observing: bool,
    /// An agent knows that another hub has acted, or that this one's store was set back.
    pub fence: Option<Fence>,
    /// What the store says instead of doing as asked.
    pub trouble: Option<String>,
    /// Records that somebody wrote since and that cannot be read, each with the reason: this loop goes on with what it knew of them, the
    /// next one will not start.
    pub unreadable: BTreeMap<String, String>,
}

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The store does not answer any more.
    #[error("the store failed under the control loop")]
    Store(#[from] StoreError),
    /// The fleet's record names another term than this loop's: it is to start again in that one.
    #[error("term {now} has begun")]
    OtherTerm {
        /// The term that the record names.
        now: Term,
    },
    /// A record cannot be read. Nothing is decided without it: what it stands for would be placed twice, or counted for nothing.
    #[error("the record {key} in the store cannot be read")]
    Record {
        /// Its key.
        key: String,
        /// Why not.
        #[source]
        problem: load::RecordProblem,
    },
}

impl FleetError {
    /// That the record under `key` cannot be read.
    pub(crate) fn record(key: impl ToString) -> impl FnOnce(load::RecordProblem) -> Self {
        move |problem| Self::Record {
            key: key.to_string(),
            problem,
        }
    }
}

/// The control loop.
pub struct Fleet {
    store: Arc<dyn Store>,
    provisioner: Arc<dyn Provisioner>,
    bootstrapper: Arc<dyn Bootstrapper>,
    recorder: Arc<dyn Recorder>,
    sessions: Sessions,
    board: Board,
    clock: Arc<dyn Clock>,
    view: View,
    executor: Executor,
    watch: Watch,
    watched: Revision,
    questions: mpsc::Receiver<Question>,
    done: (mpsc::Sender<InfraDone>, mpsc::Receiver<InfraDone>),
    /// Calls under way; they end with the loop, so that a hub that leads no more makes nothing.
    calls: JoinSet<()>,
    /// When each tenant asked to be looked at again although nothing is heard.
    wakes: BTreeMap<TenantId, Timestamp>,
    /// What was not looked at yet when the loop had to listen to everything else first.
    pending: Changes,
    /// When the process began by the wall clock as it is set now, in milliseconds.
    began: Option<i64>,
    /// Which clusters were fresh when last looked at.
    fresh: BTreeMap<ClusterName, bool>,
    /// What was last recorded of each tenant's infrastructure: looking again is no new decision.
    recorded: BTreeMap<TenantId, String>,
    /// Conditions that changed and are not saved yet.
    unsaved: BTreeSet<TenantId>,
    /// Clusters whose facts may have changed and are not saved yet.
    unsaved_facts: BTreeSet<ClusterName>,
    /// Tenants of which something was proven that is not kept yet.
    unsaved_proofs: BTreeSet<TenantId>,
    /// Agents know why this hub must not command, until an operator lets it.
    fence: Option<Fence>,
    /// How far the store went when this loop began.
    from: StorePoint,
    /// That the store was set back is written down in it, so that the next process knows too.
    marked: bool,
    mode: Mode,
    trouble: Option<Trouble>,
    standing: watch::Sender<Standing>,
}

impl Fleet {
    /// Reads the store and is ready to run.
    ///
    /// # Errors
    /// When the store does not answer or holds something that cannot be read.
    pub async fn start(parts: Parts) -> Result<(Self, FleetHandle), FleetError> {
        let now = parts.clock.now();
        let loaded = load::view(
            parts.store.as_ref(),
            &parts.sessions,
            now,
            parts.fleet.clone(),
            parts.term,
            parts.settings.clone(),
        )
        .await?;
        let watch = parts.store.watch(loaded.revision).await?;
        let (ask, questions) = mpsc::channel(256);
        let executor = Executor {
            store: parts.store.clone(),
            sessions: parts.sessions.clone(),
            fleet: parts.fleet.clone(),
            term: parts.term,
            bundles: Bundles::default(),
            placing: BTreeMap::new(),
            told: BTreeMap::new(),
            breakers: BTreeMap::new(),
        };
        let point = StorePoint {
            term: parts.term,
            revision: loaded.revision,
            incarnation: entropy::uuid().as_u64_pair().0,
            command_term: loaded.view.command_term,
            writes: parts.store.writes().unwrap_or_default(),
        };
        parts.sessions.came_to(point);
        // Of an earlier period: what agents and this process know is not forgotten.
        let fence = parts.sessions.fence();
        let mut fleet = Self {
            store: parts.store,
            provisioner: parts.provisioner,
            bootstrapper: parts.bootstrapper,
            recorder: parts.recorder,
            sessions: parts.sessions,
            board: parts.board,
            clock: parts.clock,
            view: loaded.view,
            executor,
            watch,
            watched: loaded.revision,
            questions,
            done: mpsc::channel(1024),
            calls: JoinSet::new(),
            wakes: BTreeMap::new(),
            pending: Changes::default(),
            began: None,
            fresh: BTreeMap::new(),
            recorded: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            unsaved_facts: BTreeSet::new(),
            unsaved_proofs: BTreeSet::new(),
            fence: fence.clone(),
            from: point,
            marked: parts.mode == Mode::Observe,
            mode: parts.mode,
            trouble: None,
            standing: watch::Sender::new(Standing {
                observing: parts.mode == Mode::Observe,
                fence,
                ..Standing::default()
            }),
        };
        // Readers see how things are before they are told that this hub leads.
        fleet.show(&Look::Everything);
        let handle = FleetHandle {
            questions: ask,
            standing: fleet.standing.subscribe(),
        };
        Ok((fleet, handle))
    }

    /// Runs until `cancel`. A store that does not do as asked for a while is waited for.
    ///
    /// # Errors
    /// When the store does not answer any more, when this hub does not lead any more, or when another term has begun.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), FleetError> {
        info!(tenants = self.view.tenants.len(), clusters = self.view.clusters.len(), term = %self.view.term, mode = ?self.mode, "control loop runs");
        let mut sweep_at = self.clock.monotonic() + SWEEP;
        let mut everything = true;
        loop {
            let turned = if std::mem::take(&mut everything) {
                self.look(Look::Everything).await.map(|()| true)
            } else {
                self.turn(&cancel, &mut sweep_at).await
            };
            match turned {
                Ok(true) => self.recovered(),
                Ok(false) => break,
                Err(FleetError::Store(error)) if error.retryable() => {
                    if !self.wait_out(error, &cancel).await? {
                        return Ok(());
                    }
                    everything = true;
                }
                Err(error) => return Err(error),
            }
        }
        if let Err(error) = self.save_conditions().await {
            warn!(%error, "the last conditions are not saved");
        }
        Ok(())
    }

    /// Waits for something to happen and does what follows from it; false when `cancel` came.
    async fn turn(
        &mut self,
        cancel: &CancellationToken,
        sweep_at: &mut Duration,
    ) -> Result<bool, FleetError> {
        let mut changes = std::mem::take(&mut self.pending);
        let pause = if changes == Changes::default() {
            self.pause(*sweep_at)
        } else {
            Duration::ZERO
        };
        let sleep = self.clock.clone();
        tokio::select! {
            // In this order, always: whoever is answered, everything else that has happened is taken below.
            biased;
            () = cancel.cancelled() => return Ok(false),
            Some(question) = self.questions.recv() => self.answer(question),
            Some(done) = self.done.1.recv() => self.call_ended(done, &mut changes).await?,
            () = self.sessions.changed() => {}
            change = self.watch.next() => self.take(change, &mut changes).await?,
            () = sleep.sleep(pause) => {}
        }
        self.drain(&mut changes).await?;
        self.mark_set_back().await?;
        if self.clock.monotonic() >= *sweep_at {
            self.sweep(&mut changes);
            self.save_conditions().await?;
            self.save_proofs().await?;
            *sweep_at = self.clock.monotonic() + SWEEP;
        }
        let now = self.clock.now();
        changes.tenants.extend(
            self.wakes
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(id, _)| id.clone()),
        );
        if changes != Changes::default() {
            self.look(Look::Again(changes)).await?;
        }
        Ok(true)
    }

    /// Whether nothing may be commanded.
    const fn silent(&self) -> bool {
        self.fence.is_some() || matches!(self.mode, Mode::Observe)
    }

    fn pause(&self, sweep_at: Duration) -> Duration {
        let to_sweep = sweep_at.saturating_sub(self.clock.monotonic());
        let to_wake = self.wakes.values().min().map_or(to_sweep, |at| {
            u64::try_from(at.as_millisecond() - self.clock.now().as_millisecond())
                .map_or(Duration::ZERO, Duration::from_millis)
        });
        to_sweep.min(to_wake)
    }
}
