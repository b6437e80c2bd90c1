//! The very first start of a hub: it dies at one of its steps, is started again on what it left, and is whole.
//!
//! On a [`Disk`] the power goes with it, so that it is started on what was synced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use berth_fake::control_plane::EtcdCluster;
use berth_identity::audit::{Body, Trust, newest_first, verify_dir};
use berth_proto::v1::ListTiersRequest;
use serde_json::json;

use super::points::{self, Point};
use super::{Outcome, chosen, killed};
use crate::disk::{Disk, Luck};
use crate::hub::{Host, Hub};
use crate::programs::Programs;
use crate::waiting::{LONG, until};

/// What a new fleet sells.
const TIERS: [&str; 4] = ["enterprise", "free", "premium", "standard"];

/// Where hubs are founded.
#[derive(Debug)]
pub struct Ground {
    programs: Programs,
    /// Where an etcd listens, `HOST:PORT`; with none hubs have a store of their own.
    etcd: Option<String>,
    directory: tempfile::TempDir,
    founded: u64,
}

/// What tells a fleet from others, as seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    fleet: String,
    authority: String,
    context: String,
    tiers: BTreeSet<(String, String)>,
}

impl Ground {
    /// An empty one.
    ///
    /// # Errors
    /// The programs are not there.
    pub fn new(etcd: Option<&EtcdCluster>) -> anyhow::Result<Self> {
        let host = |url: &String| url.split("://").last().unwrap_or_default().to_owned();
        Ok(Self {
            programs: Programs::find()?,
            etcd: etcd.and_then(|etcd| etcd.client_urls().first().map(host)),
            directory: tempfile::tempdir().context("make a directory")?,
            founded: 0,
        })
    }

    /// Founds a hub that dies at a point, or at none. The points that it came to.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn found(&mut self, die_at: Option<u64>, power: Option<Luck>) -> anyhow::Result<Vec<Point>> {
        self.founded += 1;
        let own = self.directory.path().join(self.founded.to_string());
        let home = own.join("hub");
        std::fs::create_dir_all(&home).context("make a directory")?;
        let disk = match power {
            Some(luck) => {
                let data = home.join("data");
                std::fs::create_dir(&data).context("make a directory")?;
                Some((Disk::mount(&data)?, luck))
            }
            None => None,
        };
        let log = own.join("points");
        let mut hub = self.begin(&home, &points::environment(&log, die_at))?;
        let lived = lived(&mut hub, die_at, disk.as_ref()).await;
        let passed = points::read(&log)?;
        let at = die_at.and_then(|number| passed.iter().find(|point| point.number == number));
        let at = at.map_or_else(|| "nowhere".to_owned(), ToString::to_string);
        lived.with_context(|| {
            let files = files(&hub.data()).unwrap_or_default();
            format!("the hub died at {at}, has {files:?}\n{}", hub.log_end(40))
        })?;
        hub.process().kill().await?;
        drop(hub);
        drop(disk);
        std::fs::remove_dir_all(&own).context("remove what a trial left")?;
        Ok(passed)
    }

    /// Founds hubs that die at every point, or at `most` of them as the seed says.
    ///
    /// # Errors
    /// Something is not as it must be although nobody has died, or the programs have no points.
    pub async fn matrix(
        &mut self,
        power: Option<Luck>,
        most: Option<usize>,
        seed: u64,
        name: &str,
    ) -> anyhow::Result<Outcome> {
        let points = self.found(None, power).await?;
        let mut outcome = Outcome::of(&points)?;
        for point in chosen(&points, most, seed) {
            self.attempt(power, point, name, &mut outcome).await;
        }
        Ok(outcome)
    }

    /// Founds one hub that dies at a point.
    pub async fn once(&mut self, power: Option<Luck>, point: u64, name: &str) -> Outcome {
        let mut outcome = Outcome::default();
        self.attempt(power, point, name, &mut outcome).await;
        outcome
    }

    async fn attempt(&mut self, power: Option<Luck>, point: u64, name: &str, outcome: &mut Outcome) {
        let died = self.found(Some(point), power).await;
        let died = died.map(|passed| passed.into_iter().find(|passed| passed.number == point));
        outcome.take(&format!("{name}:{point}"), "beginnings", died);
    }

    fn begin(&self, home: &Path, environment: &[(String, String)]) -> anyhow::Result<Hub> {
        let store = self
            .etcd
            .iter()
            .map(|host| format!("--store=etcd://{host}/founding-{}", self.founded));
        let config = json!({"etcd": {"leaseSeconds": 2, "requestTimeoutSeconds": 2.0}});
        Hub::begin(
            &self.programs,
            home,
            &config,
            store.collect(),
            Host::default(),
            environment,
        )
    }
}

