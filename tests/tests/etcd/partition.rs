//! A cut inside the etcd under the hubs.

use std::collections::BTreeMap;

use berth_fake::control_plane::EtcdClusterOptions;
use berth_model::label;
use berth_tests::{
    hubs::{Hubs, HubsOptions},
    kubernetes,
};

#[tokio::test(flavor = "multi_thread")]
async fn whichever_member_of_etcd_is_cut_off_the_hubs_go_on_and_lose_nothing() {
    let mut hubs = Hubs::start_as(&HubsOptions {
        etcd: EtcdClusterOptions {
            members: 3,
            can_be_cut: true,
            ..EtcdClusterOptions::default()
        },
        ..HubsOptions::default()
    })
    .await
    .unwrap();
    hubs.join().await.unwrap();
    let mut uids = BTreeMap::new();
    for member in 0..3 {
        let before = format!("before-{member}");
        uids.insert(before.clone(), hubs.create(&before).await.unwrap());
        hubs.etcd.isolate(member);
        let cut = tokio::time::Instant::now();
        for number in 0..2 {
            let during = format!("during-{member}-{number}");
            uids.insert(during.clone(), hubs.create(&during).await.unwrap());
            println!("member {member} is cut off: {during} after {:?}", cut.elapsed());
        }
        hubs.ready(&before).await.unwrap();
        hubs.etcd.heal();
        let after = format!("after-{member}");
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
