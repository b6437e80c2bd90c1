//! What may be accepted, given what is held. Pure.

use berth_model::{Assignment, Digest, Generation, TenantId, Term, Uid};

use crate::error::Refused;

/// What is held of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldAs {
    /// Its uid.
    pub uid: Uid,
    /// Of the assignment.
    pub generation: Generation,
    /// Of the assignment.
    pub digest: Digest,
    /// On its way out.
    pub withdrawing: bool,
}

/// What to do with what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is news: hold it from now on.
    Take,
    /// It is held so already.
    Same,
    /// Nothing of it is held.
    NotHeld,
}

fn fence(term: Term, highest: Term) -> Result<(), Refused> {
    if term < highest {
        Err(Refused::OldTerm { term, highest })
    } else {
        Ok(())
    }
}

/// Whether an assignment may be taken.
///
/// # Errors
/// An older term or generation, the same generation with other content, another uid, or a withdrawal under way.
pub fn decide_assign(
    offered: &Assignment,
    held: Option<&HeldAs>,
    highest: Term,
) -> Result<Decision, Refused> {
    fence(offered.term, highest)?;
    let Some(held) = held else {
        return Ok(Decision::Take);
    };
    let tenant = || offered.tenant.clone();
    if held.uid != offered.uid {
        return Err(Refused::OtherUid {
            tenant: tenant(),
            uid: offered.uid.clone(),
            held: held.uid.clone(),
        });
    }
    if held.withdrawing {
        return Err(Refused::Withdrawing { tenant: tenant() });
    }
    if offered.generation < held.generation {
        return Err(Refused::OldGeneration {
            tenant: tenant(),
            generation: offered.generation,
            held: held.generation,
        });
    }
    match (
        offered.generation == held.generation,
        offered.digest == held.digest,
    ) {
        (true, true) => Ok(Decision::Same),
        (true, false) => Err(Refused::OtherDigest {
            tenant: tenant(),
            generation: offered.generation,
            digest: offered.digest.clone(),
            held: held.digest.clone(),
        }),
        (false, _) => Ok(Decision::Take),
    }
}

/// Whether what the hub says is held is held.
///
/// # Errors
/// An older term.
pub fn decide_keep(
    uid: &Uid,
    generation: Generation,
    digest: &Digest,
    term: Term,
    held: Option<&HeldAs>,
    highest: Term,
) -> Result<Decision, Refused> {
    fence(term, highest)?;
    let same = |held: &HeldAs| {
        held.uid == *uid && held.generation == generation && held.digest == *digest && !held.withdrawing
    };
    Ok(if held.is_some_and(same) {
        Decision::Same
    } else {
        Decision::NotHeld
    })
}

/// Whether a tenant may be withdrawn.
///
/// # Errors
/// An older term, or another tenant of that name is held.
pub fn decide_withdraw(
    tenant: &TenantId,
    uid: &Uid,
    term: Term,
    held: Option<&HeldAs>,
    highest: Term,
) -> Result<Decision, Refused> {
    fence(term, highest)?;
    match held {
        None => Ok(Decision::NotHeld),
        Some(held) if held.uid != *uid => Err(Refused::OtherUid {
            tenant: tenant.clone(),
            uid: uid.clone(),
            held: held.uid.clone(),
        }),
        Some(held) if held.withdrawing => Ok(Decision::Same),
        Some(_) => Ok(Decision::Take),
    }
}

#[cfg(test)]
mod tests {
    use berth_model::ClusterName;
    use proptest::prelude::*;

    use super::*;

    fn digest(of: u8) -> Digest {
        Digest::new(format!("{of:064x}")).unwrap()
    }

    fn uid(of: u8) -> Uid {
        Uid::new(format!("u{of}")).unwrap()
    }

    fn offer(term: u64, generation: u64, content: u8, of: u8) -> Assignment {
        Assignment {
            tenant: TenantId::new("acme").unwrap(),
            uid: uid(of),
            cluster: ClusterName::new("c").unwrap(),
            generation: Generation(generation),
            digest: digest(content),
            term: Term(term),
        }
    }

    fn held(withdrawing: bool) -> HeldAs {
        HeldAs {
            uid: uid(1),
            generation: Generation(5),
            digest: digest(1),
            withdrawing,
        }
    }

    #[test]
    fn an_assignment_is_taken_only_when_it_is_newer_in_every_way() {
        let decide =
            |offer: &Assignment, withdrawing| decide_assign(offer, Some(&held(withdrawing)), Term(3));
        assert_eq!(decide(&offer(3, 6, 2, 1), false), Ok(Decision::Take));
        assert_eq!(decide(&offer(4, 6, 1, 1), false), Ok(Decision::Take));
        assert_eq!(decide(&offer(3, 5, 1, 1), false), Ok(Decision::Same));
        assert!(matches!(
            decide(&offer(2, 9, 2, 1), false),
            Err(Refused::OldTerm { .. })
        ));
        assert!(matches!(
            decide(&offer(3, 4, 1, 1), false),
            Err(Refused::OldGeneration { .. })
        ));
        assert!(matches!(
            decide(&offer(3, 5, 2, 1), false),
            Err(Refused::OtherDigest { .. })
        ));
        assert!(matches!(
            decide(&offer(3, 9, 2, 2), false),
            Err(Refused::OtherUid { .. })
        ));
        assert!(matches!(
            decide(&offer(3, 9, 2, 1), true),
            Err(Refused::Withdrawing { .. })
        ));
    }

    #[test]
    fn a_withdrawal_names_the_tenant_that_is_held() {
        let tenant = TenantId::new("acme").unwrap();
        let decide =
            |of, term, held: Option<&HeldAs>| decide_withdraw(&tenant, &uid(of), Term(term), held, Term(3));
        assert_eq!(decide(1, 3, Some(&held(false))), Ok(Decision::Take));
        assert_eq!(decide(1, 3, Some(&held(true))), Ok(Decision::Same));
        assert_eq!(decide(1, 3, None), Ok(Decision::NotHeld));
        assert!(matches!(
            decide(2, 3, Some(&held(false))),
            Err(Refused::OtherUid { .. })
        ));
        assert!(matches!(
            decide(1, 2, Some(&held(false))),
            Err(Refused::OldTerm { .. })
        ));
    }

    #[test]
    fn keeping_asks_for_the_very_same() {
        let keep = |of, generation, content, held: Option<&HeldAs>| {
            decide_keep(
                &uid(of),
                Generation(generation),
                &digest(content),
                Term(3),
                held,
                Term(3),
            )
        };
        assert_eq!(keep(1, 5, 1, Some(&held(false))), Ok(Decision::Same));
        for other in [
            keep(2, 5, 1, Some(&held(false))),
            keep(1, 6, 1, Some(&held(false))),
            keep(1, 5, 1, Some(&held(true))),
            keep(1, 5, 1, None),
        ] {
            assert_eq!(other, Ok(Decision::NotHeld));
        }
    }

    proptest! {
        #[test]
        fn nothing_of_an_older_term_is_ever_taken(term in 0_u64..3, generation in 0_u64..10, content in 0_u8..3, of in 0_u8..3) {
            let offer = offer(term, generation, content, of);
            prop_assert!(decide_assign(&offer, Some(&held(false)), Term(3)).is_err());
            prop_assert!(decide_assign(&offer, None, Term(3)).is_err());
            prop_assert!(decide_withdraw(&offer.tenant, &offer.uid, offer.term, Some(&held(false)), Term(3)).is_err());
        }
    }
}
