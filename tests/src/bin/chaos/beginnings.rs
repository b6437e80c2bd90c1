//! The first start of a hub and the first joining of a cluster, with death at every step.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_tests::crashes::{Door, Ground, Outcome, Victim};
use berth_tests::disk::Luck;
use clap::ValueEnum;
use rustix::process::geteuid;

use crate::findings::Findings;

/// What begins, and how it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Beginning {
    /// A hub with a store of its own is killed.
    Founding,
    /// A hub on etcd is killed.
    FoundingOnEtcd,
    /// The power goes, and nothing is there that was not synced.
    PowerLost,
    /// The power goes, and of what was not synced the names are there and no content.
    PowerLostNamesKept,
    /// The power goes, and some of what was not synced is there.
    PowerLostSomeKept,
    /// The hub is killed while a cluster joins.
    JoiningHub,
    /// The agent is killed while its cluster joins.
    JoiningAgent,
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.to_possible_value()
                .as_ref()
                .map_or("", |value| value.get_name()),
        )
    }
}

/// One trial, written `founding:17`, or all of a kind, written `founding`.
#[derive(Clone, Copy, Debug)]
struct Trial {
    beginning: Beginning,
    point: Option<u64>,
}

impl FromStr for Trial {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not like founding:17");
        let (beginning, point) = match text.split_once(':') {
            Some((beginning, point)) => (beginning, Some(point.parse().with_context(wrong)?)),
            None => (text, None),
        };
        Ok(Self {
            beginning: Beginning::from_str(beginning, false).map_err(anyhow::Error::msg)?,
            point,
        })
    }
}

/// Makes all trials, or one, or `most` of each kind.
pub(crate) async fn run(seed: u64, most: Option<usize>, only: Option<&str>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let only: Option<Trial> = only.map(str::parse).transpose()?;
    for beginning in Beginning::value_variants() {
        let point = match only {
            Some(only) if only.beginning != *beginning => continue,
            Some(only) => only.point,
            None => None,
        };
        match begin(*beginning, seed, most, point).await {
            Err(error) => findings.violation(format!("{beginning}: {error:#}")),
            Ok(None) => findings.tried(format!(
                "{beginning}: skipped, mounting a disk that forgets needs root"
            )),
            Ok(Some(mut outcome)) => {
                findings.tried(format!("{beginning}: {outcome}"));
                findings.violations.append(&mut outcome.failures);
            }
        }
    }
    Ok(findings)
}

/// None where it cannot be tried.
async fn begin(
    beginning: Beginning,
    seed: u64,
    most: Option<usize>,
    point: Option<u64>,
) -> anyhow::Result<Option<Outcome>> {
    let name = beginning.to_string();
    let power = match beginning {
        Beginning::PowerLost => Some(Luck::None),
        Beginning::PowerLostNamesKept => Some(Luck::Names),
        Beginning::PowerLostSomeKept => Some(Luck::Some(seed)),
        _ => None,
    };
    if power.is_some() && !geteuid().is_root() {
        return Ok(None);
    }
    let victim = match beginning {
        Beginning::JoiningHub => Some(Victim::Hub),
        Beginning::JoiningAgent => Some(Victim::Agent),
        _ => None,
    };
    if let Some(victim) = victim {
        let mut door = Door::start().await?;
        let outcome = match point {
            None => door.matrix(victim, most, seed, &name).await?,
            Some(point) => door.once(victim, point, &name).await,
        };
        door.stop().await;
        return Ok(Some(outcome));
    }
    // Held until the trials are over.
    let etcd = match beginning {
        Beginning::FoundingOnEtcd => {
            let options = EtcdClusterOptions {
                members: 1,
                ..EtcdClusterOptions::default()
            };
            Some(EtcdCluster::start(&Binaries::find()?, &options).await?)
        }
        _ => None,
    };
    let mut ground = Ground::new(etcd.as_ref())?;
    Ok(Some(match point {
        None => ground.matrix(power, most, seed, &name).await?,
        Some(point) => ground.once(power, point, &name).await,
    }))
}
