//! What is where in etcd: `<prefix>data/<key>` is what was stored, `<prefix>election` says who leads, `<prefix>schema` in which form
//! things are stored, and how often `<prefix>writes` was written tells how many transactions there were.

use berth_model::Revision;
use bytes::Bytes;
use etcd_client::KeyValue;

use crate::{entry::Entry, key::Key};

/// The names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    data: String,
    election: String,
    schema: String,
    writes: String,
}

impl Keys {
    pub(super) fn under(prefix: &str) -> Self {
        Self {
            data: format!("{prefix}data/"),
            election: format!("{prefix}election"),
            schema: format!("{prefix}schema"),
            writes: format!("{prefix}writes"),
        }
    }

    pub(super) fn election(&self) -> &str {
        &self.election
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn writes(&self) -> &str {
        &self.writes
    }

    /// Where a key is.
    pub(super) fn of(&self, key: &Key) -> String {
        format!("{}{key}", self.data)
    }

    /// Where keys that start with `prefix` begin, and where they have ended.
    pub(super) fn range(&self, prefix: &str, after: Option<&Key>) -> (Vec<u8>, Vec<u8>) {
        let start = format!("{}{prefix}", self.data);
        // Keys are ASCII, so the last byte can always be raised by one.
        let mut end = start.clone().into_bytes();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let start = match after {
            Some(after) if after.as_str() >= prefix => format!("{}{after}\0", self.data),
            _ => start,
        };
        (start.into_bytes(), end)
    }

    /// The key that is there; none for what somebody else put under the prefix.
    pub(super) fn key(&self, found: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(found).ok();
        let key = text
            .and_then(|text| text.strip_prefix(&self.data))
            .and_then(|key| Key::new(key).ok());
        if key.is_none() {
            tracing::warn!(
                key = %String::from_utf8_lossy(found),
                "passed over a key in etcd that Berth did not write"
            );
        }
        key
    }

    /// What was stored.
    pub(super) fn entry(&self, found: &KeyValue) -> Option<Entry> {
        Some(Entry {
            key: self.key(found.key())?,
            value: Bytes::copy_from_slice(found.value()),
            revision: revision(found.mod_revision()),
            created: revision(found.create_revision()),
        })
    }
}

/// etcd's revisions are never negative.
pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}

/// etcd's revisions never reach half of what fits.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_starts_with_its_prefix_and_nothing_else() {
        let keys = Keys::under("/x/");
        let inside = |prefix: &str, after: Option<&str>, key: &str| {
            let after = after.map(|after| Key::new(after).unwrap());
            let (start, end) = keys.range(prefix, after.as_ref());
            let key = keys.of(&Key::new(key).unwrap()).into_bytes();
            start <= key && key < end
        };
        assert!(inside("", None, "~") && inside("", None, "!"));
        assert!(inside("a/", None, "a/~") && !inside("a/", None, "a0") && !inside("a/", None, "a"));
        assert!(inside("a/", Some("a/1"), "a/10") && !inside("a/", Some("a/1"), "a/1"));
        assert!(inside("b/", Some("a/1"), "b/1") && !inside("a/", Some("b"), "a/1"));
        assert!(keys.election().as_bytes() > &keys.range("", None).1[..]);
        assert!(keys.schema().as_bytes() > &keys.range("", None).1[..]);
        assert!(keys.writes().as_bytes() > &keys.range("", None).1[..]);
    }
}
