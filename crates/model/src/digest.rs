//! The digest of rendered content.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// SHA-256 of canonical content, 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Takes 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`InvalidId`] when it is anything else.
    pub fn new(hex: impl Into<String>) -> Result<Self, InvalidId> {
        let value = hex.into();
        if value.len() == 64 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(value))
        } else {
            Err(InvalidId {
                kind: "digest",
                value,
                problem: "must be 64 lower-case hexadecimal digits".into(),
            })
        }
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:.12})", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidId;
    fn try_from(value: String) -> Result<Self, InvalidId> {
        Self::new(value)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}
