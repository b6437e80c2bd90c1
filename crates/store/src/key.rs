//! Names of what is stored: printable paths such as `tenants/acme`.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The longest key, in bytes.
const MAX_BYTES: usize = 512;

/// A checked name: printable ASCII without spaces, parts separated by `/`, none of them empty, 512 bytes at most.
///
/// Copies share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store key {key:?} {problem}")]
pub struct InvalidKey {
    /// The text.
    pub key: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Key {
    /// Checks `key` and takes it.
    ///
    /// # Errors
    /// [`InvalidKey`] says what is wrong with it.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let key = key.as_ref();
        match problem(key) {
            None => Ok(Self(key.into())),
            Some(problem) => Err(InvalidKey {
                key: key.chars().take(80).collect(),
                problem,
            }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything up to and with the last `/`: what lists this key's siblings. Empty for a key of one part.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.rfind('/').map_or("", |slash| &self.0[..=slash])
    }

    /// The last part.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0[self.prefix().len()..]
    }
}

fn problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("is empty");
    }
    if key.len() > MAX_BYTES {
        return Some("is longer than 512 bytes");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("has something other than printable ASCII");
    }
    if key.split('/').any(str::is_empty) {
        return Some("has an empty part");
    }
    None
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_printable_path_without_empty_parts() {
        for fine in ["a", "tenants/acme", "x/y/z:1@2", &"k".repeat(512)] {
            assert!(Key::new(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "/a",
            "a/",
            "a//b",
            "a b",
            "a\n",
            "\u{e4}",
            "a\0b",
            &"k".repeat(513),
        ] {
            assert!(Key::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_knows_its_siblings_and_its_own_name() {
        let key = Key::new("tenants/acme/spec").unwrap();
        assert_eq!((key.prefix(), key.name()), ("tenants/acme/", "spec"));
        let key = Key::new("fleet").unwrap();
        assert_eq!((key.prefix(), key.name()), ("", "fleet"));
    }
}
