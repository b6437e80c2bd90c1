//! Hubs that start before their etcd answers, as where everything of a cluster is started at once.

use berth_tests::{
    hubs::Hubs,
    waiting::{LONG, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_waits_for_its_etcd_and_says_so_and_ends_when_told() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    let made = hubs.create("before").await.unwrap();
    for hub in &mut hubs.hubs {
        hub.process().stop().await.unwrap();
    }
    hubs.etcd.kill(0);
    for hub in &mut hubs.hubs {
        hub.launch(&[]).unwrap();
    }
    for hub in &hubs.hubs {
        until(LONG, "the hub says what it waits for", || async {
            let said = std::fs::read_to_string(hub.log())?;
            Ok(said.contains("etcd does not answer; trying again").then_some(()))
        })
        .await
        .unwrap();
    }
    // Told to end it ends, as one that serves does.
    let ended = hubs.hubs[1].process().stop().await.unwrap();
    assert!(ended.success(), "{ended}");
    hubs.etcd.restart(0).unwrap();
    hubs.hubs[0].ready().await.unwrap();
    assert_eq!(hubs.leader().await.unwrap(), 0);
    assert_eq!(hubs.tenant("before").await.unwrap().uid, made);
    hubs.hubs[1].start_again().await.unwrap();
    hubs.stop().await;
}
