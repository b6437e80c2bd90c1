//! Writing the log: durable before it says so, and one chain whatever happens in between.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use berth_model::Timestamp;
use berth_runtime::files;

use super::{
    event::Event,
    head::{Head, WriteError},
    key::{AuditKey, AuditKeyError},
    line::{self, Body, Hash, Line, Start},
    read::{Segment, segments},
};

/// The format that is written.
const VERSION: u32 = 1;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Tells a new log from others; one that is there keeps its own.
    pub id: String,
    /// Of which hub it is.
    pub hub: String,
    /// A segment that is longer ends, in bytes.
    pub segment_bytes: u64,
    /// Events that are sealed together at most.
    pub seal_events: u64,
}

impl LogOptions {
    /// Segments of 16 MiB, sealed every 256 events.
    #[must_use]
    pub fn new(id: impl Into<String>, hub: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            hub: hub.into(),
            segment_bytes: 16 << 20,
            seal_events: 256,
        }
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory or a file in it.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file that is written to was taken away or exchanged.
    #[error("{} was taken away while it was written to", path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// The key does not sign.
    #[error("seal the audit log")]
    Key(#[from] AuditKeyError),
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Nothing was there before.
    pub new: bool,
    /// What does not fit together, a sentence each; the log goes on behind it, so that it stays visible.
    pub wrong: Vec<String>,
}

/// A log that is written to. What is lost is found out by the next write.
pub struct Log {
    dir: PathBuf,
    key: Arc<AuditKey>,
    options: LogOptions,
    head: Head,
    /// Events after the last seal.
    unsealed: u64,
    /// Nothing was written to it yet by this key, which is marked so.
    first: bool,
    out: Option<Out>,
}

/// The segment that is written to.
struct Out {
    path: PathBuf,
    file: File,
    /// What of it is whole lines that were said to be durable.
    length: u64,
}

impl Log {
    /// Opens the log in `dir`, or begins one.
    ///
    /// # Errors
    /// [`LogError`] names the file.
    pub fn open(dir: &Path, key: Arc<AuditKey>, options: LogOptions) -> Result<(Self, Opened), LogError> {
        let file = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| LogError::File {
                operation,
                path,
                source,
            }
        };
        files::make_dir(dir).map_err(file("create directory", dir))?;
        let mut there = segments(dir).map_err(file("list", dir))?;
        let first = !key.used();
        if first && there.iter().all(has_no_line) {
            // Whoever began it died before its first line was there.
            for segment in there.drain(..) {
                files::remove(&segment.path).map_err(file("remove", &segment.path))?;
            }
        }
        let keys = [key.public().clone()];
        let head = Head::read(dir, &keys).map_err(file("read", &dir.join("head")))?;
        let mut opened = Opened::default();
        let fresh = Head {
            log: options.id.clone(),
            segment: 0,
            seq: 0,
            hash: Hash::default(),
        };
        let said = match head {
            Some((Some(head), true)) => Some(head),
            Some(_) => {
                opened
                    .wrong
                    .push("the file head is not signed by this log's key".into());
                None
            }
            None => None,
        };
        if there.is_empty() && said.is_none() {
            opened.new = opened.wrong.is_empty();
            if key.used() {
                opened
                    .wrong
                    .push("the key has sealed a log, and none is there: one may have been taken away".into());
            }
            return Ok((
                Self {
                    dir: dir.to_owned(),
                    key,
                    options,
                    head: fresh,
                    unsealed: 0,
                    first,
                    out: None,
                },
                opened,
            ));
        }
        let last = match there.last() {
            Some(segment) => ending(segment, &mut opened).map_err(file("read", &segment.path))?,
            None => None,
        };
        let mut log = Self {
            dir: dir.to_owned(),
            key,
            options,
            head: fresh,
            unsealed: 0,
            first,
            out: None,
        };
        log.go_on(there.last(), last, said, &mut opened);
        Ok((log, opened))
    }

