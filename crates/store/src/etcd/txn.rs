//! A transaction in etcd's words, and what etcd says of it.

use berth_model::Revision;
use etcd_client::{
    Compare as Holds, CompareOp, GetOptions, Txn as Request, TxnOp, TxnOpResponse, TxnResponse,
};

use super::keys::{Keys, number, revision};
use crate::{
    error::StoreError,
    txn::{Compare, Txn},
};

/// `txn` as a request, done only if the election key was created at `fence`.
pub(super) fn request(keys: &Keys, txn: &Txn, fence: Option<Revision>) -> Request {
    let only_key = || Some(GetOptions::new().with_keys_only());
    let leads = fence.map(|fence| Holds::create_revision(keys.election(), CompareOp::Equal, number(fence)));
    let compares = leads
        .into_iter()
        .chain(txn.compares.iter().map(|compare| holds(keys, compare)));
    let puts = txn
        .puts
        .iter()
        .map(|(key, value)| TxnOp::put(keys.of(key), value.to_vec(), None));
    let deletes = txn.deletes.iter().map(|key| TxnOp::delete(keys.of(key), None));
    let mut writes: Vec<TxnOp> = puts.chain(deletes).collect();
    if writes.is_empty() {
        // Without any operation etcd would answer from whatever it has at hand, with a revision of the past.
        writes.push(TxnOp::get(keys.election(), only_key()));
    }
    // When a compare does not hold: which.
    let leader = fence.map(|_| TxnOp::get(keys.election(), only_key()));
    let looks = txn
        .compares
        .iter()
        .map(|compare| TxnOp::get(keys.of(compare.key()), only_key()));
    Request::new()
        .when(compares.collect::<Vec<_>>())
        .and_then(writes)
        .or_else(leader.into_iter().chain(looks).collect::<Vec<_>>())
}

fn holds(keys: &Keys, compare: &Compare) -> Holds {
    let key = keys.of(compare.key());
    match compare {
        Compare::Absent(_) => Holds::create_revision(key, CompareOp::Equal, 0),
        Compare::Exists(_) => Holds::create_revision(key, CompareOp::Greater, 0),
        // To etcd a key that does not exist was written at 0, to the store never.
        Compare::RevisionIs(_, Revision(0)) => Holds::mod_revision(key, CompareOp::Less, 0),
        Compare::RevisionIs(_, revision) => Holds::mod_revision(key, CompareOp::Equal, number(*revision)),
    }
}

/// What came of it.
pub(super) fn outcome(
    txn: &Txn,
    fence: Option<Revision>,
    answer: &TxnResponse,
) -> Result<Revision, StoreError> {
    if answer.succeeded() {
        return Ok(revision(
            answer.header().map_or(0, etcd_client::ResponseHeader::revision),
        ));
    }
    let mut looks = answer.op_responses().into_iter().map(|look| match look {
        TxnOpResponse::Get(found) => found
            .kvs()
            .first()
            .map(|kv| (revision(kv.create_revision()), revision(kv.mod_revision()))),
        _ => None,
    });
    if let Some(fence) = fence
        && looks.next().flatten().is_none_or(|(created, _)| created != fence)
    {
        return Err(StoreError::NotLeader);
    }
    let failed = txn
        .compares
        .iter()
        .zip(looks.map(|look| look.map(|(_, written)| written)))
        .find(|(compare, found)| !compare.holds(*found));
    match failed {
        Some((compare, found)) => Err(StoreError::Conflict {
            key: compare.key().clone(),
            found,
        }),
        None => Err(StoreError::Unavailable {
            operation: "write",
            problem: "etcd refused a transaction and did not say which compare failed".to_owned(),
        }),
    }
}

/// A request that reads what `txn` writes.
pub(super) fn look(keys: &Keys, txn: &Txn) -> Request {
    let looks = txn.puts.iter().map(|(key, _)| TxnOp::get(keys.of(key), None));
    Request::new().and_then(looks.collect::<Vec<_>>())
}

/// Whether all that `txn` would have put is there, by the answer to [`look`].
pub(super) fn is_as_written(txn: &Txn, answer: &TxnResponse) -> bool {
    let found = answer.op_responses();
    txn.puts.iter().zip(found).all(|((_, value), found)| match found {
        TxnOpResponse::Get(found) => found.kvs().first().is_some_and(|kv| kv.value() == value.as_ref()),
        _ => false,
    })
}
