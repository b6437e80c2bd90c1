//! How an agent that was away for longer than its certificate proves itself again: it signs a challenge of the hub with the key of
//! that certificate, which the hub has on record.
//!
//! A challenge costs the hub nothing to give out: it carries its own proof of having been given out here, and until when it is good.
//! Only those that were answered well are remembered, until they expire, so that none is answered twice.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use berth_model::{FleetId, Timestamp, Uid};
use rcgen::PublicKeyData as _;
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use sha2::{Digest as _, Sha256};

use crate::{
    ca::{CaError, public_key_of},
    key::KeyError,
    seal,
};

/// How long a challenge is good.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(60);
/// Challenges that were answered and have not expired: more agents do not come back in a minute.
const MOST_SPENT: usize = 50_000;

const NONCE: usize = 16;
const EXPIRY: usize = 8;
const TAG: usize = 32;

/// What an agent signs to prove itself.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Which fleet.
    pub fleet: &'a FleetId,
    /// Which cluster.
    pub uid: &'a Uid,
    /// The hub's challenge.
    pub challenge: &'a [u8],
    /// The request for a new certificate, DER.
    pub csr_der: &'a [u8],
}

impl Statement<'_> {
    /// The same key also signs evidence, which begins with `{`, and TLS handshakes, which begin with spaces: this is neither.
    fn bytes(&self) -> Vec<u8> {
        let Self {
            fleet,
            uid,
            challenge,
            csr_der,
        } = self;
        let (challenge, request) = (hex::encode(challenge), hex::encode(Sha256::digest(csr_der)));
        format!("berth recovery 1\n{fleet}\n{uid}\n{challenge}\n{request}\n").into_bytes()
    }

    /// ECDSA P-256 with SHA-256, ASN.1, by the agent's key.
    ///
    /// # Errors
    /// [`KeyError`] when `key_pem` is no key, or the system gives no randomness.
    pub fn sign(&self, key_pem: &str) -> Result<Vec<u8>, KeyError> {
        seal::sign(key_pem, &self.bytes())
    }

    /// Whether `signature` is by the key in the request.
    ///
    /// # Errors
    /// [`CaError::BadRequest`] when it is no request.
    pub fn is_signed(&self, signature: &[u8]) -> Result<bool, CaError> {
        let key = public_key_of(self.csr_der)?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der_bytes());
        Ok(key.verify(&self.bytes(), signature).is_ok())
    }
}

/// Why an answer to a challenge is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// This hub did not give it out, or not in this process.
    #[error("the challenge is none of this hub's")]
    Foreign,
    /// Too old.
    #[error("the challenge has expired")]
    Expired,
    /// It was answered already.
    #[error("the challenge has been answered")]
    Spent,
    /// Nothing more can be remembered.
    #[error("too many agents prove themselves again at once")]
    TooMany,
}