    /// Decides where the chain goes on: behind what the head says was there, should the segments not have it.
    fn go_on(
        &mut self,
        segment: Option<&Segment>,
        last: Option<Ending>,
        said: Option<Head>,
        opened: &mut Opened,
    ) {
        let number = segment.map_or(0, |segment| segment.number);
        let found = last.as_ref().map(|last| Head {
            log: last.log.clone(),
            segment: number,
            seq: last.seq,
            hash: last.hash,
        });
        let next = match (found, said) {
            (Some(found), Some(said)) if found.seq < said.seq => {
                opened.wrong.push(format!(
                    "the log ended at line {} and had {}: its end was cut off",
                    found.seq, said.seq
                ));
                said
            }
            (Some(found), Some(said)) if found.seq == said.seq && found.hash != said.hash => {
                opened
                    .wrong
                    .push(format!("line {} is not the one that was written", said.seq));
                said
            }
            (Some(found), _) => {
                // In the same segment, unless it is damaged.
                if let (Some(segment), Some(last)) = (segment, &last)
                    && opened.wrong.is_empty()
                {
                    self.out = reopened(&segment.path, last.length);
                }
                self.unsealed = u64::from(!last.is_some_and(|last| last.sealed));
                found
            }
            (None, Some(said)) => {
                opened.wrong.push(format!(
                    "no segment has a whole line, and the log had {} lines",
                    said.seq
                ));
                said
            }
            (None, None) => {
                opened.wrong.push("no segment has a whole line".into());
                self.head.clone()
            }
        };
        self.head = Head {
            segment: number.max(next.segment),
            ..next
        };
    }

    /// Writes the events, in order, and returns when they are durable, with the number of the last line. On an error none of them is
    /// in the log, and the next call tries again from where the log was.
    ///
    /// # Errors
    /// [`LogError`] says what stands in the way.
    pub fn append(&mut self, now: Timestamp, events: Vec<Event>) -> Result<u64, LogError> {
        let mut end = self.head.clone();
        let mut text = String::new();
        if self
            .out
            .as_ref()
            .is_none_or(|out| out.length >= self.options.segment_bytes)
        {
            self.out = None;
            // What an attempt before may have left behind is not written over.
            let there = segments(&self.dir).unwrap_or_default();
            end.segment = there.last().map_or(0, |last| last.number).max(end.segment) + 1;
            let start = Start {
                version: VERSION,
                log: end.log.clone(),
                hub: self.options.hub.clone(),
                segment: end.segment,
                public_key: self.key.public().text(),
            };
            push(&mut text, &mut end, |seq, prev| {
                line::start(seq, now, prev, start)
            });
        }
        let mut unsealed = self.unsealed;
        for event in events {
            push(&mut text, &mut end, |seq, prev| {
                line::event(seq, now, prev, event)
            });
            unsealed += 1;
            if unsealed >= self.options.seal_events {
                push_seal(&mut text, &mut end, now, &self.key)?;
                unsealed = 0;
            }
        }
        self.put(&text, &end)?;
        self.unsealed = unsealed;
        Ok(end.seq)
    }

