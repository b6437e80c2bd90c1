//! The open database: makes a batch durable, and opens itself anew when the disk was full.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    SledOptions,
    chain::Link,
    error::OpenError,
    frame,
    lock::wait_until_released,
    open::{self, open_data, sled_dir},
    room,
    sentinel::Sentinel,
    totals::Totals,
};
use crate::index::{SharedIndex, Staged};

/// What failed, and why.
#[derive(Clone, Debug)]
pub(super) struct Breakage {
    pub(super) operation: &'static str,
    pub(super) source: Arc<io::Error>,
    /// The disk was full before anything was promised: when there is room, opening the database anew shows what it kept.
    pub(super) full: bool,
}

impl Breakage {
    fn of(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            operation,
            source: Arc::new(source),
            full: false,
        }
    }

    /// What sled could not write was not written, and sled says so; what the kernel took and cannot write later is another matter.
    fn of_writing(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            operation,
            full: room::is_full(&source),
            source: Arc::new(source),
        }
    }
}

/// Where a batch leads: what the store adds up to after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    totals: Totals,
    last: Link,
}

pub(super) struct Database {
    pub(super) options: SledOptions,
    /// None between two openings.
    pub(super) db: Option<sled::Db>,
    /// What to sync after each flush; none when that is not wanted.
    pub(super) data: Option<File>,
    pub(super) sentinel: Sentinel,
    pub(super) totals: Totals,
    pub(super) last: Link,
}

impl Database {
    /// Makes `staged` durable: after this nothing short of a lost disk loses it.
    pub(super) fn commit(
        &mut self,
        index: &SharedIndex,
        staged: &Staged,
    ) -> Result<(), (Breakage, Box<Goal>)> {
        let (mut totals, left) = index.read(|index| self.totals.after(index, staged));
        let last = self.last.next(staged.revision, &staged.changes);
        totals.chain = last.name();
        let mut batch = sled::Batch::default();
        for (key, slot) in left {
            let key = key.as_str().as_bytes();
            match slot {
                Some(slot) => batch.insert(key, &frame::encode(key, &slot)[..]),
                None => batch.remove(key),
            }
        }
        open::put_totals(&mut batch, &totals, &last);
        let goal = Goal { totals, last };
        match self.write(batch, &goal) {
            Ok(()) => {
                self.reached(goal);
                Ok(())
            }
            Err(breakage) => Err((breakage, Box::new(goal))),
        }
    }

    fn reached(&mut self, goal: Goal) {
        self.totals = goal.totals;
        self.last = goal.last;
    }

    fn write(&mut self, batch: sled::Batch, goal: &Goal) -> Result<(), Breakage> {
        const FLUSH: &str = "flush the database";
        let Some(db) = &self.db else {
            return Err(Breakage::of(FLUSH)(io::Error::other("it is not open")));
        };
        let flushed = catch_unwind(AssertUnwindSafe(|| {
            db.apply_batch(batch)?;
            db.flush()
        }));
        match flushed {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Breakage::of_writing(FLUSH)(io::Error::from(error))),
            Err(_) => return Err(Breakage::of(FLUSH)(io::Error::other("it panicked"))),
        }
        if let Some(data) = &self.data {
            self.sync_blobs()
                .map_err(Breakage::of("sync the database's large values"))?;
            data.sync_data().map_err(Breakage::of("sync the database"))?;
        }
        self.sentinel
            .write(&goal.totals)
            .map_err(Breakage::of_writing("write the sentinel"))
    }

    /// sled puts what it finds too large into files of their own and never syncs them. With values of at most 16 KiB
    /// there should be none; should there be some, they are as durable as the rest.
    fn sync_blobs(&self) -> io::Result<()> {
        let blobs = sled_dir(&self.options.dir).join("blobs");
        let entries = match std::fs::read_dir(&blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut any = false;
        for entry in entries {
            match File::open(entry?.path()) {
                Ok(file) => file.sync_data()?,
                // sled took it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            any = true;
        }
        if any {
            File::open(&blobs)?.sync_all()
        } else {
            Ok(())
        }
    }

    /// Opens the database anew, under the same checks as the first time, and says whether it holds what `goal` was about. Everything
    /// acknowledged is there, or this fails.
    pub(super) fn reopen(&mut self, goal: Goal) -> Result<bool, OpenError> {
        self.let_go();
        let loaded = open::open_existing(&self.options, &self.totals)?;
        self.data = self
            .options
            .fsync
            .then(|| open_data(&self.options.dir))
            .transpose()?;
        // What turns out to be kept may not have been on the disk yet.
        if let Some(data) = &self.data {
            data.sync_data()
                .map_err(|source| OpenError::io("sync the database in", &self.options.dir, source))?;
        }
        self.db = Some(loaded.db);
        if loaded.totals == self.totals {
            return Ok(false);
        }
        if goal.totals == loaded.totals {
            self.reached(goal);
            return Ok(true);
        }
        Err(OpenError::damaged(
            &self.options.dir,
            format!(
                "its database came to revision {} by itself",
                loaded.totals.revision
            ),
        ))
    }

    /// Closes the database; false when sled's own threads still hold on to it.
    pub(super) fn let_go(&mut self) -> bool {
        self.data = None;
        let Some(db) = self.db.take() else { return true };
        // Whatever it still has to say has been heard by whoever waits for its writes.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        wait_until_released(&sled_dir(&self.options.dir).join("db"))
    }
}