/// The challenges of one hub.
pub struct Challenges {
    key: hmac::Key,
    random: SystemRandom,
    /// Answered, with when they expire.
    spent: Mutex<BTreeMap<[u8; NONCE], i64>>,
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

impl Challenges {
    /// None given out yet.
    ///
    /// # Errors
    /// [`CaError::Random`].
    pub fn new() -> Result<Self, CaError> {
        let random = SystemRandom::new();
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| CaError::Random)?,
            random,
            spent: Mutex::default(),
        })
    }

    /// A new one.
    ///
    /// # Errors
    /// [`CaError::Random`].
    pub fn give(&self, now: Timestamp) -> Result<Vec<u8>, CaError> {
        let mut challenge = vec![0; NONCE];
        self.random.fill(&mut challenge).map_err(|_| CaError::Random)?;
        let lifetime = i64::try_from(CHALLENGE_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        challenge.extend(now.as_second().saturating_add(lifetime).to_be_bytes());
        let tag = hmac::sign(&self.key, &challenge);
        challenge.extend(tag.as_ref());
        Ok(challenge)
    }

    /// Whether a challenge can be answered now. Costs no memory, so that strangers may ask.
    ///
    /// # Errors
    /// [`ChallengeError`] says why not.
    pub fn check(&self, challenge: &[u8], now: Timestamp) -> Result<(), ChallengeError> {
        self.read(challenge, now).map(drop)
    }

    /// The challenge was answered well, and is good for nothing from now on.
    ///
    /// # Errors
    /// [`ChallengeError`] when it cannot be answered, or was answered meanwhile.
    pub fn spend(&self, challenge: &[u8], now: Timestamp) -> Result<(), ChallengeError> {
        let (nonce, expiry) = self.read(challenge, now)?;
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= MOST_SPENT {
            spent.retain(|_, expiry| *expiry >= now.as_second());
        }
        if spent.len() >= MOST_SPENT {
            return Err(ChallengeError::TooMany);
        }
        match spent.insert(nonce, expiry) {
            None => Ok(()),
            Some(_) => Err(ChallengeError::Spent),
        }
    }

    fn read(&self, challenge: &[u8], now: Timestamp) -> Result<([u8; NONCE], i64), ChallengeError> {
        let Some((said, tag)) = challenge
            .split_at_checked(NONCE + EXPIRY)
            .filter(|(_, tag)| tag.len() == TAG)
        else {
            return Err(ChallengeError::Foreign);
        };
        hmac::verify(&self.key, said, tag).map_err(|_| ChallengeError::Foreign)?;
        let (Some(nonce), Some(expiry)) = (said.first_chunk(), said.last_chunk()) else {
            return Err(ChallengeError::Foreign);
        };
        let expiry = i64::from_be_bytes(*expiry);
        if now.as_second() > expiry {
            return Err(ChallengeError::Expired);
        }
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.contains_key(nonce) {
            return Err(ChallengeError::Spent);
        }
        Ok((*nonce, expiry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_challenge_is_answered_once_in_time_and_where_it_was_given() {
        let (here, elsewhere) = (Challenges::new().unwrap(), Challenges::new().unwrap());
        let challenge = here.give(at(1000)).unwrap();
        assert_eq!(here.check(&challenge, at(1060)), Ok(()));
        assert_eq!(here.check(&challenge, at(1061)), Err(ChallengeError::Expired));
        assert_eq!(
            elsewhere.check(&challenge, at(1000)),
            Err(ChallengeError::Foreign)
        );
        assert_eq!(here.spend(&challenge, at(1001)), Ok(()));
        assert_eq!(here.spend(&challenge, at(1001)), Err(ChallengeError::Spent));
        assert_eq!(here.check(&challenge, at(1001)), Err(ChallengeError::Spent));
        for byte in 0..challenge.len() {
            let mut forged = here.give(at(1000)).unwrap();
            forged[byte] ^= 1;
            assert_eq!(here.check(&forged, at(1000)), Err(ChallengeError::Foreign));
        }
        for wrong in [&[][..], &challenge[..20], &[challenge.as_slice(), b"x"].concat()] {
            assert_eq!(here.check(wrong, at(1000)), Err(ChallengeError::Foreign));
        }
    }

    #[test]
    fn a_statement_is_signed_by_the_key_of_its_request_and_says_all_of_itself() {
        let key_pem = key::generate().unwrap();
        let csr_der = key::signing_request(&key_pem).unwrap();
        let (fleet, uid) = (FleetId::new("f1").unwrap(), Uid::new("u-1").unwrap());
        let statement = Statement {
            fleet: &fleet,
            uid: &uid,
            challenge: b"challenge",
            csr_der: &csr_der,
        };
        let signature = statement.sign(&key_pem).unwrap();
        assert!(statement.is_signed(&signature).unwrap());

        let (other_fleet, other_uid) = (FleetId::new("f2").unwrap(), Uid::new("u-2").unwrap());
        let other_csr = key::signing_request(&key::generate().unwrap()).unwrap();
        for other in [
            Statement {
                fleet: &other_fleet,
                ..statement
            },
            Statement {
                uid: &other_uid,
                ..statement
            },
            Statement {
                challenge: b"challengf",
                ..statement
            },
            Statement {
                csr_der: &other_csr,
                ..statement
            },
        ] {
            assert!(!other.is_signed(&signature).unwrap(), "{other:?}");
        }
        let theirs = statement.sign(&key::generate().unwrap()).unwrap();
        assert!(!statement.is_signed(&theirs).unwrap());
        assert!(!statement.is_signed(b"").unwrap());
    }
}
