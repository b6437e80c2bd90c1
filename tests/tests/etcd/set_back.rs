//! The etcd under the hubs is put back by its operator: by a copy of its data, by a snapshot as etcd's documentation has it, and with
//! revisions raised. Hubs find it out, also those that were there before, and touch nothing until one is let.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use berth_fake::control_plane::{Binaries, EtcdClusterOptions};
use berth_proto::v1;
use berth_tests::{
    api::of_tier,
    cli::Cli,
    etcd_records,
    hubs::{CLUSTER, Hubs, HubsOptions},
    waiting::{LONG, until},
};
use tonic::Code;

use super::{of, stands, untouched};

/// How etcd is put back.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Its data directories, copied while it was stopped.
    Directory,
    /// A snapshot, restored with these arguments.
    Snapshot(&'static [&'static str]),
}

/// As etcd's documentation recommends, so that those who watch notice.
const RAISED: Way = Way::Snapshot(&["--bump-revision=1000000000", "--mark-compacted"]);

/// What the hubs do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// They are stopped: only agents know what was.
    Stopped,
    /// They run.
    Running,
}

async fn start(members: usize) -> anyhow::Result<Hubs> {
    let mut hubs = Hubs::start_as(&HubsOptions {
        lease: 4,
        etcd: EtcdClusterOptions {
            members,
            arguments: vec![etcd_records::ARGUMENT.to_owned()],
            ..EtcdClusterOptions::default()
        },
        ..HubsOptions::default()
    })
    .await?;
    hubs.join().await?;
    Ok(hubs)
}

/// The hub that leads, once it knows that its store was set back.
async fn found_out(hubs: &Hubs) -> anyhow::Result<(usize, v1::Hub)> {
    until(LONG, "whoever leads knows that etcd was put back", || async {
        let leader = hubs.leader().await?;
        let hub = hubs.hubs[leader].api()?.hub().await?;
        ensure!(
            hub.standing == "set-back",
            "it is {}: {}",
            hub.standing,
            hub.message
        );
        Ok(Some((leader, hub)))
    })
    .await
    .with_context(|| hubs.logs())
}

