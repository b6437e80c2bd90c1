//! `berth store restore` and `berth store import`: into a store. Both leave the mark by which a hub only observes at first.

use std::path::Path;

use berth_store::{
    Key, SledOptions,
    sled::{self, RestoreError, Restored},
    snapshot::Snapshot,
};
#[cfg(feature = "etcd")]
use berth_store::{Store as _, StoreError, Txn};
use berth_wire::record::{RestoreRecord, encode_restore};
use bytes::Bytes;

#[cfg(feature = "etcd")]
use super::access::of_store;
use super::{
    Format, Import, Restore,
    access::{StoreArgs, directory, now, of_opening},
    keys, show,
    source::{load, read},
};
use crate::{
    exit::{Exit, Failure},
    terminal::{Progress, Terminal},
};

const NEXT: &str = "\nThe hub changes nothing in any cluster yet. Start it, then:\n\
                    \x20 berth fleet difference      shows what clusters have and it does not know, and the other way round\n\
                    \x20 berth fleet take-command    lets it act\n";

pub(super) async fn restore(args: Restore, terminal: &Terminal) -> Result<(), Failure> {
    let progress = terminal.progress();
    progress.say(&format!("reading {}", args.from));
    let snapshot = load(&args.from, args.at).await?;
    let to = Target::of(&args.store)?;
    // Known before anything is written, the keys first: when they cannot be put back, nothing is done.
    let restored_keys = match (
        &args.identity,
        args.keys_dir.as_ref().or(args.store.data_dir.as_ref()),
    ) {
        (Some(identity), Some(dir)) => keys::restore(&args.from, identity, dir).await?,
        (Some(_), None) => {
            return Err(Failure::usage(
                "say where the keys go: --keys-dir DIR, the data directory of one of the hubs",
            ));
        }
        (None, _) => Vec::new(),
    };
    progress.say("writing the store");
    match to {
        Target::Directory(dir) => {
            let options = directory(dir);
            let restored = into_directory(&snapshot, &args.from, options.clone(), args.replace).await?;
            drop(progress);
            said(terminal, args.output.output, &options.dir, &snapshot, &restored)?;
        }
        Target::Shared(url) => {
            into_shared(url, &args.store, &snapshot, &args.from, &progress).await?;
            drop(progress);
            said_shared(terminal, args.output.output, "restored into", url, &snapshot)?;
        }
    }
    for path in restored_keys {
        terminal.note(&format!("put back {}", path.display()));
    }
    Ok(())
}

pub(super) async fn import(args: Import, terminal: &Terminal) -> Result<(), Failure> {
    let to = Target::of(&args.store)?;
    let progress = terminal.progress();
    progress.say(&format!("reading {}", args.from.display()));
    let snapshot = read(&args.from).await?;
    progress.say("writing the store");
    let source = args.from.display().to_string();
    match to {
        Target::Directory(dir) => {
            let options = directory(dir);
            let restored = into_directory(&snapshot, &source, options.clone(), false).await?;
            drop(progress);
            said(terminal, args.output.output, &options.dir, &snapshot, &restored)
        }
        Target::Shared(url) => {
            into_shared(url, &args.store, &snapshot, &source, &progress).await?;
            drop(progress);
            said_shared(terminal, args.output.output, "imported into", url, &snapshot)
        }
    }
}

