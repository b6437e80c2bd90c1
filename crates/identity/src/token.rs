//! Join tokens: `<id>.<secret>`, as kubeadm's bootstrap tokens have it. The id is public and names the record; of the secret
//! the hub keeps only a hash. Single use and expiry are the record's business, not this file's.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

const ID_LENGTH: usize = 10;
const SECRET_BYTES: usize = 32;
/// `SECRET_BYTES` in base64url without padding.
const SECRET_LENGTH: usize = 43;

/// A join token. Wiped when dropped; shows only its id in `Debug`.
#[derive(Clone)]
pub struct JoinToken {
    id: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// Why a text is not a token. Never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a join token: it must be ID.SECRET, as `berth token create` prints it")]
pub struct InvalidToken;

/// The system gives no randomness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("make a join token: no randomness from the system")]
pub struct NoRandomness;

/// SHA-256 of a token's secret: what is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl JoinToken {
    /// A new token.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let random = SystemRandom::new();
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        random.fill(secret.as_mut_slice()).map_err(|_| NoRandomness)?;
        let mut letters = [0_u8; ID_LENGTH];
        random.fill(&mut letters).map_err(|_| NoRandomness)?;
        let id = letters
            .iter()
            .map(|b| char::from(ALPHABET[usize::from(b % 32)]))
            .collect();
        Ok(Self { id, secret })
    }

    /// Its public part.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What to store of it.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret.as_slice()).into())
    }

    /// The whole text, for the one who joins.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{}.{}", self.id, *secret))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({}.[redacted])", self.id)
    }
}

impl FromStr for JoinToken {
    type Err = InvalidToken;

    /// Whitespace around it is ignored: tokens live in files with a last newline.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.trim().split_once('.').ok_or(InvalidToken)?;
        let id_fits = id.len() == ID_LENGTH && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
        if !id_fits || secret.len() != SECRET_LENGTH {
            return Err(InvalidToken);
        }
        let mut decoded = URL_SAFE_NO_PAD.decode(secret).map_err(|_| InvalidToken)?;
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        let fits = decoded.len() == SECRET_BYTES;
        if fits {
            bytes.copy_from_slice(&decoded);
        }
        decoded.zeroize();
        if fits {
            Ok(Self {
                id: id.to_owned(),
                secret: bytes,
            })
        } else {
            Err(InvalidToken)
        }
    }
}

impl SecretHash {
    /// Takes 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`InvalidToken`] for anything else.
    pub fn from_hex(digits: &str) -> Result<Self, InvalidToken> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidToken)?;
        Ok(Self(bytes))
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Takes 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the token's secret is the one stored, in constant time.
    #[must_use]
    pub fn admits(&self, token: &JoinToken) -> bool {
        self.is(&token.secret_hash())
    }

    /// Whether both are of the same secret, in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_reads_what_it_writes_and_is_admitted_by_its_own_hash_only() {
        let token = JoinToken::generate().unwrap();
        let again: JoinToken = format!("  {}\n", *token.expose()).parse().unwrap();
        assert_eq!(again.id(), token.id());
        assert!(
            SecretHash::from_hex(&token.secret_hash().to_hex())
                .unwrap()
                .admits(&again)
        );
        assert!(!JoinToken::generate().unwrap().secret_hash().admits(&token));
    }

    #[test]
    fn the_secret_does_not_show_in_debug() {
        let token = JoinToken::generate().unwrap();
        let text = token.expose();
        let secret = text.split_once('.').unwrap().1;
        assert!(!format!("{token:?} {:?}", token.secret_hash()).contains(secret));
        assert!(!format!("{:?}", token.secret_hash()).contains(&token.secret_hash().to_hex()));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let secret = "A".repeat(43);
        for wrong in [
            "",
            ".",
            "abc",
            &format!("abcdefghij{secret}"),
            &format!("abcdefghi.{secret}"),
            &format!("ABCDEFGHIJ.{secret}"),
            &format!("abcdefghij.{secret}A"),
            &format!("abcdefghij.{}", "=".repeat(43)),
            &format!("abc/efghij.{secret}"),
        ] {
            assert!(wrong.parse::<JoinToken>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_a_token_is_written_the_same_way_again(text in "[a-z0-9]{9,11}\\.[A-Za-z0-9_-]{42,44}|.*") {
            if let Ok(token) = text.parse::<JoinToken>() {
                let written = token.expose();
                prop_assert_eq!(written.as_str(), text.trim());
            }
        }
    }
}