/// Waits until the hub has died or is whole, and starts it again, and again.
async fn lived(hub: &mut Hub, die_at: Option<u64>, disk: Option<&(Disk, Luck)>) -> anyhow::Result<()> {
    match (hub.settled().await?, die_at) {
        (Some(status), Some(_)) => killed(status)?,
        (Some(status), None) => bail!("it has ended by itself: {status}"),
        // It came to be whole before it came to its point.
        (None, _) => hub.process().kill().await?,
    }
    let key = hub.data().join("ca/ca.key");
    if let Some((disk, luck)) = disk {
        disk.lose_power(*luck);
    }
    let authority = std::fs::read(&key).ok();
    hub.start_again().await.context("start it again")?;
    let first = seen(hub).await?;
    if let Some(authority) = authority {
        ensure!(
            std::fs::read(&key).ok() == Some(authority),
            "it has another authority than when it died"
        );
    }
    audit_is_whole(&hub.data())?;
    let left: Vec<_> = files(&hub.data())?
        .into_iter()
        // The audit log is being written.
        .filter(|path| !path.starts_with(hub.data().join("audit")))
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "new" || end == "unused")
        })
        .collect();
    ensure!(left.is_empty(), "it has left {left:?}");

    // What it is now it stays, whatever happens.
    hub.process().kill().await?;
    if let Some((disk, luck)) = disk {
        disk.lose_power(*luck);
    }
    hub.start_again().await.context("start it a third time")?;
    let second = seen(hub).await?;
    ensure!(first == second, "it was {first:?} and is {second:?}");
    audit_is_whole(&hub.data())
}

/// What there is of a hub whose context file works.
async fn seen(hub: &Hub) -> anyhow::Result<Seen> {
    let api = hub.api().context("use admin.yaml")?;
    // On etcd it leads when the lease of the one that died has ended.
    let is = until(LONG, "it leads", || async {
        let is = api.hub().await.context("ask by admin.yaml")?;
        Ok((is.role == "leading").then_some(is))
    })
    .await?;
    let tiers = api.tiers().list_tiers(ListTiersRequest::default()).await?;
    let tiers: BTreeSet<(String, String)> = tiers
        .into_inner()
        .tiers
        .into_iter()
        .map(|tier| (tier.name, tier.uid))
        .collect();
    let names: Vec<&str> = tiers
        .iter()
        .map(|(name, _)| name.trim_start_matches("tiers/"))
        .collect();
    ensure!(names == TIERS, "it has the tiers {names:?}");
    // A write, too.
    api.token("eu-1").await.context("make a join token")?;
    let data = hub.data();
    Ok(Seen {
        fleet: is.fleet,
        authority: std::fs::read_to_string(data.join("ca/ca.crt")).context("read ca.crt")?,
        context: std::fs::read_to_string(hub.context()).context("read admin.yaml")?,
        tiers,
    })
}

/// Nobody has changed the log, and no start of the hub said that somebody had.
fn audit_is_whole(data: &Path) -> anyhow::Result<()> {
    let dir = data.join("audit");
    let report = verify_dir(&dir, &Trust::default()).context("verify the audit log")?;
    // While a hub runs, or after its power went, the head is behind.
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    ensure!(findings.is_empty(), "the audit log: {findings:?}");
    let mut said = Vec::new();
    newest_first(&dir, u64::MAX, |numbered| {
        if let Body::Event(event) = &numbered.line.body
            && event.call == "Start"
            && !event.reason.is_empty()
        {
            said.push(event.reason.clone());
        }
        true
    })?;
    ensure!(said.is_empty(), "the audit log accuses somebody: {said:?}");
    Ok(())
}

/// All files below a directory.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
