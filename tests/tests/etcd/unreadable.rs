//! Records in etcd that somebody has overwritten: whoever leads goes on with what it knew, nobody starts with them, and nothing is touched.

use anyhow::ensure;
use berth_fake::control_plane::EtcdClusterOptions;
use berth_tests::{
    cli::Cli,
    etcd_records::{self, get, put},
    hubs::{Hubs, HubsOptions},
    waiting::{LONG, until},
};
use tonic::Code;

use super::{stands, untouched};

async fn hubs() -> anyhow::Result<Hubs> {
    Hubs::start_as(&HubsOptions {
        etcd: EtcdClusterOptions {
            arguments: vec![etcd_records::ARGUMENT.to_owned()],
            ..EtcdClusterOptions::default()
        },
        ..HubsOptions::default()
    })
    .await
}

/// Waits until a hub has ended with 78, having said all of `words`.
async fn ends_with_78(hubs: &mut Hubs, hub: usize, words: &[&str]) -> anyhow::Result<()> {
    let ended = hubs.hubs[hub].process().ended(LONG).await?;
    let log = hubs.hubs[hub].log_end(30);
    ensure!(ended.code() == Some(78), "{ended}: {log}");
    for word in words {
        ensure!(log.contains(word), "{word}: {log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_with_what_it_knew_and_no_hub_starts_with_what_it_cannot_read() {
    let mut hubs = hubs().await.unwrap();
    hubs.join().await.unwrap();
    for id in ["kept", "gone"] {
        hubs.create(id).await.unwrap();
        hubs.ready(id).await.unwrap();
    }
    let kube = hubs.kube().unwrap();
    let leader = hubs.leader().await.unwrap();
    let follower = 1 - leader;
    let key = "/berth-test/data/placements/kept";
    let good = get(&hubs.etcd, key).await.unwrap();
    put(&hubs.etcd, key, b"\xff\xffgarbage").await.unwrap();
    let api = hubs.hubs[leader].api().unwrap();
    until(LONG, "the hub says so", || async {
        let hub = api.hub().await?;
        Ok((hub.standing == "acting" && hub.message.contains("placements/kept")).then_some(()))
    })
    .await
    .unwrap();
    let metrics = hubs.hubs[leader].metrics().await.unwrap();
    assert!(metrics.contains("berth_hub_unreadable_records 1"), "{metrics}");
    // Everything else goes on, and what the record stands for stays where it is.
    hubs.create("made").await.unwrap();
    hubs.ready("made").await.unwrap();
    api.remove("gone").await.unwrap();
    hubs.ready("kept").await.unwrap();
    let before = untouched(&kube).await.unwrap();
    assert!(before.contains_key("t-kept") && before.contains_key("t-made"));

    let store = hubs.store("berth-test");
    let words = [
        "placements/kept",
        "berth store verify",
        "berth store restore",
        &*store,
    ];
    hubs.hubs[leader].process().kill().await.unwrap();
    ends_with_78(&mut hubs, follower, &words).await.unwrap();
    hubs.hubs[leader].launch(&[]).unwrap();
    ends_with_78(&mut hubs, leader, &words).await.unwrap();
    let cli = Cli::new(&hubs.programs, &hubs.hubs[leader].context());
    let verified = cli.call(&["store", "verify", "--store", &store]).await.unwrap();
    assert_eq!(verified.code, 78, "{verified:?}");
    assert!(verified.err.contains("placements/kept"), "{verified:?}");
    assert_eq!(
        untouched(&kube).await.unwrap(),
        before,
        "a hub that ended has changed something"
    );

    put(&hubs.etcd, key, &good).await.unwrap();
    // Conditions follow from everything else: nobody stops at those.
    put(&hubs.etcd, "/berth-test/data/status/kept", b"\xff\xffgarbage")
        .await
        .unwrap();
    for hub in &mut hubs.hubs {
        hub.start_again().await.unwrap();
    }
    for id in ["kept", "made"] {
        hubs.ready(id).await.unwrap();
    }
    assert_eq!(untouched(&kube).await.unwrap(), before);
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_readable_record_of_the_fleet_or_with_a_newer_schema_every_hub_ends_with_78() {
    let mut hubs = hubs().await.unwrap();
    let leader = hubs.leader().await.unwrap();
    hubs.create("kept").await.unwrap();
    // A list that left one out would be worse than none.
    let key = "/berth-test/data/tenants/kept";
    let good = get(&hubs.etcd, key).await.unwrap();
    put(&hubs.etcd, key, b"\xff\xffgarbage").await.unwrap();
    let refused = hubs.hubs[leader].api().unwrap().list().await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");
    assert!(refused.message().contains("tenants/kept"), "{refused}");
    put(&hubs.etcd, key, &good).await.unwrap();
    hubs.hubs[leader].api().unwrap().list().await.unwrap();

    let key = "/berth-test/data/fleet";
    let good = get(&hubs.etcd, key).await.unwrap();
    put(&hubs.etcd, key, b"\xff\xffgarbage").await.unwrap();
    let words = [
        "the record fleet in the store cannot be read",
        "berth store verify",
    ];
    for hub in [leader, 1 - leader] {
        ends_with_78(&mut hubs, hub, &words).await.unwrap();
    }
    put(&hubs.etcd, key, &good).await.unwrap();
    for hub in &mut hubs.hubs {
        hub.start_again().await.unwrap();
    }
    let leader = hubs.leader().await.unwrap();
    stands(&hubs, leader, "acting").await.unwrap();

    // A newer hub has written there, as in a rolling update: who leads leads on, and nobody of before follows it.
    put(&hubs.etcd, "/berth-test/schema", b"3").await.unwrap();
    hubs.create("made").await.unwrap();
    hubs.hubs[leader].process().kill().await.unwrap();
    let words = ["the store has schema 3", "start the version that wrote it"];
    ends_with_78(&mut hubs, 1 - leader, &words).await.unwrap();
    hubs.hubs[leader].launch(&[]).unwrap();
    ends_with_78(&mut hubs, leader, &words).await.unwrap();
    hubs.stop().await;
}
