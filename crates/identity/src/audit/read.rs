//! Reading segments: which there are, and their events from the newest to the oldest.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::line::{Body, Line};

const BEFORE: &str = "audit-";
const AFTER: &str = ".jsonl";

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which; the first is 1.
    pub number: u64,
    /// Where.
    pub path: PathBuf,
}

impl Segment {
    pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{BEFORE}{number:06}{AFTER}"))
    }
}

/// The segments in a directory, in order.
///
/// # Errors
/// It cannot be read.
pub fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok());
        if let Some(number) = number {
            found.push(Segment {
                number,
                path: dir.join(name),
            });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// A line with its bytes.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// What it says.
    pub line: Line,
    /// As it stands there, without its newline.
    pub text: String,
}

/// Events of the log in `dir` before line `before`, the newest first, as long as `go_on` takes them. What cannot be read is left
/// out: whether the log is whole is the verifier's business.
///
/// # Errors
/// A segment cannot be read.
pub fn newest_first(dir: &Path, before: u64, mut go_on: impl FnMut(Numbered) -> bool) -> io::Result<()> {
    for segment in segments(dir)?.iter().rev() {
        let bytes = fs::read(&segment.path)?;
        for text in bytes.split(|byte| *byte == b'\n').rev() {
            let Ok(line) = Line::parse(text) else {
                continue;
            };
            if line.seq >= before || !matches!(line.body, Body::Event(_)) {
                continue;
            }
            let text = String::from_utf8_lossy(text).into_owned();
            if !go_on(Numbered { line, text }) {
                return Ok(());
            }
        }
    }
    Ok(())
}
