//! The pin of a certificate authority: what a joining agent knows of the hub before it has spoken to it.
//!
//! SHA-256 of the authority's `SubjectPublicKeyInfo`, as kubeadm's `--discovery-token-ca-cert-hash` and RFC 7469 have it,
//! so that a renewed CA certificate with the same key keeps its pin.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::certificate::{self, CertificateError};

const PREFIX: &str = "sha256:";

/// `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaPin([u8; 32]);

/// Why a text is not a pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no CA pin: it must be `sha256:` and 64 hexadecimal digits, as `berth token create` prints it"
)]
pub struct InvalidPin(String);

impl CaPin {
    /// The pin of a certificate, DER.
    ///
    /// # Errors
    /// [`CertificateError`] when it is no certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, CertificateError> {
        certificate::spki(der).map(|spki| Self::of_spki(&spki))
    }

    /// The pin of the first certificate in a PEM text.
    ///
    /// # Errors
    /// [`CertificateError`] when there is none.
    pub fn of_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::of_der(&certificate::first(pem)?)
    }

    fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CaPin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let wrong = || InvalidPin(text.chars().take(100).collect());
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }
}

/// One pin or more, separated by commas: while the authority is rolled over, one of two is right. As kubeadm's
/// `--discovery-token-ca-cert-hash`, which may be given several times.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CaPins(Vec<CaPin>);

/// More than a roll-over has.
const MOST_PINS: usize = 8;

impl CaPins {
    /// `first`, and others.
    #[must_use]
    pub fn new(first: CaPin, others: impl IntoIterator<Item = CaPin>) -> Self {
        let mut pins = vec![first];
        for other in others {
            if !pins.contains(&other) {
                pins.push(other);
            }
        }
        Self(pins)
    }

    /// Whether it is one of these.
    #[must_use]
    pub fn contains(&self, pin: &CaPin) -> bool {
        self.0.contains(pin)
    }

    /// One after the other; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &CaPin> {
        self.0.iter()
    }

    /// The pins of every certificate in a PEM text.
    ///
    /// # Errors
    /// [`CertificateError`] when there is none.
    pub fn of_pem(pem: &str) -> Result<Self, CertificateError> {
        let certificates = certificate::all(pem)?;
        let pins: Result<Vec<_>, _> = certificates.iter().map(|der| CaPin::of_der(der)).collect();
        pins.map(Self)
    }
}

impl From<CaPin> for CaPins {
    fn from(pin: CaPin) -> Self {
        Self(vec![pin])
    }
}

impl fmt::Display for CaPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pin) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{pin}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CaPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CaPins {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let pins: Vec<CaPin> = text
            .split(',')
            .take(MOST_PINS + 1)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if pins.len() > MOST_PINS {
            return Err(InvalidPin(text.chars().take(100).collect()));
        }
        Ok(Self(pins))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_what_it_writes_and_nothing_else() {
        let text = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(text.parse::<CaPin>().unwrap().to_string(), text);
        for wrong in [
            "",
            "sha256:",
            "0f",
            &"0f".repeat(32),
            &format!("sha512:{}", "0f".repeat(32)),
            &format!("{text}00"),
        ] {
            assert!(wrong.parse::<CaPin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_pins_are_separated_by_commas_and_there_is_at_least_one() {
        let (a, b) = (
            format!("sha256:{}", "0a".repeat(32)),
            format!("sha256:{}", "0b".repeat(32)),
        );
        let pins: CaPins = format!("{a},{b}").parse().unwrap();
        assert_eq!(pins.to_string(), format!("{a},{b}"));
        assert!(pins.contains(&a.parse().unwrap()) && pins.contains(&b.parse().unwrap()));
        assert_eq!(CaPins::from(a.parse::<CaPin>().unwrap()).to_string(), a);
        for wrong in ["", ",", &format!("{a},"), &[a.as_str(); 9].join(",")] {
            assert!(wrong.parse::<CaPins>().is_err(), "{wrong}");
        }
    }
}
