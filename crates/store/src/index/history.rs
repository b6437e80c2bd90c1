//! The last changes, bounded by number and by size.

use std::collections::VecDeque;

use berth_model::Revision;

use crate::{entry::Change, error::StoreError};

/// The most changes kept.
const MAX_CHANGES: usize = 16_384;
/// The most bytes of values kept; most of them are the current ones and shared with the index.
const MAX_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Every change after this one is here.
    oldest: Revision,
    newest: Revision,
}

impl History {
    pub(crate) const fn starting_at(revision: Revision) -> Self {
        Self {
            changes: VecDeque::new(),
            bytes: 0,
            oldest: revision,
            newest: revision,
        }
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.newest = change.revision;
        self.bytes += size(&change);
        self.changes.push_back(change);
        while self.changes.len() > MAX_CHANGES || self.bytes > MAX_BYTES {
            let Some(dropped) = self.changes.pop_front() else {
                break;
            };
            self.bytes -= size(&dropped);
            // A transaction that is cut is gone as a whole for whoever starts anew.
            self.oldest = dropped.revision;
        }
    }

    /// Changes after `seen`, about `limit` of them, whole transactions only.
    pub(crate) fn changes_after(&self, seen: Revision, limit: usize) -> Result<VecDeque<Change>, StoreError> {
        if seen < self.oldest || seen > self.newest {
            return Err(StoreError::Compacted {
                asked: seen,
                oldest: self.oldest,
                newest: self.newest,
            });
        }
        let start = self.changes.partition_point(|change| change.revision <= seen);
        let mut found: VecDeque<Change> = VecDeque::new();
        for change in self.changes.range(start..) {
            if found.len() >= limit && found.back().is_none_or(|last| last.last) {
                break;
            }
            found.push_back(change.clone());
        }
        Ok(found)
    }
}

fn size(change: &Change) -> usize {
    change.put.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn change(revision: u64, last: bool) -> Change {
        Change {
            revision: Revision(revision),
            key: Key::new("k").unwrap(),
            put: Some(vec![0; 100].into()),
            last,
        }
    }

    #[test]
    fn transactions_are_never_cut() {
        let mut history = History::starting_at(Revision(5));
        for (revision, last) in [(6, false), (6, false), (6, true), (7, true)] {
            history.push(change(revision, last));
        }
        assert_eq!(history.changes_after(Revision(5), 1).unwrap().len(), 3);
        assert_eq!(history.changes_after(Revision(5), 3).unwrap().len(), 3);
        assert_eq!(history.changes_after(Revision(5), 4).unwrap().len(), 4);
        assert_eq!(history.changes_after(Revision(7), 4).unwrap().len(), 0);
    }

    #[test]
    fn what_was_never_or_is_no_longer_there_is_compacted() {
        let mut history = History::starting_at(Revision(5));
        assert!(history.changes_after(Revision(4), 1).is_err());
        assert!(history.changes_after(Revision(6), 1).is_err());
        for revision in 6..=u64::try_from(MAX_CHANGES).unwrap() + 10 {
            history.push(change(revision, true));
        }
        let oldest = history.oldest;
        assert_eq!(history.changes.len(), MAX_CHANGES);
        assert!(history.changes_after(Revision(oldest.0 - 1), 1).is_err());
        assert_eq!(
            history.changes_after(oldest, 1).unwrap()[0].revision,
            oldest.next()
        );
    }
}
