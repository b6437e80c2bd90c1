//! The points a program has come to, as it wrote them down.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

/// A point: before or after one step that outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Counted from 1 in the order in which the process came to them.
    pub number: u64,
    /// What the step is.
    pub name: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "point {} ({})", self.number, self.name)
    }
}

/// What a program is told so that it writes down its points, and dies at one.
pub(super) fn environment(log: &Path, die_at: Option<u64>) -> Vec<(String, String)> {
    let mut environment = vec![("BERTH_FAILPOINT_LOG".to_owned(), log.display().to_string())];
    environment.extend(die_at.map(|number| ("BERTH_FAILPOINT".to_owned(), number.to_string())));
    environment
}

/// The points in a log; none when there is no log.
pub(super) fn read(log: &Path) -> anyhow::Result<Vec<Point>> {
    let text = match std::fs::read_to_string(log) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", log.display())),
    };
    text.lines()
        .map(|line| {
            let (number, name) = line
                .split_once(' ')
                .with_context(|| format!("{line:?} is no point"))?;
            Ok(Point {
                number: number.parse().with_context(|| format!("{line:?} is no point"))?,
                name: name.to_owned(),
            })
        })
        .collect()
}
