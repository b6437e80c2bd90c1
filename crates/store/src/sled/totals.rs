//! What the whole store adds up to. It is written with every commit, so a store that lost or regained a single key, or
//! went back in time, no longer agrees with it.

use berth_model::Revision;

use super::{
    chain::{Link, Name},
    frame::{SCHEMA, fingerprint},
};
use crate::{
    index::{Index, Slot, Staged},
    key::Key,
};

/// Count and digest of all entries at a revision, of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) schema: u16,
    /// Which store: 32 hexadecimal digits.
    pub(super) incarnation: String,
    pub(super) revision: Revision,
    pub(super) count: u64,
    /// The sum of all entries' fingerprints.
    pub(super) digest: u128,
    /// The name of the commit that came here; since schema 2.
    pub(super) chain: Name,
}

impl Totals {
    pub(super) fn of_nothing(incarnation: String) -> Self {
        Self {
            schema: SCHEMA,
            incarnation,
            revision: Revision::default(),
            count: 0,
            digest: 0,
            chain: Name::default(),
        }
    }

    /// These totals with the beginning of a chain in place of one.
    pub(super) fn begin_chain(&mut self) -> Link {
        self.schema = SCHEMA;
        let beginning = Name::of_beginning(&self.incarnation, self.count, self.digest);
        let first = Link::first(self.revision, beginning);
        self.chain = first.name();
        first
    }

    pub(super) fn add(&mut self, key: &Key, slot: &Slot) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(fingerprint(key, slot));
    }

    fn take(&mut self, key: &Key, slot: &Slot) {
        self.count = self.count.saturating_sub(1);
        self.digest = self.digest.wrapping_sub(fingerprint(key, slot));
    }

    /// The totals after `staged`, but for the name of the commit, and what its writes leave under each key they touch.
    pub(super) fn after(&self, index: &Index, staged: &Staged) -> (Self, Vec<(Key, Option<Slot>)>) {
        let mut totals = self.clone();
        totals.revision = staged.revision;
        let mut left: std::collections::BTreeMap<&Key, Option<Slot>> = std::collections::BTreeMap::new();
        for change in &staged.changes {
            let now = left.entry(&change.key).or_insert_with(|| {
                let before = index.slot(&change.key).cloned();
                if let Some(before) = &before {
                    totals.take(&change.key, before);
                }
                before
            });
            let created = now.as_ref().map_or(change.revision, |slot| slot.created);
            *now = change.put.clone().map(|value| Slot {
                value,
                revision: change.revision,
                created,
            });
        }
        for (key, slot) in &left {
            if let Some(slot) = slot {
                totals.add(key, slot);
            }
        }
        (
            totals,
            left.into_iter().map(|(key, slot)| (key.clone(), slot)).collect(),
        )
    }

    /// One line of printable text with its checksum: the same in the database and in the sentinel.
    pub(super) fn to_line(&self, state: &str) -> String {
        let Self {
            schema,
            incarnation,
            revision,
            count,
            digest,
            chain,
        } = self;
        let mut body = format!(
            "berth-store schema={schema} incarnation={incarnation} state={state} revision={revision} count={count} digest={digest:032x}"
        );
        if *schema >= 2 {
            body.push_str(&format!(" chain={chain}"));
        }
        format!("{body} crc={:08x}", crc32fast::hash(body.as_bytes()))
    }

    /// Reads a line back with its state; none when it is damaged. Of a newer schema only the schema can be relied on.
    pub(super) fn from_line(line: &str) -> Option<(Self, &str)> {
        let (body, sum) = line.trim_end().rsplit_once(" crc=")?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(body.as_bytes()) {
            return None;
        }
        let mut totals = Self::of_nothing(String::new());
        let mut state = "";
        for field in body.strip_prefix("berth-store ")?.split(' ') {
            let (name, value) = field.split_once('=')?;
            match name {
                "schema" => totals.schema = value.parse().ok()?,
                "incarnation" => value.clone_into(&mut totals.incarnation),
                "state" => state = value,
                "revision" => totals.revision = Revision(value.parse().ok()?),
                "count" => totals.count = value.parse().ok()?,
                "digest" => totals.digest = u128::from_str_radix(value, 16).ok()?,
                "chain" => totals.chain = Name::parse(value)?,
                // A newer schema may say more.
                _ => {}
            }
        }
        Some((totals, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_a_changed_one_is_not() {
        let totals = Totals {
            revision: Revision(12),
            count: 3,
            digest: u128::MAX - 5,
            chain: Name(u128::MAX - 7),
            ..Totals::of_nothing("ab12".into())
        };
        let line = totals.to_line("open");
        assert_eq!(Totals::from_line(&line), Some((totals, "open")));
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(Totals::from_line(&text), None, "{text}");
        }
    }
}
