//! The chain of commits: each one's name is made from the name of the one before and from what it changed.
//!
//! The names of the last commits lie in the database, the last one in its totals and in the sentinel. So a database that adds up but is
//! another one, or was rolled back and written to again, is found out: what the sentinel knows is not among its commits.

use std::{collections::BTreeMap, fmt};

use berth_model::Revision;

use crate::entry::Change;

/// How many commits the database remembers. The sentinel is seen to the disk more often than that.
pub(super) const REMEMBERED: u64 = 512;

/// The name of a commit: 128 bits of BLAKE3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name(pub(super) u128);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    fn of(hasher: &blake3::Hasher) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// Of what a commit changed.
    pub(super) fn of_changes(changes: &[Change]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for change in changes {
            let key = change.key.as_str().as_bytes();
            let value = change.put.as_deref();
            hasher.update(&change.revision.0.to_be_bytes());
            hasher.update(&[u8::from(value.is_some()), u8::from(change.last)]);
            for part in [key, value.unwrap_or_default()] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        Self::of(&hasher)
    }

    /// Of what a store begins with: nothing, a restored backup, or what an older schema left.
    pub(super) fn of_beginning(incarnation: &str, count: u64, digest: u128) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(incarnation.as_bytes());
        hasher.update(&count.to_be_bytes());
        hasher.update(&digest.to_be_bytes());
        Self::of(&hasher)
    }
}

/// One commit of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number, from 0 on.
    pub(super) number: u64,
    /// The last revision in it.
    pub(super) revision: Revision,
    before: Name,
    changes: Name,
}

impl Link {
    pub(super) const fn first(revision: Revision, beginning: Name) -> Self {
        Self {
            number: 0,
            revision,
            before: Name(0),
            changes: beginning,
        }
    }

    /// The commit after this one.
    pub(super) fn next(&self, revision: Revision, changes: &[Change]) -> Self {
        Self {
            number: self.number + 1,
            revision,
            before: self.name(),
            changes: Name::of_changes(changes),
        }
    }

    pub(super) fn name(&self) -> Name {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.number.to_be_bytes());
        hasher.update(&self.before.0.to_be_bytes());
        hasher.update(&self.revision.0.to_be_bytes());
        hasher.update(&self.changes.0.to_be_bytes());
        Name::of(&hasher)
    }

    /// Where it lies in sled: the place of the one it makes forgotten. No key of an entry starts with a zero byte.
    pub(super) fn place(&self) -> Vec<u8> {
        let mut place = PLACES.to_vec();
        place.extend_from_slice(format!("{:03x}", self.number % REMEMBERED).as_bytes());
        place
    }

    /// One line of printable text with its checksum.
    pub(super) fn to_line(self) -> String {
        let Self {
            number,
            revision,
            before,
            changes,
        } = self;
        let body = format!("commit={number} revision={revision} before={before} changes={changes}");
        format!("{body} crc={:08x}", crc32fast::hash(body.as_bytes()))
    }

    fn from_line(line: &str) -> Option<Self> {
        let (body, sum) = line.rsplit_once(" crc=")?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(body.as_bytes()) {
            return None;
        }
        let mut fields = body.split(' ').filter_map(|field| field.split_once('='));
        let mut field = |name| {
            fields
                .next()
                .filter(|(found, _)| *found == name)
                .map(|(_, value)| value)
        };
        Some(Self {
            number: field("commit")?.parse().ok()?,
            revision: Revision(field("revision")?.parse().ok()?),
            before: Name::parse(field("before")?)?,
            changes: Name::parse(field("changes")?)?,
        })
    }
}

const PLACES: &[u8] = b"\0commit/";

/// What the database remembers of its last commits.
#[derive(Debug, Default)]
pub(super) struct Chain(BTreeMap<u64, Link>);

impl Chain {
    /// Whether something in sled is a commit of the chain.
    pub(super) fn has(key: &[u8]) -> bool {
        key.starts_with(PLACES)
    }

