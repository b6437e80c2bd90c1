//! Several hubs on one etcd: one leads, the others wait; whatever happens to the leader, nothing acknowledged is lost and nothing is
//! done by two.

#[path = "hubs/command_line.rs"]
mod command_line;
#[path = "hubs/history.rs"]
mod history;

use std::collections::BTreeMap;

use anyhow::ensure;
use berth_model::label;
use berth_tests::{
    api::of_tier,
    cli::Cli,
    hubs::{CLUSTER, Hubs},
    kubernetes,
    waiting::{LONG, until},
};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_followed_by_another_hub_and_nothing_acknowledged_is_lost() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    hubs.join().await.unwrap();
    let mut uids = BTreeMap::new();
    let mut terms = Vec::new();
    for round in 0..3 {
        for number in 0..3 {
            let id = format!("kept-{round}-{number}");
            uids.insert(id.clone(), hubs.create(&id).await.unwrap());
        }
        let leader = hubs.leader().await.unwrap();
        terms.push(hubs.hubs[leader].api().unwrap().hub().await.unwrap().term);
        hubs.hubs[leader].process().kill().await.unwrap();
        let id = format!("kept-{round}-after");
        uids.insert(id.clone(), hubs.create(&id).await.unwrap());
        // A hub that follows is ready.
        hubs.hubs[leader].start_again().await.unwrap();
    }
    for (id, uid) in &uids {
        hubs.ready(id).await.unwrap();
        let kube = hubs.kube().unwrap();
        let namespace = kubernetes::namespace(&kube, &format!("t-{id}"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            namespace
                .metadata
                .labels
                .unwrap_or_default()
                .get(label::TENANT_UID),
            Some(uid),
            "{id}"
        );
    }
    assert!(terms.windows(2).all(|pair| pair[0] < pair[1]), "{terms:?}");
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_past_its_lease_neither_writes_nor_commands() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    hubs.join().await.unwrap();
    hubs.create("before").await.unwrap();
    hubs.ready("before").await.unwrap();
    let old = hubs.leader().await.unwrap();
    let old_api = hubs.hubs[old].api().unwrap();
    let old_term = old_api.hub().await.unwrap().term;
    hubs.hubs[old].process().pause().unwrap();
    // Waits in the paused hub's socket, and is read the moment it goes on.
    let late = tokio::spawn({
        let api = old_api.clone();
        async move { api.create("late", of_tier("free")).await }
    });
    let new = hubs.leader_but(Some(old)).await.unwrap();
    let new_api = hubs.hubs[new].api().unwrap();
    new_api.create("meanwhile", of_tier("free")).await.unwrap();
    new_api.ready("meanwhile").await.unwrap();
    hubs.hubs[old].process().resume().unwrap();
    let refused = late.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(new_api.tenant("late").await.unwrap_err().code(), Code::NotFound);
    let after = old_api.hub().await.unwrap();
    assert_eq!(
        (after.role.as_str(), after.leader),
        ("following", hubs.hubs[new].api_url())
    );
    let leads = new_api.hub().await.unwrap();
    assert_eq!(leads.role, "leading");
    assert!(leads.term > old_term);
    // Everything goes on with the new one.
    new_api.delete("before").await.unwrap();
    new_api.gone("before").await.unwrap();
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_properly_hands_over_at_once_and_callers_are_sent_to_the_leader() {
    let mut hubs = Hubs::start(3, 3).await.unwrap();
    hubs.join().await.unwrap();
    let first = hubs.leader().await.unwrap();
    hubs.create("kept").await.unwrap();
    hubs.ready("kept").await.unwrap();
    hubs.hubs[first].process().stop().await.unwrap();
    // A member of etcd is lost as well.
    hubs.etcd.kill(0);
    let second = hubs.leader_but(Some(first)).await.unwrap();
    hubs.hubs[second].api().unwrap().connected(CLUSTER).await.unwrap();
    let follower = (0..3)
        .find(|number| *number != first && *number != second)
        .unwrap();
    let follower = &hubs.hubs[follower];
    let refused = follower.api().unwrap().tenant("kept").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(
        refused.message().contains(&hubs.hubs[second].api_url()),
        "{refused}"
    );
    // The command line goes where it is sent.
    let cli = Cli::new(&hubs.programs, &follower.context());
    until(LONG, "the command line finds the leader", || async {
        let called = cli.call(&["get", "tenant", "kept", "-o", "name"]).await?;
        ensure!(called.code == 0, "{called:?}");
        Ok((called.out == "tenant/kept\n").then_some(()))
    })
    .await
    .unwrap();
    let status = cli.call(&["fleet", "status"]).await.unwrap();
    assert!(status.out.contains("following"), "{status:?}");
    hubs.stop().await;
}