/// Into which store.
enum Target<'a> {
    /// One hub's.
    Directory(&'a Path),
    /// One that several hubs share.
    Shared(&'a str),
}

impl<'a> Target<'a> {
    fn of(args: &'a StoreArgs) -> Result<Self, Failure> {
        match (&args.data_dir, &args.store) {
            (Some(dir), _) => Ok(Self::Directory(dir)),
            (None, Some(url)) => Ok(Self::Shared(url)),
            (None, None) => Err(Failure::usage(
                "say into which store: --data-dir DIR or --store URL",
            )),
        }
    }
}

/// Writes all of it under an empty prefix. The mark says that it is unfinished until everything is there, so that no hub takes a part for
/// the fleet when this is cut short.
#[cfg(feature = "etcd")]
async fn into_shared(
    url: &str,
    args: &StoreArgs,
    snapshot: &Snapshot,
    source: &str,
    progress: &Progress,
) -> Result<(), Failure> {
    let store = super::access::connect(url, args).await?;
    let failed = |error: &StoreError| of_store(url, error);
    store.claim().await.map_err(|error| failed(&error))?;
    let all = snapshot.summary.entries;
    let (key, unfinished) = mark(snapshot, source, true)?;
    let first = [(key.clone(), unfinished)];
    berth_store::snapshot::restore(snapshot, &store, &first, |written| {
        progress.say(&format!("{written} of {all} entries written"));
    })
    .await
    .map_err(|error| super::source::of_snapshot(url, &error))?;
    let (key, finished) = mark(snapshot, source, false)?;
    let txn = Txn::new().if_exists(key.clone()).put(key, finished);
    store.txn(txn).await.map(drop).map_err(|error| failed(&error))
}

#[cfg(not(feature = "etcd"))]
#[expect(clippy::unused_async, reason = "as with etcd")]
async fn into_shared(_: &str, _: &StoreArgs, _: &Snapshot, _: &str, _: &Progress) -> Result<(), Failure> {
    Err(super::access::no_etcd())
}

fn said_shared(
    terminal: &Terminal,
    format: Format,
    done: &str,
    url: &str,
    snapshot: &Snapshot,
) -> Result<(), Failure> {
    show::print(
        terminal,
        format,
        || {
            format!(
                "{done} {url}\n\n{}{NEXT}",
                show::lines(&show::summary(&snapshot.summary))
            )
        },
        || show::summary_tree(&snapshot.summary).text("store", url),
    )
}

/// The mark that a store was restored.
fn mark(snapshot: &Snapshot, source: &str, unfinished: bool) -> Result<(Key, Bytes), Failure> {
    let key = Key::new("restore").map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let record = RestoreRecord {
        source: source.to_owned(),
        restored_at: now(),
        revision: snapshot.summary.revision,
        snapshot_at: snapshot.summary.about.created_at,
        unfinished,
    };
    Ok((key, encode_restore(&record).into()))
}

async fn into_directory(
    snapshot: &Snapshot,
    source: &str,
    options: SledOptions,
    replace: bool,
) -> Result<Restored, Failure> {
    let (snapshot, mark) = (snapshot.clone(), mark(snapshot, source, false)?);
    let work = move || sled::restore(&snapshot, &options, &[mark], replace, now());
    let restored = tokio::task::spawn_blocking(work).await;
    let restored = restored.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    restored.map_err(|error| match error {
        RestoreError::Occupied { dir } => Failure {
            exit: Exit::Conflict,
            lines: vec![
                format!("there is a store in {}, or was one", dir.display()),
                "stop its hub and use `berth store restore --replace`, which moves it aside, or name another --data-dir".into(),
            ],
        },
        RestoreError::Open(error) => of_opening(&error),
    })
}

fn said(
    terminal: &Terminal,
    format: Format,
    dir: &Path,
    snapshot: &Snapshot,
    restored: &Restored,
) -> Result<(), Failure> {
    show::print(
        terminal,
        format,
        || {
            let mut lines = show::summary(&snapshot.summary);
            lines.push(("Goes on from", format!("revision {}", restored.revision)));
            if let Some(moved) = &restored.moved {
                lines.push(("Before it", format!("is now in {}", moved.display())));
            }
            format!("restored into {}\n\n{}{NEXT}", dir.display(), show::lines(&lines))
        },
        || {
            let tree = show::summary_tree(&snapshot.summary)
                .text("dir", &dir.display().to_string())
                .number("goesOnFrom", restored.revision.0)
                .text("newIncarnation", &restored.incarnation);
            match &restored.moved {
                Some(moved) => tree.text("moved", &moved.display().to_string()),
                None => tree,
            }
        },
    )
}
