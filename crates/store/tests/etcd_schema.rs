//! What a newer Berth has written in etcd an older one leaves alone, and one store is told from another.
#![expect(clippy::unwrap_used, reason = "tests")]

mod etcd_support;

use berth_store::{Candidate, Election, EtcdError, EtcdOptions, EtcdStore, Store, StoreError, Txn};
use etcd_client::{Client, DeleteOptions};
use etcd_support::{etcd, key, options, store};

const SCHEMA: &str = "/berth/schema";

#[tokio::test]
async fn who_leads_first_writes_the_schema_down_and_nobody_again() {
    let etcd = etcd(1, &[]).await;
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    let store = store(&etcd).await;
    assert_eq!(store.incarnation(), "", "nothing was written yet");
    let leadership = store.campaign(&Candidate::default()).await.unwrap();
    let written = admin.get(SCHEMA, None).await.unwrap();
    assert_eq!(written.kvs()[0].value_str().unwrap(), "2");
    drop(leadership);
    store.close().await;
    let next = EtcdStore::connect(&options(&etcd)).await.unwrap();
    let _leadership = next.campaign(&Candidate::default()).await.unwrap();
    let again = admin.get(SCHEMA, None).await.unwrap();
    assert_eq!(again.kvs()[0].mod_revision(), written.kvs()[0].mod_revision());
    assert_eq!(next.incarnation(), store.incarnation());
    assert!(!next.incarnation().is_empty());
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_whoever_connects_and_by_whoever_waits_for_the_lead() {
    let etcd = etcd(1, &[]).await;
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    let waits = store(&etcd).await;
    let leads = store(&etcd).await;
    let leadership = leads.campaign(&Candidate::default()).await.unwrap();
    let waiting = tokio::spawn(async move { waits.campaign(&Candidate::default()).await.map(drop) });
    // A rolling update: a newer hub has led meanwhile.
    for newer in ["3", "nobody's"] {
        admin.put(SCHEMA, newer, None).await.unwrap();
        let refused = EtcdStore::connect(&options(&etcd)).await.map(drop).unwrap_err();
        assert!(
            matches!(&refused, EtcdError::Store(StoreError::NewerSchema { found, supported: 2 }) if found == newer),
            "{refused}"
        );
    }
    drop(leadership);
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { .. }), "{refused}");
    assert!(!refused.retryable());
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_by_whoever_leads() {
    let etcd = etcd(1, &[]).await;
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    admin.put(SCHEMA, "1", None).await.unwrap();
    let store = store(&etcd).await;
    assert_eq!(admin.get(SCHEMA, None).await.unwrap().kvs()[0].value(), b"1");
    let before = store.incarnation().to_owned();
    let _leadership = store.campaign(&Candidate::default()).await.unwrap();
    store.txn(Txn::new().put(key("a"), "x")).await.unwrap();
    assert_eq!(admin.get(SCHEMA, None).await.unwrap().kvs()[0].value(), b"2");
    assert_eq!(store.incarnation(), before, "it is the same store");
}

#[tokio::test]
async fn stores_under_other_prefixes_and_later_ones_under_the_same_are_told_apart() {
    let etcd = etcd(1, &[]).await;
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    let claimed = async |prefix: &str| {
        let options = EtcdOptions {
            prefix: prefix.into(),
            ..options(&etcd)
        };
        let store = EtcdStore::connect(&options).await.unwrap();
        store.claim().await.unwrap();
        store.incarnation().to_owned()
    };
    let (one, other) = (claimed("/one/").await, claimed("/other/").await);
    assert_ne!(one, other);
    assert_eq!(claimed("/one/").await, one);
    let all = DeleteOptions::new().with_prefix();
    admin.delete("/one/", Some(all)).await.unwrap();
    assert_ne!(claimed("/one/").await, one);
}
