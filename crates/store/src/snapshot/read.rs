//! Reading a snapshot, all of it before any of it is believed.

use std::io::Read;

use super::{
    SnapshotError, Summary,
    format::{Decoder, Kind, Record},
};
use crate::entry::Entry;

/// A whole snapshot that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is.
    pub summary: Summary,
    /// In order of their keys.
    pub entries: Vec<Entry>,
}

/// Reads a snapshot, and checks it. Blocks.
///
/// # Errors
/// [`SnapshotError::Damaged`] or [`SnapshotError::Newer`] when it is of no use, [`SnapshotError::Read`] when the disk says so.
pub fn read(input: impl Read) -> Result<Snapshot, SnapshotError> {
    let mut entries = Vec::new();
    let summary = each(input, |entry| entries.push(entry))?;
    Ok(Snapshot { summary, entries })
}

/// Checks a snapshot and says what it holds. Blocks.
///
/// # Errors
/// As [`read`].
pub fn verify(input: impl Read) -> Result<Summary, SnapshotError> {
    each(input, drop)
}

fn each(input: impl Read, mut take: impl FnMut(Entry)) -> Result<Summary, SnapshotError> {
    let mut decoder = Decoder::new(input)?;
    if decoder.header().kind != Kind::Snapshot {
        return Err(SnapshotError::damaged("it is a segment of changes"));
    }
    let mut summary = Summary::new(decoder.header());
    let mut before: Option<crate::Key> = None;
    while let Some(record) = decoder.next()? {
        let Record::Entry(entry) = record else {
            return Err(SnapshotError::damaged("it has changes among its entries"));
        };
        if before.as_ref().is_some_and(|before| *before >= entry.key) {
            return Err(SnapshotError::damaged(format!("{} is out of order", entry.key)));
        }
        if entry.revision > summary.revision || entry.created > entry.revision {
            return Err(SnapshotError::damaged(format!(
                "{} is of a later revision",
                entry.key
            )));
        }
        summary.count(&entry.key);
        before = Some(entry.key.clone());
        take(entry);
    }
    (summary.digest, summary.bytes) = decoder.end();
    Ok(summary)
}
