//! API keys of machine accounts: `berth_<name>_<secret><checksum>`.
//!
//! The prefix and the checksum are for scanners that look for lost keys: `berth_[a-z0-9-]{1,63}_[a-z2-7]{59}`, the last seven
//! characters being the CRC-32 of everything before them. The name is public; of the secret, 256 random bits, only the hash is kept.

use std::{fmt, str::FromStr};

use berth_model::id::is_dns_label;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::token::{NoRandomness, SecretHash};

/// How every key begins.
pub const PREFIX: &str = "berth_";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 256 bits, five to a character.
const SECRET: usize = 52;
/// 32 bits.
const CHECKSUM: usize = 7;

/// A key. Wiped when dropped; shows only its name in `Debug`.
#[derive(Clone)]
pub struct ApiKey {
    name: String,
    secret: Zeroizing<String>,
}

/// Why a text is no key. Never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key, or not all of it: it must be as `berth apikey create` printed it")]
pub struct InvalidApiKey;

impl ApiKey {
    /// A new key for the account of that name.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(name: &str) -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0_u8; SECRET]);
        SystemRandom::new()
            .fill(random.as_mut_slice())
            .map_err(|_| NoRandomness)?;
        Ok(Self {
            name: name.to_owned(),
            secret: Zeroizing::new(letters(random.iter().copied())),
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to store of it.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        SecretHash::from_bytes(Sha256::digest(self.secret.as_bytes()).into())
    }

    /// The whole text, for its owner.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let sum = checksum(&self.name, &self.secret);
        Zeroizing::new(format!("{PREFIX}{}_{}{sum}", self.name, *self.secret))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PREFIX}{}_[redacted])", self.name)
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    /// Whitespace around it is ignored: keys live in files with a last newline.
    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let (name, rest) = text
            .trim()
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or(InvalidApiKey)?;
        let fits = rest.len() == SECRET + CHECKSUM && rest.bytes().all(|byte| ALPHABET.contains(&byte));
        if !is_dns_label(name) || !fits {
            return Err(InvalidApiKey);
        }
        let (secret, sum) = rest.split_at(SECRET);
        if checksum(name, secret) != sum {
            return Err(InvalidApiKey);
        }
        Ok(Self {
            name: name.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        })
    }
}

fn checksum(name: &str, secret: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for part in [PREFIX, name, "_", secret] {
        hasher.update(part.as_bytes());
    }
    let sum = hasher.finalize();
    // The highest bits first; the first character has only two of them.
    let digits = (0..CHECKSUM).map(|place| sum >> (5 * (CHECKSUM - 1 - place)));
    letters(digits.map(|digit| digit.to_le_bytes()[0]))
}

fn letters(bytes: impl Iterator<Item = u8>) -> String {
    bytes
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_reads_what_it_writes_and_its_hash_is_its_own() {
        let key = ApiKey::generate("ci").unwrap();
        let again: ApiKey = format!(" {}\n", *key.expose()).parse().unwrap();
        assert_eq!(again.name(), "ci");
        assert!(key.secret_hash().is(&again.secret_hash()));
        assert!(
            !key.secret_hash()
                .is(&ApiKey::generate("ci").unwrap().secret_hash())
        );
    }

    #[test]
    fn a_mistyped_or_cut_key_is_found_out_by_its_checksum() {
        let text = ApiKey::generate("ci").unwrap().expose().to_string();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<ApiKey>().is_err(), "{at}");
            assert!(text[..at].parse::<ApiKey>().is_err());
        }
        assert!(text.to_uppercase().parse::<ApiKey>().is_err());
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        assert_eq!(checksum("ci", &"a".repeat(SECRET)), "aipse76");
    }

    #[test]
    fn the_secret_does_not_show_in_debug() {
        let key = ApiKey::generate("ci").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(berth_ci_[redacted])");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "berth_[a-z-]{0,5}_[a-z2-7]{58,60}|.*") {
            let _ = text.parse::<ApiKey>();
        }
    }
}
