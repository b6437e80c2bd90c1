//! The files of a store are damaged in many ways, and the real hub is started on each: it refuses and says what to do, or everything
//! acknowledged is there. Anything else is a silent loss, or a hub that leaves its operator alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use berth_proto::v1;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::api::{Api, of_tier};
use crate::hub::Hub;
use crate::programs::Programs;

const TENANTS: usize = 40;
/// What a hub exits with that only a person can help.
const REFUSED: i32 = 78;

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Damaged stores.
    pub tried: usize,
    /// The hub ended with the right code and said what to do.
    pub refused: usize,
    /// The hub served everything acknowledged.
    pub intact: usize,
    /// The hub served something else.
    pub silent: Vec<String>,
    /// The hub did neither.
    pub wrong: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} damaged stores tried: {} refused with the command that repairs, {} intact, {} silent losses, {} neither",
            self.tried,
            self.refused,
            self.intact,
            self.silent.len(),
            self.wrong.len()
        )
    }
}

/// Damages the store of a real hub so many times, each time anew.
///
/// # Errors
/// The hub does not start on what is whole, or files cannot be copied.
pub async fn corrupt(seed: u64, rounds: usize) -> anyhow::Result<Tally> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let directory = tempfile::tempdir().context("make a directory")?;
    let config = serde_json::json!({});
    let mut hub = Hub::start(&Programs::find()?, &directory.path().join("hub"), &config).await?;
    let expected = written(&mut hub, &mut random).await?;
    let whole = directory.path().join("whole");
    copy(&hub.data(), &whole)?;
    for round in 0..rounds {
        fs::remove_dir_all(hub.data()).context("remove the hub's directory")?;
        copy(&whole, &hub.data())?;
        let mut files = files(&hub.data().join("store"))?;
        let at = random.random_range(0..files.len());
        let what = damage(&files.swap_remove(at), &mut random)?;
        tally.tried += 1;
        match opened(&mut hub).await {
            Ok(None) => tally.refused += 1,
            Ok(Some(found)) if found == expected => tally.intact += 1,
            Ok(Some(found)) => tally.silent.push(format!(
                "round {round}, {what}: the hub serves {} tenants, {} were acknowledged",
                found.len(),
                expected.len()
            )),
            Err(error) => tally.wrong.push(format!("round {round}, {what}: {error:#}")),
        }
        hub.process().kill().await?;
    }
    Ok(tally)
}

/// Tenants by id, as the API tells them.
type Tenants = BTreeMap<String, (String, i64, Option<v1::TenantSpec>)>;

/// A hub with some history, over two runs; stopped. Returns what it had acknowledged.
async fn written(hub: &mut Hub, random: &mut StdRng) -> anyhow::Result<Tenants> {
    for run in 0..2 {
        let api = hub.api()?;
        for number in 0..TENANTS / 2 {
            let id = format!("written-{run}-{number}");
            api.create(&id, of_tier("standard")).await?;
            if random.random_bool(0.5) {
                let spec = v1::TenantSpec {
                    labels: [("changed".to_owned(), "yes".to_owned())].into(),
                    ..of_tier("standard")
                };
                api.update(&id, spec).await?;
            }
        }
        if run == 0 {
            hub.process().stop().await?;
            hub.start_again().await?;
        }
    }
    let known = tenants(&hub.api()?).await?;
    ensure!(
        known.len() == TENANTS / 2 * 2,
        "the hub has {} tenants",
        known.len()
    );
    hub.process().kill().await?;
    Ok(known)
}

async fn tenants(api: &Api) -> anyhow::Result<Tenants> {
    let all = api.list().await?.into_iter();
    Ok(all
        .map(|tenant| (tenant.name, (tenant.uid, tenant.generation, tenant.spec)))
        .collect())
}

/// Starts the hub: none when it has refused as it should, else what it serves.
async fn opened(hub: &mut Hub) -> anyhow::Result<Option<Tenants>> {
    let log = hub.log();
    if log.exists() {
        fs::remove_file(&log).context("remove the hub's log")?;
    }
    hub.launch(&[])?;
    let Some(status) = hub.settled().await? else {
        return tenants(&hub.api()?).await.map(Some);
    };
    let said = fs::read_to_string(&log).context("read the hub's log")?;
    ensure!(
        status.code() == Some(REFUSED),
        "it has ended with {status}: {said}"
    );
    ensure!(
        said.contains("berth store restore"),
        "it does not say what to do: {said}"
    );
    Ok(None)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("write {}", target.display()))?;
        }
    }
    Ok(())
}

/// The files of a store that hold something, in order.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if !path.ends_with("LOCK") && fs::metadata(&path)?.len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Damages one file in one of several ways and says how.
fn damage(path: &Path, random: &mut StdRng) -> anyhow::Result<String> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let at = random.random_range(0..bytes.len());
    let end = (at + random.random_range(1..5000)).min(bytes.len());
    let how = match random.random_range(0..7) {
        0 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        1 => {
            bytes.fill(0);
            "zeroed".to_owned()
        }
        2 => {
            bytes[at..end].fill(0);
            format!("zeroed from {at} to {end}")
        }
        3 => {
            let flips = random.random_range(1..20);
            for _ in 0..flips {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            format!("{flips} bits flipped")
        }
        4 => {
            random.fill(&mut bytes[at..end]);
            format!("noise from {at} to {end}")
        }
        5 => {
            fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
            return Ok(format!("{name} removed"));
        }
        _ => {
            bytes.clear();
            "emptied".to_owned()
        }
    };
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(format!("{name} {how}"))
}
