//! Whether a log is as it was written, and where not. Needs nothing but the files, and the key or its pin from somebody who is trusted.

use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use berth_model::Timestamp;

use super::{
    head::{self, Head},
    key::{KeyPin, PublicKey},
    line::{Body, Hash, Line},
    read::segments,
};

/// A line longer than this is none.
const LONGEST_LINE: u64 = 1 << 20;
/// More findings than this say nothing more.
const MOST_FINDINGS: usize = 100;

/// Which keys are believed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys.
    pub keys: Vec<PublicKey>,
    /// Pins of keys.
    pub pins: Vec<KeyPin>,
}

impl Trust {
    /// With none, the log's own word is taken for its key: that finds whatever was done without the private key by somebody who kept
    /// the log's, not a log written anew.
    #[must_use]
    pub const fn own_word(&self) -> bool {
        self.keys.is_empty() && self.pins.is_empty()
    }

    fn believes(&self, key: &PublicKey) -> bool {
        self.own_word() || self.keys.contains(key) || self.pins.contains(&key.pin())
    }
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// At which of its lines, from 1; none where it is about the file.
    pub line: Option<u64>,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Its bytes are not those that were written.
    #[error("this line was changed{0}")]
    Changed(String),
    /// Lines are not there.
    #[error("lines {from} to {to} are missing before this one")]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The same line twice.
    #[error("line {seq} is here a second time")]
    Repeated {
        /// Which.
        seq: u64,
    },
    /// A line that belongs before others.
    #[error("line {seq} stands after line {after}: it was moved or put in")]
    Moved {
        /// Which.
        seq: u64,
        /// Behind which.
        after: u64,
    },
    /// A seal's signature is wrong.
    #[error(
        "this seal was not made by the log's key: it, or what stands between it and the seal before, was changed"
    )]
    Seal,
    /// A segment is signed by a key that is not believed.
    #[error("this log is signed by key {0}, which is none of those given")]
    Key(String),
    /// A segment does not begin as one.
    #[error("the file does not begin with a segment's first line")]
    NoStart,
    /// A segment of another log.
    #[error("this segment is of log {found}, the one before is of {expected}")]
    OtherLog {
        /// Of which it is.
        found: String,
        /// Of which it should be.
        expected: String,
    },
    /// The last line has no newline.
    #[error("the file ends with half a line: it was cut off, or is being written to")]
    Half,
    /// Lines at the end are not there.
    #[error("the log ends with line {found}, and had {expected}: its end was cut off")]
    CutOff {
        /// The last that is there.
        found: u64,
        /// The last that was written.
        expected: u64,
    },
    /// The file that says where the log ends is not there.
    #[error("there is no file head, so an end that was cut off would not be missed")]
    NoHead,
    /// The file that says where the log ends was changed.
    #[error("the file head is not as it was written")]
    Head,
    /// There is no log.
    #[error("there is no segment of an audit log (audit-000001.jsonl)")]
    Empty,
}

/// What a log is like.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong, in order; empty is good.
    pub findings: Vec<Finding>,
    /// Which log.
    pub log: Option<String>,
    /// Of which hub.
    pub hub: Option<String>,
    /// Keys that signed it.
    pub keys: Vec<PublicKey>,
    /// Segments that were read.
    pub segments: usize,
    /// Lines that were read.
    pub lines: u64,
    /// The first line and when it was written.
    pub first: Option<(u64, Timestamp)>,
    /// The last line and when it was written.
    pub last: Option<(u64, Timestamp)>,
    /// The last line's hash: kept elsewhere, it shows later whether the log was exchanged for an older one.
    pub last_hash: Option<Hash>,
    /// The last line that a seal signs.
    pub sealed: Option<u64>,
    /// Whether the head signs the last line.
    pub ends_with_head: bool,
}

/// Verifies a whole log: all segments, from the first on, and the head.
///
/// # Errors
/// A file cannot be read.
pub fn verify_dir(dir: &Path, trust: &Trust) -> io::Result<Report> {
    let files: Vec<PathBuf> = segments(dir)?.into_iter().map(|segment| segment.path).collect();
    let mut walk = Walk::new(trust);
    // The head first: a hub that writes meanwhile makes the log longer than it says, never shorter.
    let early = Head::read(dir, &trust.keys)?;
    walk.head = early.and_then(|(head, _)| head);
    if files.is_empty() {
        walk.report.findings.push(Finding {
            file: dir.to_owned(),
            line: None,
            problem: Problem::Empty,
        });
    }
    walk.complete = true;
    for file in &files {
        walk.file(file)?;
    }
    walk.end();
    let path = dir.join(head::NAME);
    let problem = match Head::read(dir, &walk.report.keys)? {
        None => Some(Problem::NoHead),
        Some((None, _) | (_, false)) => Some(Problem::Head),
        Some((Some(_), true)) => None,
    };
    if let Some(problem) = problem.filter(|_| !files.is_empty()) {
        walk.report.ends_with_head = false;
        walk.report.findings.push(Finding {
            file: path,
            line: None,
            problem,
        });
    }
    Ok(walk.report)
}

