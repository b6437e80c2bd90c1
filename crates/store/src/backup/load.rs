//! Reading a backup: which chain, how far into it, and whether it is whole.

use std::collections::BTreeMap;

use berth_model::{Revision, Timestamp};

use super::{
    BackupError, Place,
    manifest::{self, File, Manifest},
};
use crate::{
    entry::Entry,
    key::Key,
    snapshot::{
        self, Snapshot, SnapshotError, Summary,
        format::{Decoder, Encoder, Header, Kind, Record},
    },
};

/// Which moment of a backup is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The newest there is.
    #[default]
    Newest,
    /// The store at a revision.
    Revision(Revision),
    /// The last one that was written by then. Segments are not taken apart, so it may be older by the interval they are written in.
    Time(Timestamp),
}

/// What a chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Its name.
    pub chain: String,
    /// Of which store.
    pub incarnation: String,
    /// The snapshot's revision and that of the last change.
    pub revisions: (Revision, Revision),
    /// When the snapshot and the last change were written.
    pub times: (Timestamp, Timestamp),
    /// How many segments follow the snapshot.
    pub segments: u64,
    /// How large it is.
    pub bytes: u64,
    /// How many entries it leads to; or what is wrong with it.
    pub entries: Result<u64, String>,
}

impl Target {
    fn wanted(self) -> String {
        match self {
            Self::Newest => String::new(),
            Self::Revision(revision) => format!("revision {revision}"),
            Self::Time(time) => format!("{time} or before"),
        }
    }

    /// Whether a chain has it.
    fn within(self, manifest: &Manifest) -> bool {
        let (Some(first), Some(last)) = (manifest.files.first(), manifest.files.last()) else {
            return false;
        };
        match self {
            Self::Newest => true,
            Self::Revision(Revision(revision)) => (first.revision..=last.revision).contains(&revision),
            Self::Time(time) => first.created_at <= time,
        }
    }
}

/// Reads the store as it was at `target`, checking everything it takes.
///
/// # Errors
/// [`BackupError::None`] when there is nothing of the kind; [`BackupError::Damaged`] when the chain it is in is not whole.
pub async fn load(place: &dyn Place, target: Target) -> Result<Snapshot, BackupError> {
    let (chains, _) = manifest::chains(place).await?;
    // The newest chain that has it: a later one was written with the knowledge of more.
    for chain in chains.iter().rev() {
        match Manifest::read(place, chain).await? {
            Some(manifest) if target.within(&manifest) => return replay(place, &manifest, target).await,
            _ => {}
        }
    }
    Err(BackupError::None {
        place: place.name(),
        wanted: target.wanted(),
    })
}

/// Checks every chain, and says what each holds.
///
/// # Errors
/// When the place cannot be asked, or holds no chain.
pub async fn verify(
    place: &dyn Place,
    mut each: impl FnMut(&str) + Send,
) -> Result<Vec<ChainReport>, BackupError> {
    let (chains, _) = manifest::chains(place).await?;
    if chains.is_empty() {
        return Err(BackupError::None {
            place: place.name(),
            wanted: String::new(),
        });
    }
    let mut reports = Vec::new();
    for chain in chains {
        each(&chain);
        let manifest = match Manifest::read(place, &chain).await {
            Ok(Some(manifest)) => manifest,
            Ok(None) => continue,
            Err(error @ BackupError::Place { .. }) => return Err(error),
            Err(error) => {
                reports.push(ChainReport::unreadable(chain, error.to_string()));
                continue;
            }
        };
        let entries = match replay(place, &manifest, Target::Newest).await {
            Ok(snapshot) => Ok(snapshot.summary.entries),
            Err(error @ BackupError::Place { .. }) => return Err(error),
            Err(error) => Err(error.to_string()),
        };
        reports.push(ChainReport::of(&manifest, entries));
    }
    Ok(reports)
}

