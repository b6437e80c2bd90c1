//! The whole crash matrix.

use berth_tests::crashes::{Outcome, Scenario, Stage, Trial, Victim};

use crate::findings::Findings;

/// Of a life with a cluster of its own, which takes long, so many points.
const CLUSTER_POINTS: usize = 12;

pub(crate) async fn run(seed: u64, only: Option<&str>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let only: Option<Trial> = only.map(str::parse).transpose()?;
    let mut stage = Stage::start().await?;
    if let Some(trial) = only {
        let mut outcome = Outcome::default();
        let result = stage.attempt(trial).await;
        if let Ok(Some(point)) = &result {
            findings.tried(format!("{trial} is {point}"));
        }
        outcome.take(&trial.to_string(), "crashes", result);
        findings.check(stage.clear().await);
        findings.tried(format!("{trial}: {outcome}"));
        findings.violations.append(&mut outcome.failures);
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
        let most = (scenario == Scenario::Cluster).then_some(CLUSTER_POINTS);
        let mut outcome = stage.matrix(victim, scenario, most, seed).await?;
        findings.tried(format!("{victim}, {scenario}: {outcome}"));
        findings.violations.append(&mut outcome.failures);
    }
    stage.stop().await;
    Ok(findings)
}