    /// Takes in what lies under such a key.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let link = std::str::from_utf8(value)
            .ok()
            .and_then(Link::from_line)
            .filter(|link| link.place() == key)
            .ok_or_else(|| format!("its commit {} cannot be read", String::from_utf8_lossy(&key[1..])))?;
        self.0.insert(link.number, link);
        Ok(())
    }

    /// The last commit, after checking that each one follows from the one before and that none is missing.
    pub(super) fn checked(&self) -> Result<Link, String> {
        let Some((_, last)) = self.0.last_key_value() else {
            return Err("its chain of commits is gone".into());
        };
        let wanted = (last.number + 1).min(REMEMBERED);
        if self.0.len() as u64 != wanted {
            return Err(format!(
                "{} of its last {wanted} commits are missing",
                wanted.abs_diff(self.0.len() as u64)
            ));
        }
        for (before, after) in self.0.values().zip(self.0.values().skip(1)) {
            if after.number != before.number + 1
                || after.before != before.name()
                || after.revision <= before.revision
            {
                return Err(format!(
                    "its commit {} does not follow from the one before",
                    after.number
                ));
            }
        }
        Ok(*last)
    }

    /// Whether the commit that came to `revision` has this name.
    pub(super) fn holds(&self, revision: Revision, name: Name) -> bool {
        self.0
            .values()
            .any(|link| link.revision == revision && link.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn change(revision: u64, value: Option<&'static str>) -> Change {
        Change {
            revision: Revision(revision),
            key: Key::new("k").unwrap(),
            put: value.map(Into::into),
            last: true,
        }
    }

    fn chain(links: &[Link]) -> Chain {
        let mut chain = Chain::default();
        for link in links {
            chain.add(&link.place(), link.to_line().as_bytes()).unwrap();
        }
        chain
    }

    fn links(count: u64) -> Vec<Link> {
        let mut links = vec![Link::first(Revision(0), Name(7))];
        for revision in 1..count {
            let last = links[links.len() - 1];
            links.push(last.next(Revision(revision), &[change(revision, Some("v"))]));
        }
        links
    }

    #[test]
    fn a_whole_chain_ends_with_its_last_commit_and_knows_those_before() {
        for count in [1, 2, REMEMBERED, REMEMBERED + 5] {
            let links = links(count);
            let kept = &links[links.len().saturating_sub(REMEMBERED as usize)..];
            let chain = chain(kept);
            let last = chain.checked().unwrap();
            assert_eq!(Some(&last), links.last());
            assert!(kept.iter().all(|link| chain.holds(link.revision, link.name())));
            assert!(!chain.holds(last.revision, Name(1)));
        }
    }

    #[test]
    fn a_missing_changed_or_foreign_commit_is_found_out() {
        let whole = links(9);
        let mut gap = whole.clone();
        gap.remove(4);
        assert!(chain(&gap).checked().is_err());
        let mut foreign = whole.clone();
        foreign[8] = foreign[6]
            .next(Revision(8), &[change(8, None)])
            .next(Revision(9), &[]);
        assert!(chain(&foreign).checked().is_err());
        assert!(Chain::default().checked().is_err());
        let mut line = whole[3].to_line().into_bytes();
        line[8] ^= 1;
        assert!(Chain::default().add(&whole[3].place(), &line).is_err());
        assert!(
            Chain::default()
                .add(&whole[2].place(), whole[3].to_line().as_bytes())
                .is_err()
        );
    }

    #[test]
    fn what_a_commit_changed_is_part_of_its_name() {
        let first = Link::first(Revision(0), Name(7));
        let name = |change: Change| first.next(Revision(1), &[change]).name();
        let names = [
            name(change(1, Some("a"))),
            name(change(1, Some("b"))),
            name(change(1, Some(""))),
            name(change(1, None)),
        ];
        for (at, one) in names.iter().enumerate() {
            assert!(names.iter().skip(at + 1).all(|other| other != one));
        }
    }
}
