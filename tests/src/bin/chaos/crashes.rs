//! The whole crash matrix.

use berth_tests::crashes::{Outcome, Scenario, Stage, Trial, Victim};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::findings::Findings;

/// Of a life with a cluster of its own, which takes long, so many points.
const CLUSTER_POINTS: usize = 12;

pub(crate) async fn run(seed: u64, only: Option<Trial>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = Stage::start().await?;
    if let Some(trial) = only {
        let mut outcome = Outcome::default();
        let result = stage.attempt(trial).await;
        if let Ok(Some(point)) = &result {
            findings.tried(format!("{trial} is {point}"));
        }
        outcome.take(trial, result);
        findings.tried(format!("{trial}: {outcome}"));
        findings.violations = outcome.failures;
        stage.stop().await;
        return Ok(findings);
    }
    for (victim, scenario) in [
        (Victim::Hub, Scenario::Namespace),
        (Victim::Agent, Scenario::Namespace),
        (Victim::Hub, Scenario::NodePool),
        (Victim::Agent, Scenario::NodePool),
        (Victim::Hub, Scenario::Cluster),
    ] {
        let points = stage.enumerate(victim, scenario).await?;
        let mut numbers: Vec<u64> = points.iter().map(|point| point.number).collect();
        if scenario == Scenario::Cluster {
            numbers.shuffle(&mut StdRng::seed_from_u64(seed));
            numbers.truncate(CLUSTER_POINTS);
        }
        let mut outcome = Outcome {
            points: points.len(),
            ..Outcome::default()
        };
        for point in numbers {
            let trial = Trial {
                victim,
                scenario,
                point,
            };
            let result = stage.attempt(trial).await;
            outcome.take(trial, result);
        }
        findings.tried(format!("{victim}, {scenario}: {outcome}"));
        findings.violations.append(&mut outcome.failures);
    }
    stage.stop().await;
    Ok(findings)
}
