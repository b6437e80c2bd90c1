//! A snapshot as a chain of its own.

use std::io::Read;

use bytes::Bytes;

use super::{
    BackupError, Place,
    manifest::{FORMAT, File, Manifest},
};
use crate::snapshot::{self, Summary};

pub(super) const SNAPSHOT: &str = "snapshot";

/// Puts a snapshot, which is checked first, to a place as the beginning of a chain, and says which.
///
/// # Errors
/// When it is no whole snapshot, or the place does not take it.
pub async fn save(place: &dyn Place, snapshot: Bytes) -> Result<(String, Summary), BackupError> {
    let summary = snapshot::verify(snapshot.as_ref().by_ref())?;
    let manifest = put(place, &summary, snapshot).await?;
    Ok((manifest.chain, summary))
}

pub(super) async fn put(place: &dyn Place, summary: &Summary, bytes: Bytes) -> Result<Manifest, BackupError> {
    let about = &summary.about;
    let manifest = Manifest {
        format: FORMAT,
        chain: summary.chain_name(),
        fleet: about.fleet.clone(),
        incarnation: about.incarnation.clone(),
        files: vec![File::of(
            SNAPSHOT.into(),
            None,
            summary.revision.0,
            about.created_at,
            &bytes,
        )],
    };
    place.put(&manifest.path(SNAPSHOT), bytes).await?;
    manifest.write(place).await?;
    Ok(manifest)
}
