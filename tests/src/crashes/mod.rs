//! The crash matrix: a hub or an agent dies by `kill -9` before and after each step that outlives it, is started again, and in
//! the end everything is as if it had never died.
//!
//! A first run of a scenario numbers the points it comes to; then every point is a trial of its own with a tenant of its own. The
//! points are the programs' own (feature `failpoints`); what may be seen afterwards is in [`scenario`] and [`traces`].

mod founding;
mod joining;
mod points;
pub mod scenario;
mod stage;
mod traces;

use std::fmt;
use std::process::ExitStatus;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

pub use founding::Ground;
pub use joining::Door;
pub use points::Point;
pub use scenario::Scenario;
pub use stage::Stage;

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The hub.
    Hub,
    /// The agent of the shared cluster.
    Agent,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "hub",
            Self::Agent => "agent",
        })
    }
}

impl FromStr for Victim {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hub" => Ok(Self::Hub),
            "agent" => Ok(Self::Agent),
            other => anyhow::bail!("{other:?} is neither hub nor agent"),
        }
    }
}

/// One cell of the matrix, written `hub:namespace:17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Who dies.
    pub victim: Victim,
    /// While what goes on.
    pub scenario: Scenario,
    /// At which of its points, counted from 1.
    pub point: u64,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.victim, self.scenario, self.point)
    }
}

impl FromStr for Trial {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let mut next = || {
            parts
                .next()
                .with_context(|| format!("{text:?} is not like hub:namespace:17"))
        };
        let trial = Self {
            victim: next()?.parse()?,
            scenario: next()?.parse()?,
            point: next()?.parse()?,
        };
        ensure!(parts.next().is_none(), "{text:?} is not like hub:namespace:17");
        Ok(trial)
    }
}

/// What came of some trials.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many points the first run came to.
    pub points: usize,
    /// In how many trials the victim died, and where.
    pub died: Vec<Point>,
    /// Trials that ended before they came to their point: how often a thing is asked for differs from run to run.
    pub not_reached: u64,
    /// What went wrong, with the command that does it again.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Of a first run that came to these points.
    ///
    /// # Errors
    /// It came to none.
    pub fn of(points: &[Point]) -> anyhow::Result<Self> {
        ensure!(
            !points.is_empty(),
            "the programs have no points: they were built without the feature `failpoints`; `cargo xtask test` and `cargo xtask chaos` build it"
        );
        Ok(Self {
            points: points.len(),
            ..Self::default()
        })
    }

    /// Takes in what came of one trial of a section of `cargo xtask chaos`.
    pub fn take(&mut self, trial: &str, section: &str, result: anyhow::Result<Option<Point>>) {
        match result {
            Ok(Some(point)) => self.died.push(point),
            Ok(None) => self.not_reached += 1,
            Err(error) => {
                let failure =
                    format!("{trial}: {error:?}\nto do it again: cargo xtask chaos {section} --only {trial}");
                eprintln!("{failure}");
                self.failures.push(failure);
            }
        }
    }
}

/// The numbers of all points, or of `most` of them as the seed says.
fn chosen(points: &[Point], most: Option<usize>, seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = points.iter().map(|point| point.number).collect();
    if let Some(most) = most {
        numbers.shuffle(&mut StdRng::seed_from_u64(seed));
        numbers.truncate(most);
    }
    numbers
}

/// A victim dies as it was told to, and of nothing else.
fn killed(status: ExitStatus) -> anyhow::Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    ensure!(status.signal() == Some(9), "it has ended by itself: {status}");
    Ok(())
}

/// An agent that is started again in its pod takes its Lease over at once.
fn pod() -> (String, String) {
    ("POD_NAME".to_owned(), "berth-agent-0".to_owned())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} points; {} trials died at theirs, {} ended before they came to it, {} failed",
            self.points,
            self.died.len(),
            self.not_reached,
            self.failures.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_read_as_it_is_written() {
        let trial = Trial {
            victim: Victim::Agent,
            scenario: Scenario::NodePool,
            point: 17,
        };
        assert_eq!(trial.to_string(), "agent:node-pool:17");
        assert_eq!(trial.to_string().parse::<Trial>().expect("a trial"), trial);
        for wrong in [
            "",
            "hub",
            "hub:namespace",
            "hub:namespace:x",
            "hub:namespace:1:2",
            "cloud:namespace:1",
        ] {
            assert!(wrong.parse::<Trial>().is_err(), "{wrong}");
        }
    }
}
