//! A cut inside the etcd under the hubs.

use std::collections::BTreeMap;

use berth_fake::control_plane::{Cut, EtcdClusterOptions};
use berth_model::label;
use berth_tests::{
    etcd_records,
    hubs::{Hubs, HubsOptions},
    kubernetes,
    waiting::{LONG, until},
};

/// Of etcd; where none leads, they are about to elect one.
async fn leading_member(hubs: &Hubs) -> anyhow::Result<usize> {
    until(LONG, "a member leads the others", || async {
        etcd_records::leading_member(&hubs.etcd).await.map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_member_of_etcd_is_cut_off_the_hubs_go_on_and_lose_nothing() {
    let mut hubs = Hubs::start_as(&HubsOptions {
        etcd: EtcdClusterOptions {
            members: 3,
            can_be_cut: true,
            arguments: vec![etcd_records::ARGUMENT.to_owned()],
            ..EtcdClusterOptions::default()
        },
        ..HubsOptions::default()
    })
    .await
    .unwrap();
    hubs.join().await.unwrap();
    let mut uids = BTreeMap::new();
    // Each of them, and the one that leads the others also one way.
    let both = (0..3).map(|member| (Some(member), Cut::Both));
    for (round, (member, how)) in both.chain([(None, Cut::Mute), (None, Cut::Deaf)]).enumerate() {
        let before = format!("before-{round}");
        uids.insert(before.clone(), hubs.create(&before).await.unwrap());
        let member = match member {
            Some(member) => member,
            None => leading_member(&hubs).await.unwrap(),
        };
        hubs.etcd.cut_off(member, how);
        let cut = tokio::time::Instant::now();
        for number in 0..2 {
            let during = format!("during-{round}-{number}");
            uids.insert(during.clone(), hubs.create(&during).await.unwrap());
            println!(
                "member {member} is cut off ({how:?}): {during} after {:?}",
                cut.elapsed()
            );
        }
        hubs.ready(&before).await.unwrap();
        hubs.etcd.heal();
        let after = format!("after-{round}");
        uids.insert(after.clone(), hubs.create(&after).await.unwrap());
    }
    let kube = hubs.kube().unwrap();
    for (id, made) in &uids {
        hubs.ready(id).await.unwrap();
        assert_eq!(hubs.tenant(id).await.unwrap().uid, *made, "{id}");
        let namespace = kubernetes::namespace(&kube, &format!("t-{id}")).await.unwrap();
        let labels = namespace.unwrap().metadata.labels.unwrap_or_default();
        assert_eq!(labels.get(label::TENANT_UID), Some(made), "{id}");
    }
    hubs.stop().await;
}
