//! `cargo xtask bench [SECTION...] [--out FILE]`: what Berth costs on this machine, as a Markdown report.
//!
//! Real kube-apiservers, real processes, and raw calls in the same run to compare with: ratios travel between machines,
//! milliseconds do not. The peers' figures are from the same kind of machine.

mod access;
mod agents;
mod apply;
mod bulk;
mod decisions;
mod drift;
mod failover;
mod first_run;
mod fleet;
mod large;
mod propagation;
mod report;
mod restart;
mod statistics;
mod strangers;
mod walls;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use report::Report;

/// Measures Berth on this machine.
#[derive(Parser, Debug)]
struct Arguments {
    /// What to measure; everything but first-run when nothing is named.
    sections: Vec<Section>,
    /// Write the report here, too.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tenants of the bulk.
    #[arg(long, default_value_t = 200)]
    tenants: usize,
    /// Tenants that are present when walls are measured the second time.
    #[arg(long, default_value_t = 500)]
    crowd: usize,
    /// Agents on the embedded API.
    #[arg(long, default_value_t = 200)]
    agents: usize,
    /// Tenants of the large fleet.
    #[arg(long, default_value_t = 10_000)]
    large: usize,
    /// Kills of a leader.
    #[arg(long, default_value_t = 20)]
    kills: usize,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Section {
    /// Placements a second in a large fleet.
    Decisions,
    /// Whether a caller may.
    Access,
    /// Applying a tenant against raw calls.
    Apply,
    /// From the hub's answer to the cluster.
    Propagation,
    /// A deleted object comes back.
    Drift,
    /// Many tenants at once, then restarts and memory with them.
    Bulk,
    /// Tenants until they are seen to be isolated, and what admission policies add.
    Walls,
    /// From the hub's answer to one of many clusters.
    Agents,
    /// Several hubs on etcd: how long there is no leader.
    Failover,
    /// Calls while strangers hold sockets open and flood the hub with resets.
    Strangers,
    /// A hub with 10,000 tenants that starts again.
    Large,
    /// A cold build and `berth dev`.
    FirstRun,
}

/// In the order in which they are measured.
const USUAL: [Section; 11] = [
    Section::Decisions,
    Section::Access,
    Section::Apply,
    Section::Propagation,
    Section::Drift,
    Section::Bulk,
    Section::Walls,
    Section::Agents,
    Section::Failover,
    Section::Strangers,
    Section::Large,
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // More than one provider in a program makes rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let mut sections = if arguments.sections.is_empty() {
        USUAL.to_vec()
    } else {
        arguments.sections.clone()
    };
    sections.sort_unstable();
    sections.dedup();
    let mut report = Report::new()?;
    let outcome = measure(&sections, &arguments, &mut report).await;
    // What was measured before a failure is worth having.
    if let Some(file) = &arguments.out {
        std::fs::write(file, report.text()).with_context(|| format!("write {}", file.display()))?;
    }
    outcome
}

async fn measure(sections: &[Section], arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    if sections.contains(&Section::Decisions) {
        report.add("Decisions", &decisions::measure());
    }
    if sections.contains(&Section::Access) {
        report.add("Who may do what", &access::measure().await?);
    }
    let on_clusters = [
        Section::Apply,
        Section::Propagation,
        Section::Drift,
        Section::Bulk,
        Section::Walls,
    ];
    if sections.iter().any(|section| on_clusters.contains(section)) {
        let mut world = fleet::start().await?;
        let outcome = on_clusters_of(&mut world, sections, arguments, report).await;
        let outcome = outcome.with_context(|| world.logs());
        world.stop().await;
        outcome?;
    }
    if sections.contains(&Section::Agents) {
        report.add(
            "Propagation with many agents",
            &agents::measure(arguments.agents).await?,
        );
    }
    if sections.contains(&Section::Failover) {
        report.add("Fail-over", &failover::measure(arguments.kills).await?);
    }
    if sections.contains(&Section::Strangers) {
        report.add("Strangers", &strangers::measure().await?);
    }
    if sections.contains(&Section::Large) {
        report.add("A large fleet", &large::measure(arguments.large).await?);
    }
    if sections.contains(&Section::FirstRun) {
        report.add("First run", &first_run::measure().await?);
    }
    Ok(())
}

async fn on_clusters_of(
    world: &mut berth_tests::world::World,
    sections: &[Section],
    arguments: &Arguments,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.add("Memory, idle", &fleet::footprint(world, "no tenants").await?);
    if sections.contains(&Section::Apply) {
        report.add("Applying a tenant", &apply::measure(world).await?);
    }
    if sections.contains(&Section::Propagation) {
        report.add("Propagation", &propagation::measure(world).await?);
    }
    if sections.contains(&Section::Drift) {
        report.add("Drift", &drift::measure(world).await?);
    }
    if sections.contains(&Section::Bulk) {
        report.add(
            "Many tenants at once",
            &bulk::measure(world, arguments.tenants).await?,
        );
        report.add("Restarts", &restart::measure(world, arguments.tenants).await?);
    }
    if sections.contains(&Section::Walls) {
        report.add(
            "Walls and their evidence",
            &walls::measure(world, arguments.crowd).await?,
        );
    }
    Ok(())
}