/// Verifies some segments, such as were exported: each follows the one before. Of what is before and after them nothing is said.
///
/// # Errors
/// A file cannot be read.
pub fn verify_files(files: &[PathBuf], trust: &Trust) -> io::Result<Report> {
    let mut walk = Walk::new(trust);
    for file in files {
        walk.file(file)?;
    }
    walk.end();
    Ok(walk.report)
}

/// A line, as far as the next one is needed to judge it.
#[derive(Clone)]
struct Seen {
    file: PathBuf,
    number: u64,
    hash: Hash,
    /// Its own number, and what it says is before it; none when it cannot be read.
    said: Option<(u64, Hash)>,
    /// It was blamed already.
    blamed: bool,
    /// It does not belong here: the next line follows the one before.
    astray: bool,
}

struct Walk<'a> {
    trust: &'a Trust,
    report: Report,
    head: Option<Head>,
    /// The first segment has to be there.
    complete: bool,
    key: Option<PublicKey>,
    last: Option<Seen>,
    /// The two lines between which the chain is broken: whose fault it is shows with the next line.
    broken: Option<Seen>,
    hashes: BTreeSet<[u8; 8]>,
    head_met: bool,
}

impl<'a> Walk<'a> {
    fn new(trust: &'a Trust) -> Self {
        Self {
            trust,
            report: Report::default(),
            head: None,
            complete: false,
            key: None,
            last: None,
            broken: None,
            hashes: BTreeSet::new(),
            head_met: false,
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(path)?);
        self.report.segments += 1;
        let mut number = 0;
        loop {
            let mut bytes = Vec::new();
            io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            number += 1;
            if bytes.pop_if(|last| *last == b'\n').is_none() {
                self.find(path, number, Problem::Half);
                if bytes.len() as u64 + 1 < LONGEST_LINE {
                    break;
                }
            }
            self.line(path, number, &bytes);
        }
        if number == 0 {
            self.find(path, 1, Problem::NoStart);
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, number: u64, bytes: &[u8]) {
        self.report.lines += 1;
        let parsed = Line::parse(bytes);
        let mut seen = Seen {
            file: path.to_owned(),
            number,
            hash: Hash::of(bytes),
            said: parsed.as_ref().ok().map(|line| (line.seq, line.prev)),
            blamed: false,
            astray: false,
        };
        match &parsed {
            Err(error) => {
                self.find(
                    path,
                    number,
                    Problem::Changed(format!(" and cannot be read ({})", error.0)),
                );
                seen.blamed = true;
            }
            Ok(line) => self.body(path, number, bytes, line),
        }
        self.join(&mut seen);
        if let (Some((seq, _)), Some(head)) = (seen.said, &self.head)
            && seq == head.seq
            && !self.head_met
        {
            self.head_met = true;
            if seen.hash != head.hash && !seen.blamed {
                self.find(path, number, Problem::Changed(", as the file head shows".into()));
                seen.blamed = true;
            }
        }
        if let Ok(line) = parsed
            && !seen.blamed
        {
            self.report.first.get_or_insert((line.seq, line.time));
            self.report.last = Some((line.seq, line.time));
            self.report.last_hash = Some(seen.hash);
        }
        if !seen.astray {
            self.last = Some(seen);
        }
    }

    /// What a line is by itself.
    fn body(&mut self, path: &Path, number: u64, bytes: &[u8], line: &Line) {
        match &line.body {
            Body::Segment(start) if number == 1 => {
                match &self.report.log {
                    Some(expected) if *expected != start.log => {
                        let problem = Problem::OtherLog {
                            found: start.log.clone(),
                            expected: expected.clone(),
                        };
                        self.find(path, number, problem);
                    }
                    _ => {
                        self.report.log = Some(start.log.clone());
                        self.report.hub = Some(start.hub.clone());
                    }
                }
                match PublicKey::of_text(&start.public_key) {
                    Some(key) => {
                        if !self.trust.believes(&key) {
                            self.find(path, number, Problem::Key(key.pin().to_string()));
                        } else if !self.report.keys.contains(&key) {
                            self.report.keys.push(key.clone());
                        }
                        self.key = Some(key);
                    }
                    None => self.find(path, number, Problem::Changed(" and names no key".into())),
                }
            }
            Body::Segment(_) => self.find(
                path,
                number,
                Problem::Changed(" into a segment's first line".into()),
            ),
            Body::Seal { .. } | Body::Event(_) if number == 1 => self.find(path, number, Problem::NoStart),
            Body::Seal { .. } => {
                let keys = [&self.trust.keys[..], self.key.as_slice()].concat();
                let good = keys
                    .iter()
                    .any(|key| self.trust.believes(key) && line.sealed(bytes, key));
                if good {
                    self.report.sealed = Some(line.seq);
                } else {
                    self.find(path, number, Problem::Seal);
                }
            }
            Body::Event(_) => {}
        }
    }

    /// How a line fits to the one before.
    fn join(&mut self, seen: &mut Seen) {
        let short = |hash: &Hash| -> [u8; 8] {
            let text = hash.to_string();
            std::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or_default())
        };
        let repeated = !self.hashes.insert(short(&seen.hash));
        // Only the lines nearby can be told from a repetition that way, which keeps the memory small.
        if self.hashes.len() > 1 << 20 {
            self.hashes.clear();
        }
        let Some((seq, prev)) = seen.said else {
            self.settle(true);
            return;
        };
        let Some(last) = self.last.clone() else {
            if self.complete && seq != 1 {
                self.find(
                    &seen.file,
                    seen.number,
                    Problem::Missing {
                        from: 1,
                        to: seq.saturating_sub(1),
                    },
                );
            }
            return;
        };
        let joined = prev == last.hash;
        let Some((before, _)) = last.said else {
            // The one before cannot be read, which was said.
            return;
        };
        match (joined, seq == before + 1) {
            (true, true) => self.settle(true),
            // By the chain it follows, so it is its number that is wrong.
            (true, false) => {
                self.settle(true);
                self.blame(seen, String::new());
            }
            (false, _) if last.blamed => {}
            (false, true) => {
                if self.broken.is_some() {
                    // Both links of the line between are broken: it is that one.
                    self.settle(false);
                } else {
                    self.broken = Some(last);
                }
            }
            (false, false) => {
                self.settle(true);
                let problem = if repeated {
                    Problem::Repeated { seq }
                } else if seq > before {
                    Problem::Missing {
                        from: before + 1,
                        to: seq - 1,
                    }
                } else {
                    Problem::Moved { seq, after: before }
                };
                seen.astray = !matches!(problem, Problem::Missing { .. });
                self.find(&seen.file, seen.number, problem);
            }
        }
    }

