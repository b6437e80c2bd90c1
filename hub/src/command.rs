//! Taking command: an operator lets a hub act whose store was restored or set back, or that another hub has overtaken.
//!
//! It writes the new term and takes the mark of a restore away; the control loop hears of that and begins again in it.

use berth_control::{Sessions, keys};
use berth_model::{Term, Timestamp};
use berth_store::{StoreError, Txn};
use berth_wire::record::{self, RecordError};

use crate::{home::Home, lead::Leading};

/// Why a hub was not let take command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It acts already, and no cluster holds anything that it could not replace.
    #[error("the hub acts already, in term {0}")]
    Acting(Term),
    /// The control loop has ended meanwhile.
    #[error("this hub does not lead any more")]
    NotLeading,
    /// There is no fleet in the store.
    #[error("the store has no fleet record")]
    NoFleet,
    /// The fleet's record.
    #[error("the fleet's record cannot be read")]
    Unreadable(#[source] RecordError),
    /// Somebody else was faster.
    #[error("somebody else has just let a hub take command; look again")]
    Contended,
    /// The store does not do as asked.
    #[error("the store")]
    Store(#[from] StoreError),
}

/// Lets the hub that leads act from `now` on, in a term above every one that it knows or agents have told of; that term.
///
/// # Errors
/// [`CommandError::Acting`] when there is nothing to let it do.
pub async fn take(
    home: &Home,
    sessions: &Sessions,
    leading: &Leading,
    now: Timestamp,
) -> Result<Term, CommandError> {
    let standing = leading.fleet.standing();
    if !standing.observing && standing.fence.is_none() {
        let difference = leading.fleet.difference().await;
        // What clusters hold newer than the store gives way only to a term that an operator has let a hub take.
        if !difference.ok_or(CommandError::NotLeading)?.is_ahead() {
            return Err(CommandError::Acting(leading.term));
        }
    }
    let key = keys::fleet();
    let entry = home.store.get(&key).await?.ok_or(CommandError::NoFleet)?;
    let mut fleet = record::decode_fleet(&entry.value).map_err(CommandError::Unreadable)?;
    let highest = sessions.highest_term().max(fleet.term).max(leading.term);
    fleet.term = Term(highest.0 + 1);
    fleet.command_term = fleet.term;
    fleet.commanded_at = Some(now);
    let txn = Txn::new()
        .if_revision(key.clone(), entry.revision)
        .put(key, record::encode_fleet(&fleet))
        .delete(keys::restore());
    match home.store.txn(txn).await {
        // Where several hubs share the store, the period that begins now has a term of its own above it.
        Ok(_) => Ok(Term(fleet.term.0 + u64::from(home.shared()))),
        Err(StoreError::Conflict { .. }) => Err(CommandError::Contended),
        Err(error) => Err(error.into()),
    }
}
