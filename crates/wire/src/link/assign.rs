//! Assign (in parts), Keep and Withdraw.

use berth_model::{Assignment, ClusterName, Digest, Generation, TenantId, Term, Uid};
use berth_proto::agent;
use bytes::Bytes;

use super::{LinkError, digest, name};

/// An assignment with its compressed objects as messages of at most `part_size` bytes of objects each (at least one byte).
///
/// The parts share the nonce and go out one after another, nothing between them that is an Assign.
#[must_use]
pub fn chunk_assign(
    assignment: &Assignment,
    nonce: u64,
    objects_zstd: &Bytes,
    part_size: usize,
) -> Vec<agent::Assign> {
    let part_size = part_size.max(1);
    let parts = objects_zstd.len().div_ceil(part_size).max(1);
    (0..parts)
        .map(|part| {
            let start = part * part_size;
            let end = (start + part_size).min(objects_zstd.len());
            agent::Assign {
                nonce,
                tenant: assignment.tenant.to_string(),
                tenant_uid: assignment.uid.to_string(),
                generation: assignment.generation.0,
                digest: assignment.digest.to_string(),
                term: assignment.term.0,
                objects_zstd: objects_zstd.slice(start..end),
                more: part + 1 < parts,
            }
        })
        .collect()
}

/// An assignment put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// To be answered by Ack or Nack.
    pub nonce: u64,
    /// The assignment, for the agent's own cluster.
    pub assignment: Assignment,
    /// Its objects, still compressed.
    pub objects_zstd: Bytes,
}

/// Puts the parts of assignments together, holding at most `limit` bytes.
///
/// After an error the parts collected so far are gone, and the next first part starts anew.
#[derive(Debug)]
pub struct Assembler {
    cluster: ClusterName,
    limit: usize,
    parts: Option<(u64, Vec<u8>)>,
}

impl Assembler {
    /// For assignments of `cluster`, each of at most `limit` bytes.
    #[must_use]
    pub const fn new(cluster: ClusterName, limit: usize) -> Self {
        Self {
            cluster,
            limit,
            parts: None,
        }
    }

    /// Takes a part. The assignment comes with the last one.
    ///
    /// # Errors
    /// [`LinkError::TooLarge`], [`LinkError::Interleaved`], and [`LinkError::Name`] with the last part.
    pub fn push(&mut self, part: agent::Assign) -> Result<Option<Assembled>, LinkError> {
        let (nonce, mut collected) = self.parts.take().unwrap_or((part.nonce, Vec::new()));
        if nonce != part.nonce {
            return Err(LinkError::Interleaved {
                expected: nonce,
                found: part.nonce,
            });
        }
        if collected.len() + part.objects_zstd.len() > self.limit {
            return Err(LinkError::TooLarge {
                tenant: part.tenant,
                limit: self.limit,
            });
        }
        if part.more {
            collected.extend_from_slice(&part.objects_zstd);
            self.parts = Some((nonce, collected));
            return Ok(None);
        }
        let objects_zstd = if collected.is_empty() {
            part.objects_zstd
        } else {
            collected.extend_from_slice(&part.objects_zstd);
            collected.into()
        };
        Ok(Some(Assembled {
            nonce,
            assignment: Assignment {
                tenant: name("Assign", &part.tenant)?,
                uid: name("Assign", &part.tenant_uid)?,
                cluster: self.cluster.clone(),
                generation: Generation(part.generation),
                digest: digest("Assign", &part.digest)?,
                term: Term(part.term),
            },
            objects_zstd,
        }))
    }
}

/// What is held for a tenant is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// To be answered by Ack or Nack.
    pub nonce: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// What is held.
    pub generation: Generation,
    /// What is held.
    pub digest: Digest,
    /// Of the leader.
    pub term: Term,
}

/// A Keep.
#[must_use]
pub fn keep_to_proto(keep: &Keep) -> agent::Keep {
    agent::Keep {
        nonce: keep.nonce,
        tenant: keep.tenant.to_string(),
        tenant_uid: keep.uid.to_string(),
        generation: keep.generation.0,
        digest: keep.digest.to_string(),
        term: keep.term.0,
    }
}

/// Reads a Keep.
///
/// # Errors
/// [`LinkError::Name`].
pub fn keep_from_proto(keep: &agent::Keep) -> Result<Keep, LinkError> {
    Ok(Keep {
        nonce: keep.nonce,
        tenant: name("Keep", &keep.tenant)?,
        uid: name("Keep", &keep.tenant_uid)?,
        generation: Generation(keep.generation),
        digest: digest("Keep", &keep.digest)?,
        term: Term(keep.term),
    })
}

