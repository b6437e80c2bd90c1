//! A transaction in etcd's words, and what etcd says of it.

use berth_model::Revision;
use etcd_client::{
    Compare as Holds, CompareOp, GetOptions, Txn as Request, TxnOp, TxnOpResponse, TxnResponse,
};

use super::{
    count::counted,
    keys::{Keys, number, revision},
};
use crate::{
    error::StoreError,
    txn::{Compare, Txn},
};

/// What a transaction stands on besides its own compares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground {
    /// The election key was created there; none for a tool.
    pub(super) fence: Option<Revision>,
    /// etcd has taken that many transactions at least, or it was put back.
    pub(super) writes: u64,
}

/// What came of a transaction that was done.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) revision: Revision,
    /// How many etcd has taken now; none where this one does not count.
    pub(super) writes: Option<u64>,
}

/// Why it was not done.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another one leads, or nobody.
    NotLeader,
    /// etcd was put back: it has taken that many transactions.
    PutBack(u64),
    /// Its own compares do not hold.
    Because(StoreError),
}

/// `txn` as a request, done only on this ground.
pub(super) fn request(keys: &Keys, txn: &Txn, ground: Ground) -> Request {
    let only_key = || Some(GetOptions::new().with_keys_only());
    let leads = ground
        .fence
        .map(|fence| Holds::create_revision(keys.election(), CompareOp::Equal, number(fence)));
    let whole = i64::try_from(ground.writes).ok().filter(|writes| *writes > 0);
    let whole = whole.map(|writes| Holds::version(keys.writes(), CompareOp::Greater, writes - 1));
    let compares = leads
        .into_iter()
        .chain(whole)
        .chain(txn.compares.iter().map(|compare| holds(keys, compare)));
    let puts = txn
        .puts
        .iter()
        .map(|(key, value)| TxnOp::put(keys.of(key), value.to_vec(), None));
    let deletes = txn.deletes.iter().map(|key| TxnOp::delete(keys.of(key), None));
    let mut writes: Vec<TxnOp> = puts.chain(deletes).collect();
    if counts(txn) {
        writes.push(TxnOp::put(keys.writes(), "", None));
        writes.push(TxnOp::get(keys.writes(), only_key()));
    } else if writes.is_empty() {
        // Without any operation etcd would answer from whatever it has at hand, with a revision of the past.
        writes.push(TxnOp::get(keys.election(), only_key()));
    }
    // When a compare does not hold: which.
    let leader = ground.fence.map(|_| TxnOp::get(keys.election(), only_key()));
    let all = TxnOp::get(keys.writes(), only_key());
    let looks = txn
        .compares
        .iter()
        .map(|compare| TxnOp::get(keys.of(compare.key()), only_key()));
    Request::new()
        .when(compares.collect::<Vec<_>>())
        .and_then(writes)
        .or_else(leader.into_iter().chain([all]).chain(looks).collect::<Vec<_>>())
}

/// Whether it counts among the transactions.
const fn counts(txn: &Txn) -> bool {
    !txn.puts.is_empty()
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
pub(super) fn outcome(txn: &Txn, ground: Ground, answer: &TxnResponse) -> Result<Taken, Refused> {
    let mut found = answer.op_responses().into_iter().map(|found| match found {
        TxnOpResponse::Get(found) => found.kvs().first().cloned(),
        _ => None,
    });
    if answer.succeeded() {
        return Ok(Taken {
            revision: revision(answer.header().map_or(0, etcd_client::ResponseHeader::revision)),
            writes: counts(txn).then(|| counted(found.next_back().flatten().as_ref())),
        });
    }
    if let Some(fence) = ground.fence
        && found
            .next()
            .flatten()
            .is_none_or(|kv| revision(kv.create_revision()) != fence)
    {
        return Err(Refused::NotLeader);
    }
    let writes = counted(found.next().flatten().as_ref());
    if writes < ground.writes {
        return Err(Refused::PutBack(writes));
    }
    let failed = txn
        .compares
        .iter()
        .zip(found.map(|look| look.map(|kv| revision(kv.mod_revision()))))
        .find(|(compare, found)| !compare.holds(*found));
    Err(Refused::Because(match failed {
        Some((compare, found)) => StoreError::Conflict {
            key: compare.key().clone(),
            found,
        },
        None => StoreError::Unavailable {
            operation: "write",
            problem: "etcd refused a transaction and did not say which compare failed".to_owned(),
        },
    }))
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
