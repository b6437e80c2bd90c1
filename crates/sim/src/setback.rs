//! The store is put back to an earlier state: from a backup, which leaves its mark, or as a copy of the whole store, in which nothing
//! says so. And the operator who looks, lets a hub take command, and brings in again what the store was made to forget.

mod forgotten;
mod operator;

use std::time::Duration;

use anyhow::Context as _;
use berth_control::keys;
use berth_model::{Revision, Timestamp};
use berth_runtime::simulation;
use berth_store::{
    Entry, Key, MemoryStore, Store as _, Txn,
    snapshot::{self, About, Piece, Snapshot, Summary},
};
use berth_wire::record::{RestoreRecord, encode_restore};
use bytes::Bytes;
use futures::StreamExt as _;

pub use self::{forgotten::Forgotten, operator::operate};
use crate::{
    chance::Dice,
    history::{Event, PutBack},
    run::Plan,
    world::World,
};

/// How it is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From a backup, as `berth store restore` does.
    Restored,
    /// A data directory as the snapshot of a machine has it, or an etcd from its own snapshot.
    Copied,
}

/// How far above a backup a data directory goes on that was restored from it.
const GAP: u64 = 1 << 32;
/// A backup that takes longer is begun anew.
const PATIENCE: Duration = Duration::from_secs(60);
/// What processes had sent when they were killed has arrived by then, or never will.
const QUIET: Duration = Duration::from_secs(8);

/// A store as it was at one revision.
struct Taken {
    revision: Revision,
    entries: Vec<Entry>,
    /// Of a backup: as it was read again.
    snapshot: Option<Snapshot>,
}

/// Takes the store at some moment, and puts it back so at a later one, within the time in which things go wrong.
pub async fn play(world: World, kind: Kind, plan: Plan) {
    let dice = Dice::named(plan.seed, "when the store is put back");
    let part = |dice: &Dice, least: u32, most: u32| {
        let percent = u32::try_from(dice.below(u64::from(most - least))).unwrap_or(0) + least;
        plan.trouble * percent / 100
    };
    tokio::time::sleep(part(&dice, 15, 45)).await;
    let taken = loop {
        match take(&world, kind).await {
            Ok(taken) => break taken,
            Err(error) => note(&world, format!("no backup: {error:#}")),
        }
        tokio::time::sleep(dice.millis(500, 3000)).await;
    };
    note(&world, format!("{kind:?}: taken at revision {}", taken.revision));
    tokio::time::sleep(part(&dice, 5, 45)).await;

    world.close(true);
    for machine in world.hub_machines() {
        world.kill_hub(&machine, dice.percent(40));
        tokio::time::sleep(dice.millis(0, 2000)).await;
    }
    // Whatever it was that took the store, agents may have gone with it, and with them what they were told.
    let agents_too = dice.percent(25);
    if agents_too {
        for cluster in world.sites().into_keys() {
            world.kill_agent(&cluster, true);
        }
    }
    tokio::time::sleep(QUIET + dice.millis(0, 20_000)).await;
    if let Err(error) = put_back(&world, &dice, kind, taken).await {
        note(&world, format!("the store is not put back: {error:#}"));
    }
    world.close(false);
    let mut machines = world.hub_machines();
    while let Some(machine) = dice.pick(&machines) {
        machines.retain(|other| *other != machine);
        tokio::time::sleep(dice.millis(0, 3000)).await;
        world.start_hub(&machine);
    }
    if agents_too {
        for cluster in world.sites().into_keys() {
            tokio::time::sleep(dice.millis(0, 3000)).await;
            world.start_agent(&cluster);
        }
    }
}

fn note(world: &World, what: String) {
    world.history.note(Event::Fault(what));
}

async fn take(world: &World, kind: Kind) -> anyhow::Result<Taken> {
    match kind {
        Kind::Copied => {
            let (revision, entries) = snapshot::contents(&world.truth.memory()).await?;
            Ok(Taken {
                revision,
                entries,
                snapshot: None,
            })
        }
        Kind::Restored => {
            let hub = world.leader().context("nobody leads")?;
            let about = About {
                fleet: None,
                incarnation: String::new(),
                created_at: now(),
            };
            let mut pieces = Box::pin(snapshot::stream(hub.store.clone(), about));
            let mut file = Vec::new();
            let whole = async {
                let mut last = None;
                while let Some(piece) = pieces.next().await {
                    match piece? {
                        Piece::Bytes(bytes) => file.extend_from_slice(&bytes),
                        Piece::Summary(summary) => last = Some(summary),
                    }
                }
                anyhow::Ok(last)
            };
            let sent: Option<Summary> = tokio::time::timeout(PATIENCE, whole).await??;
            let read = snapshot::read(&*file)?;
            anyhow::ensure!(sent.as_ref() == Some(&read.summary), "{sent:?} was sent");
            Ok(Taken {
                revision: read.summary.revision,
                entries: read.entries.clone(),
                snapshot: Some(read),
            })
        }
    }
}

fn now() -> Timestamp {
    simulation::now().unwrap_or(simulation::BEGINNING)
}

async fn put_back(world: &World, dice: &Dice, kind: Kind, taken: Taken) -> anyhow::Result<()> {
    let memory = match (&taken.snapshot, &world.truth.lease) {
        (None, _) => MemoryStore::with(taken.entries.clone(), taken.revision),
        (Some(snapshot), None) => {
            // As into a directory: entries keep their revisions, and the store goes on far above them.
            let revision = Revision(taken.revision.0 + GAP);
            let (key, value) = mark(snapshot, false)?;
            let mut entries = taken.entries.clone();
            entries.push(Entry {
                key,
                value,
                revision,
                created: revision,
            });
            MemoryStore::with(entries, revision)
        }
        (Some(snapshot), Some(_)) => {
            // As under another prefix of the same etcd, or into another one.
            let newest = world.truth.memory().revision().await?;
            let start = if dice.percent(50) { newest } else { Revision(0) };
            let memory = MemoryStore::with(Vec::new(), start);
            let (key, unfinished) = mark(snapshot, true)?;
            snapshot::restore(snapshot, &memory, &[(key.clone(), unfinished)], |_| {}).await?;
            memory.txn(Txn::new().put(key, mark(snapshot, false)?.1)).await?;
            memory
        }
    };
    let before = world.truth.memory();
    world.truth.put_back(memory.clone()).await?;
    let (revision, entries) = snapshot::contents(&memory).await?;
    world.forgotten.learn(world, &before, &entries).await?;
    world.history.note(Event::PutBack(PutBack {
        from: taken.revision,
        revision,
        marked: kind == Kind::Restored,
        entries,
    }));
    Ok(())
}

fn mark(snapshot: &Snapshot, unfinished: bool) -> anyhow::Result<(Key, Bytes)> {
    let record = RestoreRecord {
        source: "a backup".into(),
        restored_at: now(),
        revision: snapshot.summary.revision,
        snapshot_at: snapshot.summary.about.created_at,
        unfinished,
    };
    Ok((keys::restore(), encode_restore(&record).into()))
}
