//! What proves that who ends a sign-in is who began it (RFC 7636, method S256).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::token::NoRandomness;

/// A verifier and its challenge. No `Debug`: the verifier is a secret until it is used.
pub struct Pkce {
    /// For the token endpoint.
    pub verifier: Zeroizing<String>,
    /// For the authorization endpoint.
    pub challenge: String,
}

impl Pkce {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let verifier = Zeroizing::new(random_word()?);
        let challenge = challenge(&verifier);
        Ok(Self { verifier, challenge })
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// 256 random bits in letters that need no escaping in an address: a `state` or a `nonce`.
///
/// # Errors
/// [`NoRandomness`].
pub fn random_word() -> Result<String, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut_slice())
        .map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn every_verifier_is_new_and_long_enough() {
        let (one, two) = (Pkce::generate().unwrap(), Pkce::generate().unwrap());
        assert_ne!(*one.verifier, *two.verifier);
        assert_eq!(one.verifier.len(), 43);
    }
}
