//! `berth store`: what a hub remembers, outside of a hub. Of a store that is looked into a copy is opened, so that nothing here changes one but
//! `restore` and `import`.

mod access;
mod copy;
mod fill;
mod keys;
mod records;
mod show;
mod source;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use self::{access::StoreArgs, source::At};
use super::{block_on, on_threads};
use crate::{args::Common, exit::Failure, terminal::Terminal};

/// Look into a hub's store, back it up, restore it, move it.
#[derive(Subcommand, Debug)]
pub(crate) enum Store {
    /// Check a store, or a backup, and say what it holds; exit code 78 when it is damaged
    Verify(Verify),
    /// Back a store up: a running hub's over its API, a stopped one's from its directory
    Backup(Backup),
    /// Make a hub's store from a backup; the hub then only observes until `berth fleet take-command`
    Restore(Restore),
    /// Write a whole store into one file, to move it
    Export(Export),
    /// Read such a file into an empty store; the hub then only observes until `berth fleet take-command`
    Import(Import),
}

/// How results are shown.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// JSON.
    Json,
}

/// How results are shown.
#[derive(Args, Clone, Copy, Debug)]
struct Output {
    /// How to show the result
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    output: Format,
}

/// Check a store, or a backup, and say what it holds. A copy is opened: what is damaged stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    store: StoreArgs,
    /// A backup to check in place of a store: a file, a directory or s3://BUCKET/PREFIX?endpoint=URL&region=NAME
    #[arg(long, alias = "backup", value_name = "BACKUP", conflicts_with_all = ["data_dir", "store"])]
    from: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// Back a store up. Without --data-dir and --store the running hub of the context is asked, which goes on meanwhile. The hub's keys come with
/// it, encrypted, when somebody is named to encrypt them to: beside a file as FILE.keys.age, in a directory or bucket as keys.age. Plain
/// `age -d` opens them too.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(flatten)]
    store: StoreArgs,
    /// Where to: a new file, an existing directory (which may hold more backups), or s3://BUCKET/PREFIX?endpoint=URL&region=NAME
    #[arg(long, value_name = "FILE|DIR|URL")]
    to: String,
    /// To whom the hub's keys are encrypted, as age-keygen prints it [default: the hub's backup.recipient; without it they are left out]
    #[arg(long, value_name = "age1...", conflicts_with = "store")]
    recipient: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// Make a store from a backup: one hub's, or with --store that of several. Every hub on it must be stopped. When they start they change nothing in any
/// cluster: `berth fleet difference` shows what would change, `berth fleet take-command` lets the one that leads act.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    #[command(flatten)]
    store: StoreArgs,
    /// The backup: a file, a directory or s3://BUCKET/PREFIX?endpoint=URL&region=NAME
    #[arg(long, value_name = "BACKUP")]
    from: String,
    /// How the store was at a revision (a number) or at a time (2026-11-21T10:00:00Z) in place of the newest
    #[arg(long, value_name = "REVISION|TIME", value_parser = source::at)]
    at: Option<At>,
    /// Put the hub's keys back as well, with the identity that they were encrypted to, a file of age-keygen's: on a blank machine, so that
    /// every agent knows the hub again
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// With --store: the data directory that the keys are put into; copy them to every other hub's
    #[arg(long, value_name = "DIR", requires = "identity", requires = "store")]
    keys_dir: Option<PathBuf>,
    /// Take the place of a store that is there; it is moved aside, never deleted
    #[arg(long, conflicts_with = "store")]
    replace: bool,
    #[command(flatten)]
    output: Output,
}

/// Write a whole store into one file.
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    store: StoreArgs,
    /// The new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Read a file that export or backup wrote into an empty store. Stop the hubs of the old store for good first.
#[derive(Args, Debug)]
pub(crate) struct Import {
    #[command(flatten)]
    store: StoreArgs,
    /// The file
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Does what was asked for.
pub(super) fn run(command: Store, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Store::Verify(args) => on_threads(verify::run(args, terminal)),
        Store::Backup(args) if args.store.none() => block_on(copy::online(args, common, terminal)),
        Store::Backup(args) => on_threads(copy::offline(args, terminal)),
        Store::Restore(args) => on_threads(fill::restore(args, terminal)),
        Store::Export(args) => on_threads(copy::export(args, terminal)),
        Store::Import(args) => on_threads(fill::import(args, terminal)),
    }
}
