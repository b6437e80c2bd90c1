//! `berth store restore` and `berth store import`: into a store. Both leave the mark by which a hub only observes at first.

use std::path::Path;

use berth_store::{
    Key, SledOptions,
    sled::{self, RestoreError, Restored},
    snapshot::Snapshot,
};
use berth_wire::record::{RestoreRecord, encode_restore};
use bytes::Bytes;

use super::{
    Format, Import, Restore,
    access::{directory, now, of_opening},
    keys, show,
    source::{load, read},
};
use crate::{
    exit::{Exit, Failure},
    terminal::Terminal,
};

const NEXT: &str = "\nThe hub changes nothing in any cluster yet. Start it, then:\n\
                    \x20 berth fleet difference      shows what clusters have and it does not know, and the other way round\n\
                    \x20 berth fleet take-command    lets it act\n";

pub(super) async fn restore(args: Restore, terminal: &Terminal) -> Result<(), Failure> {
    let progress = terminal.progress();
    progress.say(&format!("reading {}", args.from));
    let snapshot = load(&args.from, args.at).await?;
    // The keys first: when they cannot be put back, nothing is done.
    let restored_keys = match &args.identity {
        Some(identity) => keys::restore(&args.from, identity, &args.data_dir).await?,
        None => Vec::new(),
    };
    progress.say("writing the store");
    let options = directory(&args.data_dir);
    let restored = into_directory(&snapshot, &args.from, options.clone(), args.replace).await?;
    drop(progress);
    said(terminal, args.output.output, &options.dir, &snapshot, &restored)?;
    for path in restored_keys {
        terminal.note(&format!("put back {}", path.display()));
    }
    Ok(())
}

pub(super) async fn import(args: Import, terminal: &Terminal) -> Result<(), Failure> {
    let progress = terminal.progress();
    progress.say(&format!("reading {}", args.from.display()));
    let snapshot = read(&args.from).await?;
    progress.say("writing the store");
    let source = args.from.display().to_string();
    if let Some(dir) = &args.store.data_dir {
        let options = directory(dir);
        let restored = into_directory(&snapshot, &source, options.clone(), false).await?;
        drop(progress);
        return said(terminal, args.output.output, &options.dir, &snapshot, &restored);
    }
    match &args.store.store {
        Some(url) => {
            #[cfg(feature = "etcd")]
            {
                let store = super::access::connect(url, &args.store).await?;
                let all = snapshot.summary.entries;
                let marks = [mark(&snapshot, &source)?];
                let written = berth_store::snapshot::restore(&snapshot, &store, &marks, |written| {
                    progress.say(&format!("{written} of {all} entries written"));
                });
                written
                    .await
                    .map_err(|error| super::source::of_snapshot(url, &error))?;
                drop(progress);
                show::print(
                    terminal,
                    args.output.output,
                    || {
                        format!(
                            "imported into {url}\n\n{}{NEXT}",
                            show::lines(&show::summary(&snapshot.summary))
                        )
                    },
                    || show::summary_tree(&snapshot.summary).text("store", url),
                )
            }
            #[cfg(not(feature = "etcd"))]
            {
                let _ = url;
                Err(super::access::no_etcd())
            }
        }
        None => Err(Failure::usage(
            "say into which store: --data-dir DIR or --store URL",
        )),
    }
}

/// The mark that a store was restored.
fn mark(snapshot: &Snapshot, source: &str) -> Result<(Key, Bytes), Failure> {
    let key = Key::new("restore").map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let record = RestoreRecord {
        source: source.to_owned(),
        restored_at: now(),
        revision: snapshot.summary.revision,
        snapshot_at: snapshot.summary.about.created_at,
    };
    Ok((key, encode_restore(&record).into()))
}

async fn into_directory(
    snapshot: &Snapshot,
    source: &str,
    options: SledOptions,
    replace: bool,
) -> Result<Restored, Failure> {
    let (snapshot, mark) = (snapshot.clone(), mark(snapshot, source)?);
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
