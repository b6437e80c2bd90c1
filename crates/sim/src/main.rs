//! Runs seeds and says which of them broke something.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use berth_sim::{Plan, run, world::Rare};
use clap::Parser;

/// Simulates whole fleets, one for each seed, and checks the invariants S1 to S8 after each.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Print what happens.
    #[arg(long)]
    trace: bool,
    /// How many virtual seconds things go wrong.
    #[arg(long, default_value_t = 300)]
    trouble: u64,
    /// How many virtual seconds nothing may be written at the end.
    #[arg(long, default_value_t = 3600)]
    rest: u64,
    /// How many run at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Run each seed twice, and call it a finding when the two histories differ.
    #[arg(long)]
    twice: bool,
    /// Of these seeds only those with something that few runs have: a store that is put back, two agents at once.
    #[arg(long)]
    rare: bool,
    /// Print what the product logs too, such as `info` or `berth_control=debug`.
    #[arg(long)]
    log: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .without_time()
            .with_writer(std::io::stdout)
            .init();
    }
    let next = AtomicU64::new(arguments.from);
    let failed = AtomicU64::new(0);
    let simulated = AtomicU64::new(0);
    let clock = berth_runtime::SystemClock::new();
    let began = berth_runtime::Clock::monotonic(&clock);
    let jobs = if arguments.trace || arguments.log.is_some() {
        1
    } else {
        arguments.jobs.max(1)
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.from + arguments.seeds {
                        return;
                    }
                    if arguments.rare && Rare::draw(seed) == Rare::default() {
                        continue;
                    }
                    let plan = Plan {
                        trouble: Duration::from_secs(arguments.trouble),
                        rest: Duration::from_secs(arguments.rest),
                        trace: arguments.trace,
                        ..Plan::of(seed)
                    };
                    let outcome = run(plan).and_then(|outcome| {
                        if arguments.twice {
                            let again = run(plan)?;
                            anyhow::ensure!(
                                again.fingerprint == outcome.fingerprint,
                                "the same seed went two ways ({} and {} events)",
                                outcome.events,
                                again.events
                            );
                        }
                        Ok(outcome)
                    });
                    match outcome {
                        Ok(outcome) => {
                            simulated.fetch_add(outcome.simulated.as_secs(), Ordering::Relaxed);
                            if !outcome.findings.is_empty() {
                                failed.fetch_add(1, Ordering::Relaxed);
                                report(&outcome, &arguments);
                            } else if arguments.seeds == 1 {
                                println!(
                                    "seed {seed}: fine; {} events in {:?}, fingerprint {:016x}",
                                    outcome.events, outcome.simulated, outcome.fingerprint
                                );
                            }
                        }
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("seed {seed}: the simulation itself failed: {error:#}");
                        }
                    }
                }
            });
        }
    });
    let took = berth_runtime::Clock::monotonic(&clock).saturating_sub(began);
    let failed = failed.into_inner();
    let hours = simulated.into_inner() as f64 / 3600.0;
    println!(
        "{} seeds, {failed} failed; {hours:.1} simulated hours in {:.1} s: {:.0} simulated hours a minute",
        arguments.seeds,
        took.as_secs_f64(),
        hours / (took.as_secs_f64() / 60.0)
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn report(outcome: &berth_sim::Outcome, arguments: &Arguments) {
    println!("seed {}: {} findings", outcome.seed, outcome.findings.len());
    for finding in outcome.findings.iter().take(5) {
        println!(
            "  {} at {:.3} s: {}",
            finding.rule,
            finding.at.as_secs_f64(),
            finding.what
        );
    }
    println!(
        "  replay: cargo xtask sim --from {} --trouble {} --rest {} --trace",
        outcome.seed, arguments.trouble, arguments.rest
    );
}
