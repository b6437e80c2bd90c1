//! The stage: a cloud, a shared cluster, a hub and an agent that stay from trial to trial, and the one that dies in each.

use anyhow::{Context as _, bail, ensure};
use berth_fake::cloud::Machine;

use super::points::{self, Point};
use super::scenario::{Place, play};
use super::{Scenario, Trial, Victim, traces};
use crate::waiting::LONG;
use crate::world::{World, WorldOptions};

/// The shared cluster.
const CLUSTER: &str = "shared-1";

/// Where trials are made.
#[derive(Debug)]
pub struct Stage {
    world: World,
    trials: u64,
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let options = WorldOptions {
            clusters: vec![CLUSTER.to_owned()],
            machine: Machine::default(),
        };
        let world = World::start(&options).await?;
        Ok(Self { world, trials: 0 })
    }

    /// Plays a scenario in which nobody dies and returns the points that the victim comes to.
    ///
    /// # Errors
    /// Something is not as it must be, or the programs have no points.
    pub async fn enumerate(&mut self, victim: Victim, scenario: Scenario) -> anyhow::Result<Vec<Point>> {
        let points = self.act(victim, scenario, None).await?;
        ensure!(
            !points.is_empty(),
            "the {victim} has no points: it was built without the feature `failpoints`; `cargo xtask test` and `cargo xtask chaos` build it"
        );
        Ok(points)
    }

    /// Plays a scenario in which the victim dies at one point and is started again. Says at which; none when the scenario ended
    /// before the victim came to it.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn attempt(&mut self, trial: Trial) -> anyhow::Result<Option<Point>> {
        let points = self.act(trial.victim, trial.scenario, Some(trial.point)).await?;
        Ok(points.into_iter().find(|point| point.number == trial.point))
    }

    async fn act(
        &mut self,
        victim: Victim,
        scenario: Scenario,
        die_at: Option<u64>,
    ) -> anyhow::Result<Vec<Point>> {
        self.trials += 1;
        let id = format!("crash-{}", self.trials);
        let log = self
            .world
            .directory("points")?
            .join(format!("{}-{victim}", self.trials));
        self.reset(victim, &points::environment(&log, die_at)).await?;
        let played = self.played(victim, scenario, &id).await;
        let points = points::read(&log)?;
        played.with_context(|| {
            let at = die_at.and_then(|number| points.iter().find(|point| point.number == number));
            let at = at.map_or_else(|| "nowhere".to_owned(), ToString::to_string);
            format!("the {victim} died at {at}\n{}", self.world.logs())
        })?;
        self.nothing_left(victim).await?;
        Ok(points)
    }

    /// Starts the victim anew, with points; whatever ran before is gone.
    async fn reset(&mut self, victim: Victim, environment: &[(String, String)]) -> anyhow::Result<()> {
        match victim {
            Victim::Hub => {
                self.world.hub.process().kill().await?;
                // An agent that has lost its hub again and again takes its time; a new one does not.
                let agent = &mut self.world.member(CLUSTER)?.agent;
                agent.process().kill().await?;
                agent.start_again_with(&[pod()])?;
                self.world.hub.launch(environment)
            }
            Victim::Agent => {
                self.world.hub.ensure_running().await?;
                let agent = &mut self.world.member(CLUSTER)?.agent;
                agent.process().kill().await?;
                let environment: Vec<_> = environment.iter().cloned().chain([pod()]).collect();
                agent.start_again_with(&environment)
            }
        }
    }

    /// Plays while somebody stands by to start the victim again when it has died.
    async fn played(&mut self, victim: Victim, scenario: Scenario, id: &str) -> anyhow::Result<()> {
        let api = self.world.api()?;
        let kube = self.world.kube(CLUSTER)?;
        let World {
            hub, members, cloud, ..
        } = &mut self.world;
        let place = Place {
            api: &api,
            kube: &kube,
            cloud,
        };
        let agent = &mut members.get_mut(CLUSTER).context("no agent")?.agent;
        let stand_by = async {
            match victim {
                Victim::Hub => {
                    killed(hub.process().ended(LONG * 4).await?)?;
                    hub.start_again().await?;
                }
                Victim::Agent => {
                    killed(agent.process().ended(LONG * 4).await?)?;
                    agent.start_again_with(&[pod()])?;
                }
            }
            std::future::pending::<anyhow::Result<()>>().await
        };
        tokio::select! {
            played = play(&place, scenario, id) => played,
            failed = stand_by => failed.context("start the victim again"),
        }
    }

    /// The hub's store has nothing of a tenant that is gone.
    async fn nothing_left(&mut self, victim: Victim) -> anyhow::Result<()> {
        if victim == Victim::Agent {
            // What the hub writes is the same as in its own trials.
            return Ok(());
        }
        self.world.hub.process().kill().await?;
        let dir = self.world.hub.data().join("store");
        let keys = traces::store(&dir).await.context("open the hub's store")?;
        traces::nothing_of_tenants(&keys)
    }

    /// Ends everything in order.
    pub async fn stop(self) {
        self.world.stop().await;
    }
}

/// An agent that is started again in its pod takes its Lease over at once.
fn pod() -> (String, String) {
    ("POD_NAME".to_owned(), "berth-agent-0".to_owned())
}

/// A victim dies as it was told to, and of nothing else.
fn killed(status: std::process::ExitStatus) -> anyhow::Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    if status.signal() == Some(9) {
        return Ok(());
    }
    bail!("it has ended by itself: {status}")
}
