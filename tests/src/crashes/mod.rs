//! The crash matrix: a hub or an agent dies by `kill -9` before and after each step that outlives it, is started again, and in
//! the end everything is as if it had never died.
//!
//! A first run of a scenario numbers the points it comes to; then every point is a trial of its own with a tenant of its own. The
//! points are the programs' own (feature `failpoints`); what may be seen afterwards is in [`scenario`] and [`traces`].

mod points;
pub mod scenario;
mod stage;
mod traces;

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

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
    /// Takes in what came of one trial.
    pub fn take(&mut self, trial: Trial, result: anyhow::Result<Option<Point>>) {
        match result {
            Ok(Some(point)) => self.died.push(point),
            Ok(None) => self.not_reached += 1,
            Err(error) => self.failures.push(format!(
                "{trial}: {error:?}\nto do it again: cargo xtask chaos crashes --only {trial}"
            )),
        }
    }
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