impl ChainReport {
    fn unreadable(chain: String, problem: String) -> Self {
        Self {
            chain,
            incarnation: String::new(),
            revisions: (Revision(0), Revision(0)),
            times: (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
            segments: 0,
            bytes: 0,
            entries: Err(problem),
        }
    }

    fn of(manifest: &Manifest, entries: Result<u64, String>) -> Self {
        let mut report = Self::unreadable(manifest.chain.clone(), String::new());
        manifest.incarnation.clone_into(&mut report.incarnation);
        if let (Some(first), Some(last)) = (manifest.files.first(), manifest.files.last()) {
            report.revisions = (Revision(first.revision), Revision(last.revision));
            report.times = (first.created_at, last.created_at);
        }
        report.segments = manifest.files.len().saturating_sub(1) as u64;
        report.bytes = manifest.files.iter().map(|file| file.bytes).sum();
        report.entries = entries;
        report
    }
}

/// The snapshot, and the changes after it as far as the target goes.
async fn replay(place: &dyn Place, manifest: &Manifest, target: Target) -> Result<Snapshot, BackupError> {
    let mut files = manifest.files.iter();
    let Some(first) = files.next() else {
        return Err(BackupError::damaged(&manifest.chain, "it is empty"));
    };
    let bytes = fetch(place, manifest, first).await?;
    let Snapshot { mut summary, entries } = snapshot::read(&bytes[..]).map_err(in_file(manifest, first))?;
    if summary.revision.0 != first.revision {
        return Err(BackupError::damaged(
            &manifest.chain,
            "its snapshot is another one",
        ));
    }
    let mut state: BTreeMap<Key, Entry> = entries
        .into_iter()
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    for file in files {
        let wanted = match target {
            Target::Newest => true,
            Target::Revision(revision) => summary.revision < revision,
            Target::Time(time) => file.created_at <= time,
        };
        if !wanted {
            break;
        }
        let until = match target {
            Target::Revision(revision) => revision,
            _ => Revision(file.revision),
        };
        let bytes = fetch(place, manifest, file).await?;
        summary.revision = apply(&mut state, &bytes, file, until).map_err(in_file(manifest, file))?;
        summary.about.created_at = file.created_at;
    }
    summary.entries = state.len() as u64;
    summary.shelves.clear();
    for key in state.keys() {
        *summary
            .shelves
            .entry(snapshot::shelf(key).to_owned())
            .or_default() += 1;
    }
    // It is no file any more.
    (summary.bytes, summary.digest) = (0, String::new());
    Ok(Snapshot {
        summary,
        entries: state.into_values().collect(),
    })
}

fn in_file(manifest: &Manifest, file: &File) -> impl FnOnce(SnapshotError) -> BackupError {
    let (chain, name) = (manifest.chain.clone(), file.name.clone());
    move |error| BackupError::Damaged {
        chain,
        finding: format!("{name}: {error}"),
    }
}

async fn fetch(place: &dyn Place, manifest: &Manifest, file: &File) -> Result<bytes::Bytes, BackupError> {
    let damaged = |finding: &str| BackupError::damaged(&manifest.chain, format!("{} {finding}", file.name));
    let bytes = place
        .get(&manifest.path(&file.name))
        .await?
        .ok_or_else(|| damaged("is gone"))?;
    if blake3::hash(&bytes).to_hex().as_str() != file.blake3 {
        return Err(damaged("is not what the manifest says"));
    }
    Ok(bytes)
}

/// A segment as bytes.
pub(super) fn encode(header: &Header, changes: &[crate::Change]) -> Result<Vec<u8>, SnapshotError> {
    let mut encoder = Encoder::new(header).map_err(SnapshotError::Write)?;
    let mut bytes = Vec::new();
    for change in changes {
        encoder.change(change).map_err(SnapshotError::Write)?;
        bytes.extend(encoder.take().unwrap_or_default());
    }
    bytes.extend(encoder.finish().map_err(SnapshotError::Write)?.0);
    Ok(bytes)
}

/// Lays a segment over a state, up to and with a revision, and says how far it came.
fn apply(
    state: &mut BTreeMap<Key, Entry>,
    bytes: &[u8],
    file: &File,
    until: Revision,
) -> Result<Revision, SnapshotError> {
    let mut decoder = Decoder::new(bytes)?;
    let header = decoder.header();
    if header.kind != Kind::Segment || header.after != file.after || header.revision != file.revision {
        return Err(SnapshotError::damaged(
            "it is another file than the manifest says",
        ));
    }
    let mut reached = Revision(file.after.unwrap_or_default());
    while let Some(record) = decoder.next()? {
        let Record::Change(change) = record else {
            return Err(SnapshotError::damaged("it has entries among its changes"));
        };
        if change.revision > until {
            // The rest is read all the same, for its digest.
            continue;
        }
        reached = change.revision;
        match change.put {
            None => {
                state.remove(&change.key);
            }
            Some(value) => {
                let created = state
                    .get(&change.key)
                    .map_or(change.revision, |entry| entry.created);
                let entry = Entry {
                    key: change.key.clone(),
                    value,
                    revision: change.revision,
                    created,
                };
                state.insert(change.key, entry);
            }
        }
    }
    Ok(reached)
}

/// What a segment's header says; for whoever writes one.
pub(super) fn header(fleet: Option<&str>, incarnation: &str, file: &File, count: usize) -> Header {
    Header {
        kind: Kind::Segment,
        schema: crate::sled::SCHEMA,
        fleet: fleet.map(Into::into),
        incarnation: incarnation.to_owned(),
        after: file.after,
        revision: file.revision,
        created_at: file.created_at,
        count: count as u64,
    }
}

impl Summary {
    /// How a chain's folder is named after its snapshot: in order of time.
    pub(super) fn chain_name(&self) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!(
            "{}-{:020}-{}",
            self.about.created_at.strftime("%Y%m%dT%H%M%SZ"),
            self.revision.0,
            &random[..8]
        )
    }
}