    /// Says whose fault a broken link is: the earlier line's, when the later one is vouched for by what follows, else the later one's.
    fn settle(&mut self, later_is_good: bool) {
        let Some(earlier) = self.broken.take() else {
            return;
        };
        let wrong = if later_is_good {
            Some(earlier)
        } else {
            self.last.clone()
        };
        if let Some(wrong) = wrong.filter(|wrong| !wrong.blamed) {
            self.find(&wrong.file.clone(), wrong.number, Problem::Changed(String::new()));
        }
    }

    fn blame(&mut self, seen: &mut Seen, more: String) {
        if !std::mem::replace(&mut seen.blamed, true) {
            self.find(&seen.file.clone(), seen.number, Problem::Changed(more));
        }
    }

    fn end(&mut self) {
        // Nothing vouches for the last line but the head.
        let vouched = match (&self.head, &self.last) {
            (Some(head), Some(last)) => head.hash == last.hash,
            _ => true,
        };
        self.settle(vouched);
        let found = self
            .last
            .as_ref()
            .and_then(|last| last.said)
            .map_or(0, |(seq, _)| seq);
        if let Some(head) = &self.head {
            self.report.ends_with_head = self.last.as_ref().is_some_and(|last| last.hash == head.hash);
            if found < head.seq
                && let Some(last) = self.last.clone()
            {
                let problem = Problem::CutOff {
                    found,
                    expected: head.seq,
                };
                self.find(&last.file, last.number, problem);
            }
        }
        let key = |finding: &Finding| (finding.file.clone(), finding.line);
        self.report.findings.sort_by_key(key);
    }

    fn find(&mut self, file: &Path, line: u64, problem: Problem) {
        if self.report.findings.len() < MOST_FINDINGS {
            self.report.findings.push(Finding {
                file: file.to_owned(),
                line: Some(line),
                problem,
            });
        }
    }
}
