//! The stage: a cloud, a shared cluster, a hub and an agent that stay from trial to trial, and the one that dies in each.

use std::path::Path;

use anyhow::Context as _;
use berth_fake::cloud::Machine;

use super::points::{self, Point};
use super::scenario::{Place, go, grow};
use super::{Outcome, Scenario, Trial, Victim, chosen, killed, pod, traces};
use crate::waiting::LONG;
use crate::world::{World, WorldOptions};

/// The shared cluster.
const CLUSTER: &str = "shared-1";

/// The shared cluster has room for twenty.
const MOST_GROWN: usize = 10;

/// Where trials are made.
#[derive(Debug)]
pub struct Stage {
    world: World,
    trials: u64,
    /// Tenants that are to be deleted together: a namespace takes seconds to go.
    grown: Vec<(Scenario, String)>,
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
        Ok(Self {
            world,
            trials: 0,
            grown: Vec::new(),
        })
    }

    /// Makes a trial of every point that the victim comes to, or of `most` of them as the seed says.
    ///
    /// # Errors
    /// Something is not as it must be although nobody has died, or the programs have no points.
    pub async fn matrix(
        &mut self,
        victim: Victim,
        scenario: Scenario,
        most: Option<usize>,
        seed: u64,
    ) -> anyhow::Result<Outcome> {
        let points = self.enumerate(victim, scenario).await?;
        let mut outcome = Outcome::of(&points)?;
        for point in chosen(&points, most, seed) {
            let trial = Trial {
                victim,
                scenario,
                point,
            };
            let result = self.attempt(trial).await;
            outcome.take(&trial.to_string(), "crashes", result);
        }
        if let Err(error) = self.clear().await {
            outcome
                .failures
                .push(format!("{victim}, {scenario}: {error:#}\n{}", self.world.logs()));
        }
        Ok(outcome)
    }

    /// Plays a scenario in which nobody dies and returns the points that the victim comes to.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn enumerate(&mut self, victim: Victim, scenario: Scenario) -> anyhow::Result<Vec<Point>> {
        self.act(victim, scenario, None).await
    }

    /// Plays a scenario in which the victim dies at one point and is started again. Says at which; none when the scenario ended
    /// before the victim came to it.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn attempt(&mut self, trial: Trial) -> anyhow::Result<Option<Point>> {
        let acted = self.act(trial.victim, trial.scenario, Some(trial.point)).await;
        if acted.is_err() {
            // What it leaves is its own failure, not the next trial's.
            let _ = self.clear().await;
        }
        let points = acted?;
        if self.grown.len() >= MOST_GROWN {
            self.clear().await?;
        }
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
        let played = self.played(victim, scenario, &id, &log, die_at).await;
        let points = points::read(&log)?;
        let played = played.with_context(|| {
            let at = die_at.and_then(|number| points.iter().find(|point| point.number == number));
            let at = at.map_or_else(|| "nowhere".to_owned(), ToString::to_string);
            format!("the {victim} died at {at}\n{}", self.world.logs())
        });
        if !matches!(played, Ok(true)) {
            self.grown.push((scenario, id));
        }
        played?;
        if victim == Victim::Hub {
            self.only_grown().await?;
        }
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

    /// Plays while somebody stands by to start the victim again when it has died. Says whether the tenant's life is over: one whose
    /// victim has died before is deleted later, together with others.
    async fn played(
        &mut self,
        victim: Victim,
        scenario: Scenario,
        id: &str,
        log: &Path,
        die_at: Option<u64>,
    ) -> anyhow::Result<bool> {
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
        let life = async {
            grow(&place, scenario, id).await?;
            let passed = points::read(log)?;
            if die_at.is_some_and(|number| passed.iter().any(|point| point.number == number)) {
                return Ok(false);
            }
            go(&place, scenario, id).await.map(|()| true)
        };
        tokio::select! {
            played = life => played,
            failed = stand_by => failed.and(Ok(false)).context("start the victim again"),
        }
    }

    /// Deletes what has grown, and looks whether anything is left.
    ///
    /// # Errors
    /// Something is.
    pub async fn clear(&mut self) -> anyhow::Result<()> {
        self.world.heal().await?;
        let (api, kube) = (self.world.api()?, self.world.kube(CLUSTER)?);
        let place = Place {
            api: &api,
            kube: &kube,
            cloud: &self.world.cloud,
        };
        let grown = std::mem::take(&mut self.grown);
        let deletions = grown.iter().map(|(scenario, id)| go(&place, *scenario, id));
        futures::future::try_join_all(deletions).await?;
        self.only_grown().await
    }

    /// Stops the hub: its store has nothing but of the tenants that have grown.
    async fn only_grown(&mut self) -> anyhow::Result<()> {
        self.world.hub.process().kill().await?;
        let dir = self.world.hub.data().join("store");
        let keys = traces::store(&dir).await.context("open the hub's store")?;
        let tenants: Vec<String> = self.grown.iter().map(|(_, id)| id.clone()).collect();
        traces::only_of(&keys, &tenants)
    }

    /// Ends everything in order.
    pub async fn stop(self) {
        self.world.stop().await;
    }
}