    /// Seals what was not sealed yet. Nothing is written when there is nothing.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn seal(&mut self, now: Timestamp) -> Result<(), LogError> {
        if self.unsealed == 0 {
            return Ok(());
        }
        let Some(_) = self.out else {
            // The end stands in a segment that is not written to any more: a new one says where it goes on.
            let unsealed = std::mem::replace(&mut self.unsealed, self.options.seal_events);
            let written = self.append(now, Vec::new()).and_then(|_| self.seal(now));
            if written.is_err() {
                self.unsealed = unsealed;
            }
            return written;
        };
        let (mut text, mut end) = (String::new(), self.head.clone());
        push_seal(&mut text, &mut end, now, &self.key)?;
        self.put(&text, &end)?;
        self.unsealed = 0;
        Ok(())
    }

    /// Whether something is not sealed yet.
    #[must_use]
    pub const fn unsealed(&self) -> bool {
        self.unsealed > 0
    }

    /// Number of the last line.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.head.seq
    }

    /// Which log this is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.head.log
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn put(&mut self, text: &str, end: &Head) -> Result<(), LogError> {
        if let Err(error) = self.put_durably(text, end) {
            // What of it is there is cut off, so that what was not acknowledged is not there; where that does not work either the
            // chain goes on in a new segment, and the half line before is seen.
            if let Some(out) = self.out.take()
                && out.file.set_len(out.length).is_ok()
                && out.file.sync_all().is_ok()
                && still_there(&out)
            {
                self.out = Some(out);
            }
            return Err(error);
        }
        self.head = end.clone();
        if self.first {
            match self.key.begin() {
                Ok(()) => self.first = false,
                Err(error) => {
                    tracing::warn!(%error, "the audit key is still marked as one that has sealed nothing")
                }
            }
        }
        // The lines are durable; a head that cannot be written is behind until the next one.
        match end.write(&self.dir, &self.key) {
            Ok(()) => {}
            Err(WriteError::File(error)) => tracing::warn!(%error, "the audit log's head is behind"),
            Err(WriteError::Key(error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn put_durably(&mut self, text: &str, end: &Head) -> Result<(), LogError> {
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                let begun = begin(&self.dir, end.segment)?;
                self.out.insert(begun)
            }
        };
        let failed = |operation| {
            let path = out.path.clone();
            move |source| LogError::File {
                operation,
                path,
                source,
            }
        };
        out.file.write_all(text.as_bytes()).map_err(failed("write"))?;
        out.file.sync_data().map_err(failed("write"))?;
        if !still_there(out) {
            return Err(LogError::Gone {
                path: out.path.clone(),
            });
        }
        out.length += text.len() as u64;
        Ok(())
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // A segment in which nothing was ever said to be durable is as if it had never been begun.
        if self.length == 0 && still_there(self) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn has_no_line(segment: &Segment) -> bool {
    fs::read(&segment.path).is_ok_and(|bytes| !bytes.contains(&b'\n'))
}

fn begin(dir: &Path, segment: u64) -> Result<Out, LogError> {
    let path = Segment::path_of(dir, segment);
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| LogError::File {
            operation,
            path,
            source,
        }
    };
    files::make_dir(dir).map_err(failed("create directory", dir))?;
    let create = || {
        File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
    };
    let file = files::step("create", &path, create).map_err(failed("create", &path))?;
    files::sync_dir(dir).map_err(failed("write", dir))?;
    Ok(Out {
        path,
        file,
        length: 0,
    })
}

/// Opens a segment to write on, with what is behind its last whole line cut off: that was never said to be durable.
fn reopened(path: &Path, length: u64) -> Option<Out> {
    let file = File::options().append(true).open(path).ok()?;
    if file.metadata().ok()?.len() != length {
        file.set_len(length).ok()?;
        file.sync_all().ok()?;
    }
    Some(Out {
        path: path.to_owned(),
        file,
        length,
    })
}

fn still_there(out: &Out) -> bool {
    match (out.file.metadata(), fs::metadata(&out.path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
        _ => false,
    }
}

fn push(text: &mut String, end: &mut Head, write: impl FnOnce(u64, Hash) -> String) {
    let line = write(end.seq + 1, end.hash);
    end.seq += 1;
    end.hash = Hash::of(line.as_bytes());
    text.push_str(&line);
    text.push('\n');
}

fn push_seal(text: &mut String, end: &mut Head, now: Timestamp, key: &AuditKey) -> Result<(), LogError> {
    let line = line::seal(end.seq + 1, now, end.hash, key)?;
    push(text, end, |_, _| line);
    Ok(())
}

/// How a segment ends.
struct Ending {
    log: String,
    seq: u64,
    hash: Hash,
    sealed: bool,
    /// Up to behind its last whole line.
    length: u64,
}

fn ending(segment: &Segment, opened: &mut Opened) -> io::Result<Option<Ending>> {
    let bytes = fs::read(&segment.path)?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let name = segment.path.display();
    if whole < bytes.len() {
        tracing::warn!(segment = %name, bytes = bytes.len() - whole, "the audit log ends with half a line, which was never acknowledged");
    }
    let mut lines = bytes[..whole]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let log = match lines.clone().next().map(Line::parse) {
        Some(Ok(Line {
            body: Body::Segment(start),
            ..
        })) => start.log,
        _ => {
            opened
                .wrong
                .push(format!("{name} does not begin as a segment does"));
            return Ok(None);
        }
    };
    let Some(last) = lines.next_back() else {
        return Ok(None);
    };
    let Ok(parsed) = Line::parse(last) else {
        opened
            .wrong
            .push(format!("the last line of {name} cannot be read"));
        return Ok(None);
    };
    Ok(Some(Ending {
        log,
        seq: parsed.seq,
        hash: Hash::of(last),
        sealed: matches!(parsed.body, Body::Seal { .. }),
        length: whole as u64,
    }))
}
