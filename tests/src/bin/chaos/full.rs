//! The disk of a hub's store fills up: changes are refused, everything else goes on, and so do changes once there is room.
//!
//! Runs in a mount namespace of its own, in which the store's directory is a small disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use berth_fake::cloud::Machine;
use berth_tests::api::{evidence, of_tier};
use berth_tests::kubernetes;
use berth_tests::waiting::{LONG, until};
use berth_tests::world::{World, WorldOptions};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::DeleteParams;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::process::Command;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::findings::Findings;

const CLUSTER: &str = "shared-1";
/// A hub keeps 32 MiB in reserve.
const DISK: &str = "size=48m";

pub(crate) async fn run(seed: u64) -> anyhow::Result<Findings> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut findings = Findings::default();
    let options = WorldOptions {
        clusters: vec![CLUSTER.to_owned()],
        machine: Machine::default(),
    };
    let mut world = World::start(&options).await?;
    let store = world.hub.data().join("store");
    on_a_small_disk(&mut world, &store).await?;
    let mut known = Vec::new();
    for round in 0..3 {
        let outcome = fills_up(&world, &store, round, random.random_range(0..8), &mut known).await;
        findings.check(outcome.with_context(|| format!("round {round}\n{}", world.logs())));
    }
    // What was acknowledged around a full disk is on it.
    world.hub.process().kill().await?;
    world.hub.start_again().await?;
    let api = world.api()?;
    for (id, uid) in &known {
        match api.tenant(id).await {
            Ok(tenant) if tenant.uid == *uid => {}
            other => findings.violation(format!("tenant {id} was acknowledged as {uid}: {other:?}")),
        }
    }
    findings.tried(format!(
        "the disk was filled 3 times; changes were refused with STORE_FULL, reads and the agent went on, changes went on by themselves without a restart; {} acknowledged tenants all there after kill -9",
        known.len()
    ));
    world.stop().await;
    Ok(findings)
}

/// Puts the store of the hub onto a disk of its own.
async fn on_a_small_disk(world: &mut World, store: &Path) -> anyhow::Result<()> {
    world.hub.process().stop().await?;
    let beside = store.with_extension("beside");
    fs::rename(store, &beside).context("move the store")?;
    fs::create_dir(store).context("make the store's directory")?;
    for mut command in [
        command("mount", &["-t", "tmpfs", "-o", DISK, "tmpfs"], &[store]),
        command("cp", &["-a"], &[&beside.join("."), store]),
    ] {
        let status = command.status().await.context("move the store")?;
        ensure!(status.success(), "{command:?}: {status}");
    }
    world.hub.start_again().await?;
    world.api()?.connected(CLUSTER).await?;
    Ok(())
}

fn command(program: &str, words: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(program);
    command.args(words).args(paths);
    command
}

async fn fills_up(
    world: &World,
    store: &Path,
    round: usize,
    before: usize,
    known: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    let witness = format!("full-{round}");
    for number in 0..before {
        let made = api
            .create(&format!("full-{round}-{number}"), of_tier("free"))
            .await?;
        known.push((made.name.trim_start_matches("tenants/").to_owned(), made.uid));
    }
    let made = api.create(&witness, of_tier("free")).await?;
    known.push((witness.clone(), made.uid));
    api.ready(&witness).await?;

    let ballast = fill(store)?;
    // The first write that finds no room is refused; one that was under way may still be taken.
    let refused = until(LONG, "changes are refused", || async {
        match api.create(&format!("refused-{round}"), of_tier("free")).await {
            Err(status) if status.code() != Code::AlreadyExists => Ok(Some(status)),
            _ => bail!("it is taken"),
        }
    })
    .await?;
    ensure!(refused.code() == Code::ResourceExhausted, "{refused:?}");
    let reason = refused.get_details_error_info().map(|info| info.reason);
    ensure!(reason.as_deref() == Some("STORE_FULL"), "{refused:?}");
    let refused = api.delete(&witness).await;
    ensure!(
        refused.as_ref().err().map(tonic::Status::code) == Some(Code::ResourceExhausted),
        "deleting on a full disk: {refused:?}"
    );
    // Reading goes on, and evidence stays fresh: the agent is heard.
    ensure!(api.list().await?.len() >= known.len());
    let seen = evidence(&api.tenant(&witness).await?);
    until(LONG, "there is newer evidence", || async {
        Ok((evidence(&api.tenant(&witness).await?) > seen).then_some(()))
    })
    .await?;
    // So does the agent: what is taken away comes back.
    let quotas = Api::<ResourceQuota>::namespaced(kube.clone(), &format!("t-{witness}"));
    let name = kubernetes::names(&quotas, "").await?.pop().context("no quota")?;
    quotas.delete(&name, &DeleteParams::default()).await?;
    kubernetes::appears(&quotas, &name).await?;

    fs::remove_file(&ballast).context("make room")?;
    let after = format!("after-{round}");
    let made = until(LONG, "changes go on by themselves", || async {
        match api.create(&after, of_tier("free")).await {
            Ok(made) => Ok(Some(made)),
            Err(status) if status.code() == Code::AlreadyExists => Ok(Some(api.tenant(&after).await?)),
            Err(status) => Err(status.into()),
        }
    })
    .await?;
    known.push((after.clone(), made.uid));
    for (id, _) in known.iter() {
        api.ready(id).await?;
    }
    Ok(())
}

/// Takes all the room there is.
fn fill(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("ballast");
    let mut file = File::create(&path).context("make the ballast")?;
    let chunk = vec![1; 4096];
    while file.write_all(&chunk).is_ok() {}
    Ok(path)
}