/// Remove a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdraw {
    /// To be answered by Ack or Nack.
    pub nonce: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Of the leader that decided.
    pub term: Term,
    /// An operator has confirmed it: no breaker counts or stops it.
    pub confirmed: bool,
}

/// A Withdraw.
#[must_use]
pub fn withdraw_to_proto(withdraw: &Withdraw) -> agent::Withdraw {
    agent::Withdraw {
        nonce: withdraw.nonce,
        tenant: withdraw.tenant.to_string(),
        tenant_uid: withdraw.uid.to_string(),
        term: withdraw.term.0,
        confirmed: withdraw.confirmed,
    }
}

/// Reads a Withdraw.
///
/// # Errors
/// [`LinkError::Name`].
pub fn withdraw_from_proto(withdraw: &agent::Withdraw) -> Result<Withdraw, LinkError> {
    Ok(Withdraw {
        nonce: withdraw.nonce,
        tenant: name("Withdraw", &withdraw.tenant)?,
        uid: name("Withdraw", &withdraw.tenant_uid)?,
        term: Term(withdraw.term),
        confirmed: withdraw.confirmed,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    fn assembler(limit: usize) -> Assembler {
        Assembler::new(ClusterName::new("eu-1").unwrap(), limit)
    }

    fn assignment() -> Assignment {
        Assignment {
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new("u-1").unwrap(),
            cluster: ClusterName::new("eu-1").unwrap(),
            generation: Generation(3),
            digest: crate::objects::digest(b"x").unwrap(),
            term: Term(7),
        }
    }

    proptest! {
        #[test]
        fn an_assignment_survives_in_parts(
            objects in proptest::collection::vec(any::<u8>(), 0..500),
            part_size in 0_usize..100,
        ) {
            let parts = chunk_assign(&assignment(), 9, &Bytes::from(objects.clone()), part_size);
            let mut assembler = assembler(500);
            let mut whole = None;
            for (at, part) in parts.iter().enumerate() {
                prop_assert!(part.objects_zstd.len() <= part_size.max(1));
                whole = assembler.push(part.clone()).unwrap();
                prop_assert_eq!(whole.is_some(), at + 1 == parts.len());
            }
            let expected = Assembled { nonce: 9, assignment: assignment(), objects_zstd: objects.into() };
            prop_assert_eq!(whole, Some(expected));
        }

        #[test]
        fn keep_and_withdraw_survive(held in testing::held(), nonce in any::<u64>(), term in any::<u64>(), confirmed in any::<bool>()) {
            let keep = Keep {
                nonce,
                tenant: held.tenant.clone(),
                uid: held.uid.clone(),
                generation: held.generation,
                digest: held.digest,
                term: Term(term),
            };
            prop_assert_eq!(keep_from_proto(&keep_to_proto(&keep)), Ok(keep));
            let withdraw = Withdraw { nonce, tenant: held.tenant, uid: held.uid, term: Term(term), confirmed };
            prop_assert_eq!(withdraw_from_proto(&withdraw_to_proto(&withdraw)), Ok(withdraw));
        }
    }

    #[test]
    fn more_than_the_limit_is_refused_and_the_next_assignment_is_taken() {
        let mut assembler = assembler(10);
        let large = chunk_assign(&assignment(), 1, &Bytes::from(vec![0; 11]), 6);
        assert_eq!(assembler.push(large[0].clone()), Ok(None));
        assert!(matches!(
            assembler.push(large[1].clone()),
            Err(LinkError::TooLarge { limit: 10, .. })
        ));
        let small = chunk_assign(&assignment(), 2, &Bytes::from(vec![0; 10]), 100);
        assert!(assembler.push(small[0].clone()).unwrap().is_some());
    }

    #[test]
    fn parts_of_two_assignments_are_never_mixed() {
        let mut assembler = assembler(100);
        let parts = chunk_assign(&assignment(), 1, &Bytes::from(vec![0; 10]), 6);
        assembler.push(parts[0].clone()).unwrap();
        let other = agent::Assign {
            nonce: 2,
            ..parts[1].clone()
        };
        assert_eq!(
            assembler.push(other),
            Err(LinkError::Interleaved {
                expected: 1,
                found: 2
            })
        );
    }
}
