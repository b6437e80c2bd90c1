//! `cargo xtask chaos [SECTION...] [--seed N] [--rounds N]`: does harm to real hubs, agents, etcds and stores, and looks whether
//! anything was lost, done twice or left behind.
//!
//! Every section says what it tried and what it found; any violation makes the exit code 1. All of it is bounded in time and count
//! and stays on loopback or in namespaces of its own, which take root.

mod beginnings;
mod corruption;
mod crashes;
mod findings;
mod fleet;
mod full;
mod kills;
mod load;
mod namespace;
mod network;
mod partition;
mod pause;
mod terms;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use findings::Findings;

/// Does harm to a running Berth and looks what comes of it.
#[derive(Parser, Debug)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    helper: Option<Helper>,
}

/// What is done.
#[derive(clap::Args, Clone, Debug)]
struct Options {
    /// Which harm; all of it when nothing is named.
    sections: Vec<Section>,
    /// Of everything that is left to chance.
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds of the sections that have any; each has a number of its own otherwise.
    #[arg(long)]
    rounds: Option<usize>,
    /// One trial of a section that numbers them, such as `hub:namespace:17`.
    #[arg(long, value_name = "TRIAL")]
    only: Option<String>,
    /// Already in a namespace of its own.
    #[arg(long, hide = true)]
    inside: bool,
}

/// What sections start this program for.
#[derive(Subcommand, Clone, Debug)]
enum Helper {
    /// Hands connections on.
    #[command(hide = true)]
    Relay(network::Relay),
}

/// A kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Section {
    /// A hub or an agent dies at every step that outlives it.
    Crashes,
    /// A hub dies, or its machine loses power, at every step of its first start; hub or agent die while a cluster joins.
    Beginnings,
    /// Hubs, an agent and members of etcd are killed at random moments under load.
    Kills,
    /// The leader is stopped for longer than its lease, and goes on.
    Pause,
    /// Hubs, etcd and an agent are cut off from each other.
    Partition,
    /// The disk of a hub's store fills up.
    Full,
    /// The files of a store are damaged in many ways.
    Corruption,
}

impl Section {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    async fn run(self, options: &Options, seed: u64) -> anyhow::Result<Findings> {
        let rounds = |usual: usize| options.rounds.unwrap_or(usual);
        match self {
            Self::Crashes => crashes::run(seed, options.only.as_deref()).await,
            Self::Beginnings => beginnings::run(seed, options.rounds, options.only.as_deref()).await,
            Self::Kills => kills::run(seed, rounds(8)).await,
            Self::Pause => pause::run(seed, rounds(5)).await,
            Self::Partition if options.inside => partition::run(seed, rounds(1)).await,
            Self::Full if options.inside => full::run(seed).await,
            Self::Partition | Self::Full => namespace::run(self, seed, options.rounds).await,
            Self::Corruption => corruption::run(seed, rounds(150)).await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // More than one provider in a program makes rustls refuse to choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    if let Some(Helper::Relay(relay)) = arguments.helper {
        return match relay.run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let options = arguments.options;
    let seed = options.seed.unwrap_or_else(rand::random);
    let sections = match options.sections.as_slice() {
        [] => Section::value_variants().to_vec(),
        some => some.to_vec(),
    };
    let mut well = true;
    for section in sections {
        let name = section.name();
        if !options.inside {
            println!("## {name} (seed {seed})");
        }
        let began = berth_tests::waiting::Watch::start();
        match section.run(&options, seed).await {
            Ok(findings) => {
                print!("{findings}");
                well &= findings.violations.is_empty();
            }
            Err(error) => {
                println!("VIOLATION: {error:#}");
                well = false;
            }
        }
        if !options.inside {
            println!("{name}: {} s\n", began.elapsed().as_secs());
        }
    }
    if well {
        ExitCode::SUCCESS
    } else {
        println!("there are violations");
        ExitCode::FAILURE
    }
}
