//! `cargo xtask`: the one door to tests, benches, lints and the control plane they run on.
//!
//! It depends on no other crate of the workspace, so that it builds in seconds and works when they do not compile.

mod bench;
mod chaos;
mod control_plane;
mod fuzz;
mod lint;
mod node;
mod run;
mod sim;
mod tests;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, benches, lints and the Kubernetes control plane that they run on.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Get kube-apiserver, etcd and the other programs of a control plane onto this machine.
    ///
    /// What is missing is looked for in this order: the directories in BERTH_CONTROL_PLANE and KUBEBUILDER_ASSETS, the
    /// user's cache, an official download with its checksum, a build by Go from source (about ten minutes). Ends at
    /// once when everything is there.
    ControlPlane(ControlPlane),
    /// Get the OpenID provider that tests of signing in start onto this machine; needs Node.js and npm.
    OidcProvider,
    /// Build the programs with everything in them, the etcd store too, which plain `cargo build` leaves out.
    Build {
        /// Handed to `cargo build`, such as `--release`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test of the workspace, on real control planes.
    ///
    /// Gets the control plane and the OpenID provider first if needed, then builds the programs that whole-system tests start. The last line
    /// says how many tests passed and failed.
    Test(Test),
    /// Check format, lints and the protocol definitions.
    Lint,
    /// Simulate whole fleets on virtual time, one for each seed, and check the invariants after each.
    ///
    /// A seed that breaks one prints the command that plays it again with its trace.
    Sim {
        /// Handed to the simulation, such as `--seeds 1000 --from 1`; `-- --help` shows what it takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Do harm to running hubs, agents and stores for some minutes, and print what was tried and what came of it.
    ///
    /// Ends with exit code 1 when anything was lost, done twice or left behind. Everything stays on this machine's loopback or in
    /// namespaces of its own; sections that need root say so and are skipped without it.
    Chaos(Chaos),
    /// Try new inputs on everything that reads what strangers, callers and agents write.
    ///
    /// What breaks something is kept in tests/fuzz/corpus and is a test from then on. With overflow checks, so not optimised.
    Fuzz {
        /// Handed to the fuzzer, such as `files tokens --seconds 300 --seed 7`; `-- --help` shows what it takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the benches and print their report.
    Bench {
        /// Handed to the bench program; `-- --help` shows what it takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Where the control plane comes from and goes to.
#[derive(Debug, clap::Args)]
pub(crate) struct ControlPlane {
    /// Put the programs here instead of the user's cache.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Download from this mirror: `URL/v1.36.3/bin/linux/amd64/kube-apiserver`, `URL/etcd/v3.7.3/etcd-v3.7.3-linux-amd64.tar.gz`
    /// and `URL/kwok/v0.8.0/kwok-linux-amd64`, with `.sha256` files (`SHA256SUMS` for etcd) beside them.
    #[arg(long, env = "BERTH_DOWNLOAD_BASE", value_name = "URL")]
    download_base: Option<String>,
}

/// Which harm is done.
#[derive(Debug, clap::Args)]
pub(crate) struct Chaos {
    /// Handed to the chaos program, such as `crashes kills --seed 7 --rounds 3`; `-- --help` shows what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Which tests run.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Run only tests whose name contains one of these.
    filter: Vec<String>,
    #[command(flatten)]
    control_plane: ControlPlane,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::ControlPlane(options) => control_plane::obtain(&options).map(|_| ()),
        Task::OidcProvider => node::oidc_provider().map(|_| ()),
        Task::Build { arguments } => bench::build(&arguments),
        Task::Test(options) => tests::test(&options),
        Task::Lint => lint::lint(),
        Task::Sim { arguments } => sim::sim(&arguments),
        Task::Chaos(options) => chaos::chaos(&options),
        Task::Fuzz { arguments } => fuzz::fuzz(&arguments),
        Task::Bench { arguments } => bench::bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
