//! A backup that the leading hub wrote by itself comes back into etcd, under several hubs.

use std::collections::BTreeMap;

use anyhow::Context as _;
use berth_fake::control_plane::EtcdClusterOptions;
use berth_tests::{
    api::of_tier,
    cli::Cli,
    etcd_records,
    hubs::{Hubs, HubsOptions},
    kubernetes,
    waiting::{LONG, until},
};
use serde_json::{Value, json};

use super::{of, stands, untouched};

/// The chains of backups in a place, the newest last.
async fn chains(cli: &Cli, place: &str) -> anyhow::Result<Vec<Value>> {
    let called = cli
        .fine(&["store", "verify", "--from", place, "-o", "json"])
        .await?;
    let found: Value = serde_json::from_str(&called.out)?;
    Ok(found["backups"].as_array().context("a list")?.clone())
}

/// Waits until the newest chain has come to the revision the leading hub's store has; that revision.
async fn backed_up(hubs: &Hubs, cli: &Cli, place: &str) -> anyhow::Result<u64> {
    let leader = hubs.leader().await?;
    let now = hubs.hubs[leader].api()?.hub().await?.store_revision;
    until(LONG, "the backup has everything", || async {
        let chains = chains(cli, place).await?;
        let reached = chains.last().and_then(|chain| chain["lastRevision"].as_u64());
        Ok((reached >= Some(now)).then_some(()))
    })
    .await?;
    Ok(now)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_etcd_is_observed_by_whichever_hub_leads_until_one_is_let_take_command() {
    let safe = tempfile::tempdir().unwrap();
    let place = safe.path().display().to_string();
    let mut hubs = Hubs::start_as(&HubsOptions {
        etcd: EtcdClusterOptions {
            arguments: vec![etcd_records::ARGUMENT.to_owned()],
            ..EtcdClusterOptions::default()
        },
        config: json!({"backup": {"to": place, "intervalSeconds": 1}}),
        ..HubsOptions::default()
    })
    .await
    .unwrap();
    hubs.join().await.unwrap();
    let kube = hubs.kube().unwrap();
    for id in ["same", "changed", "removed"] {
        hubs.create(id).await.unwrap();
    }
    for id in ["same", "changed", "removed"] {
        hubs.ready(id).await.unwrap();
    }
    let cli = Cli::new(&hubs.programs, &hubs.hubs[0].context());
    let at = backed_up(&hubs, &cli, &place).await.unwrap().to_string();
    // What happens after that moment is taken back.
    let api = hubs.hubs[hubs.leader().await.unwrap()].api().unwrap();
    let mut larger = of_tier("free");
    larger.size = "small".to_owned();
    api.update("changed", larger).await.unwrap();
    api.ready("changed").await.unwrap();
    api.remove("removed").await.unwrap();
    hubs.create("later").await.unwrap();
    hubs.ready("later").await.unwrap();
    backed_up(&hubs, &cli, &place).await.unwrap();
    let known = api.hub().await.unwrap().term;
    // Offline commands look while hubs go on.
    let (now, file) = (hubs.store("berth-test"), safe.path().join("now.berth"));
    let file = file.display().to_string();
    for asked in [&["backup", "--to", &file][..], &["verify"]] {
        cli.fine(&[&["store"][..], asked, &["--store", &now]].concat())
            .await
            .unwrap();
    }
    for hub in &mut hubs.hubs {
        hub.process().stop().await.unwrap();
    }
    let before = untouched(&kube).await.unwrap();
    let first_chain = chains(&cli, &place).await.unwrap().pop().unwrap();

    let restored = hubs.store("restored");
    cli.fine(&[
        "store", "restore", "--store", &restored, "--from", &place, "--at", &at,
    ])
    .await
    .unwrap();
    let again = cli
        .call(&["store", "restore", "--store", &restored, "--from", &place])
        .await
        .unwrap();
    assert_eq!(again.code, 5, "{again:?}");
    assert!(again.err.contains("another prefix"), "{again:?}");
    for hub in &mut hubs.hubs {
        hub.with_arguments(vec![format!("--store={restored}")]);
        hub.start_again().await.unwrap();
    }

    let expected: BTreeMap<String, String> =
        [("changed", "Newer"), ("removed", "Missing"), ("later", "Unknown")]
            .map(|(tenant, kind)| (tenant.to_owned(), kind.to_owned()))
            .into();
    let mut leader = hubs.leader().await.unwrap();
    // Twice: also whoever follows a leader that died before it was let.
    for round in 0..2 {
        if round == 1 {
            hubs.hubs[leader].process().kill().await.unwrap();
            let next = hubs.leader_but(Some(leader)).await.unwrap();
            hubs.hubs[leader].start_again().await.unwrap();
            leader = next;
        }
        stands(&hubs, leader, "observing").await.unwrap();
        let cli = Cli::new(&hubs.programs, &hubs.hubs[leader].context());
        until(LONG, "the difference is known", || async {
            Ok((cli.difference().await? == (expected.clone(), 1)).then_some(()))
        })
        .await
        .with_context(|| hubs.logs())
        .unwrap();
        assert_eq!(untouched(&kube).await.unwrap(), before, "observed by {leader}");
    }
    let cli = Cli::new(&hubs.programs, &hubs.hubs[leader].context());
    cli.fine(&["fleet", "take-command", "--yes", "--reason", "test"])
        .await
        .unwrap();
    hubs.hubs[leader].process().kill().await.unwrap();
    let next = hubs.leader_but(Some(leader)).await.unwrap();
    let acting = stands(&hubs, next, "acting").await.unwrap();
    assert!(
        acting.term > known && acting.term >= acting.highest_term,
        "{} after {known}, agents know {}",
        acting.term,
        acting.highest_term
    );
    hubs.hubs[leader].start_again().await.unwrap();
    for id in ["same", "changed", "removed"] {
        hubs.ready(id).await.unwrap();
    }
    let after = untouched(&kube).await.unwrap();
    assert_eq!(of(&after, "same"), of(&before, "same"));
    assert_eq!(of(&after, "later"), of(&before, "later"));
    assert_ne!(of(&after, "changed"), of(&before, "changed"));
    assert!(kubernetes::namespace(&kube, "t-removed").await.unwrap().is_some());

    // The backup goes on in the same place, as another store's: what was taken back is not in it.
    let cli = Cli::new(&hubs.programs, &hubs.hubs[next].context());
    backed_up(&hubs, &cli, &place).await.unwrap();
    let newest = chains(&cli, &place).await.unwrap().pop().unwrap();
    assert_ne!(newest["incarnation"], first_chain["incarnation"], "{newest}");
    let twice = hubs.store("twice");
    cli.fine(&["store", "restore", "--store", &twice, "--from", &place])
        .await
        .unwrap();
    let kept = etcd_records::get(&hubs.etcd, "/twice/data/tenants/same").await;
    assert!(kept.is_ok(), "{kept:?}");
    let taken_back = etcd_records::get(&hubs.etcd, "/twice/data/tenants/later").await;
    assert!(taken_back.is_err(), "the backup still has what was taken back");
    hubs.stop().await;
}
