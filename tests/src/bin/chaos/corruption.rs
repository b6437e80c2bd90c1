//! Damaged stores under the real hub.

use berth_tests::corruption::corrupt;

use crate::findings::Findings;

pub(crate) async fn run(seed: u64, rounds: usize) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let tally = corrupt(seed, rounds).await?;
    findings.tried(tally.to_string());
    findings.violations.extend(tally.silent);
    findings.violations.extend(tally.wrong);
    Ok(findings)
}
