//! Reading a snapshot into an empty store.

use bytes::Bytes;

use super::{Snapshot, SnapshotError};
use crate::{
    entry::{Entry, Page},
    key::Key,
    store::Store,
    txn::Txn,
};

/// The most entries and about the most bytes of one transaction: what every store takes.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 512 << 10;

/// Writes everything in `snapshot` into `into`, which must be empty, and calls `progress` with the number of entries written.
///
/// `first` is written before all else and stays: a mark by which whoever finds the store knows that it was restored, even when this was
/// cut short. Entries come in the order of their last writes, a hundred at a time; they get the store's own revisions.
///
/// # Errors
/// [`SnapshotError::NotEmpty`] when there is something in `into`; [`SnapshotError::Store`] when it does not take the entries: then some may be there.
pub async fn restore(
    snapshot: &Snapshot,
    into: &dyn Store,
    first: &[(Key, Bytes)],
    mut progress: impl FnMut(u64) + Send,
) -> Result<(), SnapshotError> {
    let one = Page {
        after: None,
        limit: 1,
    };
    let there = into.list("", one).await.map_err(SnapshotError::store("list"))?;
    if let Some(entry) = there.entries.into_iter().next() {
        return Err(SnapshotError::NotEmpty { found: entry.key });
    }
    if !first.is_empty() {
        let txn = first.iter().fold(Txn::new(), |txn, (key, value)| {
            txn.if_absent(key.clone()).put(key.clone(), value.clone())
        });
        into.txn(txn).await.map_err(SnapshotError::store("write to"))?;
    }
    let marked = |key: &Key| first.iter().any(|(mark, _)| mark == key);
    let mut ordered: Vec<&Entry> = snapshot
        .entries
        .iter()
        .filter(|entry| !marked(&entry.key))
        .collect();
    ordered.sort_by_key(|entry| entry.revision);
    let (mut txn, mut bytes, mut written) = (Txn::new(), 0, 0);
    for entry in ordered {
        if txn.puts.len() >= BATCH || bytes + entry.value.len() > BATCH_BYTES {
            written += put(into, std::mem::take(&mut txn)).await?;
            bytes = 0;
            progress(written);
        }
        bytes += entry.value.len();
        // Whoever else writes there meanwhile is found out.
        txn = txn
            .if_absent(entry.key.clone())
            .put(entry.key.clone(), entry.value.clone());
    }
    written += put(into, txn).await?;
    progress(written);
    Ok(())
}

async fn put(into: &dyn Store, txn: Txn) -> Result<u64, SnapshotError> {
    let writes = txn.puts.len() as u64;
    into.txn(txn).await.map_err(SnapshotError::store("write to"))?;
    Ok(writes)
}