/// Puts etcd back behind the hubs' back and sees to it that nothing comes of it before an operator says so. `round` tells the tenants
/// from those of earlier rounds.
async fn put_back(hubs: &mut Hubs, round: usize, way: Way, meanwhile: Meanwhile) -> anyhow::Result<()> {
    let named = |name: &str| format!("{name}-{round}");
    let kube = hubs.kube()?;
    let mut uids = BTreeMap::new();
    for id in ["same", "changed", "removed"].map(named) {
        uids.insert(id.clone(), hubs.create(&id).await?);
    }
    for id in uids.keys() {
        hubs.ready(id).await?;
    }
    let safe = hubs.directory(&named("safe"))?;
    match way {
        Way::Directory => {
            hubs.etcd.kill_all();
            hubs.etcd.copy_data(&safe)?;
            hubs.etcd.start_all().await?;
        }
        Way::Snapshot(_) => etcd_records::save(&hubs.etcd, &safe.join("snapshot.db")).await?,
    }
    let leader = hubs.leader().await?;
    let api = hubs.hubs[leader].api()?;
    api.connected(CLUSTER).await?;
    let mut larger = of_tier("free");
    larger.size = "small".to_owned();
    api.update(&named("changed"), larger).await?;
    api.ready(&named("changed")).await?;
    api.remove(&named("removed")).await?;
    hubs.create(&named("later")).await?;
    hubs.ready(&named("later")).await?;
    api.told_again(CLUSTER).await?;

    if meanwhile == Meanwhile::Stopped {
        for hub in &mut hubs.hubs {
            hub.process().stop().await?;
        }
    }
    hubs.etcd.kill_all();
    let before = untouched(&kube).await?;
    match way {
        Way::Directory => hubs.etcd.put_data_back(&safe)?,
        Way::Snapshot(arguments) => {
            let snapshot = safe.join("snapshot.db");
            hubs.etcd
                .restore_snapshot(&Binaries::find()?, &snapshot, arguments)
                .await?;
        }
    }
    hubs.etcd.start_all().await?;
    if meanwhile == Meanwhile::Stopped {
        for hub in &mut hubs.hubs {
            hub.start_again().await?;
        }
    }

    let (leader, found) = found_out(hubs).await?;
    println!("round {round}, {way:?}, hubs {meanwhile:?}: {}", found.message);
    let by_itself = meanwhile == Meanwhile::Running && found.message.contains("this hub has led before");
    ensure!(
        by_itself || found.message.contains(&format!("cluster {CLUSTER} was told")),
        "{found:?}"
    );
    let refused = hubs
        .ask(|api| async move { api.create("refused", of_tier("free")).await })
        .await?;
    let refused = refused.err().context("a change was taken")?;
    ensure!(refused.code() == Code::FailedPrecondition, "{refused}");
    ensure!(
        berth_wire::status::reason(&refused).as_deref() == Some("SET_BACK"),
        "{refused}"
    );
    differs(hubs, leader, round).await?;
    ensure!(untouched(&kube).await? == before, "found out, and touched");

    // Whoever follows knows from its start.
    hubs.hubs[leader].process().kill().await?;
    let next = hubs.leader_but(Some(leader)).await?;
    hubs.hubs[leader].start_again().await?;
    let source = stands(hubs, next, "observing")
        .await?
        .restored
        .unwrap_or_default()
        .source;
    ensure!(source.contains("set back"), "{source}");
    differs(hubs, next, round).await?;
    ensure!(untouched(&kube).await? == before, "observed, and touched");

    let cli = Cli::new(&hubs.programs, &hubs.hubs[next].context());
    cli.fine(&["fleet", "take-command", "--yes", "--reason", "test"])
        .await?;
    stands(hubs, next, "acting").await?;
    for (id, uid) in &uids {
        hubs.ready(id).await?;
        ensure!(hubs.tenant(id).await?.uid == *uid, "{id} is another tenant");
    }
    let after = untouched(&kube).await?;
    for alone in ["same", "later"].map(named) {
        ensure!(of(&after, &alone) == of(&before, &alone), "{alone} was touched");
    }
    let changed = named("changed");
    ensure!(
        of(&after, &changed) != of(&before, &changed),
        "{changed} is not put back"
    );
    ensure!(
        !of(&after, &named("removed")).is_empty(),
        "who is in the snapshot is back"
    );
    Ok(())
}

/// Waits until the difference between store and clusters is what happened after the moment that etcd was put back to, and what earlier
/// rounds have left.
async fn differs(hubs: &Hubs, leader: usize, round: usize) -> anyhow::Result<()> {
    let now = [("changed", "Newer"), ("removed", "Missing"), ("later", "Unknown")];
    let now = now.map(|(name, kind)| (format!("{name}-{round}"), kind.to_owned()));
    let earlier = (0..round).map(|round| (format!("later-{round}"), "Unknown".to_owned()));
    let expected: BTreeMap<String, String> = now.into_iter().chain(earlier).collect();
    let equal = i64::try_from(3 * round + 1)?;
    let cli = Cli::new(&hubs.programs, &hubs.hubs[leader].context());
    until(LONG, "the difference is known", || async {
        let found = cli.difference().await?;
        ensure!(found == (expected.clone(), equal), "it is {found:?}");
        Ok(Some(()))
    })
    .await
    .with_context(|| hubs.logs())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_put_back_is_found_out_and_touches_nothing_until_a_hub_is_let_take_command() {
    let mut hubs = start(1).await.unwrap();
    let ways = [
        (Way::Directory, Meanwhile::Stopped),
        (Way::Snapshot(&[]), Meanwhile::Running),
    ];
    for (round, (way, meanwhile)) in ways.into_iter().enumerate() {
        put_back(&mut hubs, round, way, meanwhile).await.unwrap();
    }
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_of_three_that_is_put_back_with_its_revisions_raised_is_found_out_too() {
    let mut hubs = start(3).await.unwrap();
    for (round, meanwhile) in [Meanwhile::Stopped, Meanwhile::Running].into_iter().enumerate() {
        put_back(&mut hubs, round, RAISED, meanwhile).await.unwrap();
    }
    hubs.stop().await;
}
