//! `cargo xtask fuzz`: tries new inputs on what reads them.

use std::{process::ExitCode, time::Duration};

use berth_tests::fuzz::{self, TARGETS};
use clap::Parser;

/// Tries new inputs on what reads what strangers, callers and agents write. What breaks something is kept in tests/fuzz/corpus and is a test
/// from then on.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is fuzzed; everything when none is named.
    targets: Vec<String>,
    /// How long, each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where chance begins; the same seed tries the same inputs, as far as time allows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep an input for each answer that nothing kept leads to yet, this many at most.
    #[arg(long, default_value_t = 0)]
    keep: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let unknown = arguments.targets.iter().find(|name| fuzz::find(name).is_none());
    if let Some(unknown) = unknown {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        anyhow::bail!("{unknown:?} is no target; there are {}", names.join(", "));
    }
    // What a panic says is told with the input that led to it.
    std::panic::set_hook(Box::new(|_| {}));
    let mut sound = true;
    let chosen = TARGETS.iter().filter(|target| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target.name)
    });
    for target in chosen {
        let mut seeds = (target.seeds)();
        let kept = fuzz::kept(target).unwrap_or_default();
        let room = arguments.keep.saturating_sub(kept.len());
        seeds.extend(kept.into_values());
        let outcome = fuzz::run(
            target,
            seeds,
            Duration::from_secs(arguments.seconds),
            arguments.seed,
        );
        println!(
            "{}: {} inputs, {} different answers",
            target.name, outcome.tried, outcome.answers
        );
        for input in outcome.kept.iter().filter(|input| input.len() <= 4096).take(room) {
            fuzz::keep(target, "answer", input)?;
        }
        for (input, how) in &outcome.broken {
            sound = false;
            println!("  {}: {how}", fuzz::keep(target, "broken", input)?.display());
        }
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
