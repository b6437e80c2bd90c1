//! An etcd that lets in only whom it knows: certificates, users and their rights.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod etcd_support;

use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_store::{Candidate, Election, EtcdError, EtcdOptions, EtcdStore, Page, Store, StoreError, Txn};
use etcd_client::{Client, ConnectOptions, Permission, PermissionType};
use etcd_support::{etcd, key};
use futures::StreamExt;

/// How this etcd is reached, with a long patience: nothing is lost here, and a machine may be busy.
fn options(etcd: &EtcdCluster) -> EtcdOptions {
    let minute = std::time::Duration::from_secs(60);
    EtcdOptions {
        request_timeout: minute,
        lease_ttl: minute,
        ..etcd_support::options(etcd)
    }
}

async fn with_tls() -> (EtcdCluster, EtcdOptions) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kind = EtcdClusterOptions {
        tls: true,
        ..EtcdClusterOptions::default()
    };
    let etcd = EtcdCluster::start(&Binaries::find().unwrap(), &kind)
        .await
        .unwrap();
    let tls = etcd.tls().unwrap().clone();
    let options = EtcdOptions {
        ca_pem: Some(tls.ca),
        cert_pem: Some(tls.certificate),
        key_pem: Some(tls.key),
        ..options(&etcd)
    };
    (etcd, options)
}

async fn refused(options: &EtcdOptions) -> StoreError {
    match EtcdStore::connect(options).await {
        Err(EtcdError::Store(error)) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn with_its_certificate_a_hub_is_let_in_and_may_do_everything() {
    let (_etcd, options) = with_tls().await;
    let store = EtcdStore::connect(&options).await.unwrap();
    let mut watch = store.watch(store.revision().await.unwrap()).await.unwrap();
    let leadership = store.campaign(&Candidate::default()).await.unwrap();
    let written = store.txn(Txn::new().put(key("a"), "x")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, written);
    assert!(leadership.holds());
}

#[tokio::test]
async fn without_a_certificate_or_with_a_strangers_nobody_gets_in() {
    let (_etcd, options) = with_tls().await;
    let (_other, others) = with_tls().await;
    let without = EtcdOptions {
        cert_pem: None,
        key_pem: None,
        ..options.clone()
    };
    let strangers = EtcdOptions {
        cert_pem: others.cert_pem.clone(),
        key_pem: others.key_pem.clone(),
        ..options.clone()
    };
    // This one does not trust etcd.
    let another_ca = EtcdOptions {
        ca_pem: others.ca_pem.clone(),
        ..options.clone()
    };
    for wrong in [&without, &strangers, &another_ca] {
        let error = refused(wrong).await.to_string();
        assert!(error.to_lowercase().contains("certificate"), "{error}");
    }
    let plain = EtcdOptions {
        endpoints: vec![options.endpoints[0].replace("https://", "http://")],
        ca_pem: None,
        ..without
    };
    assert!(refused(&plain).await.retryable());
}

#[tokio::test]
async fn tls_without_an_authority_is_refused_before_anything_is_asked() {
    let options = EtcdOptions::parse("etcds://127.0.0.1:1").unwrap();
    match EtcdStore::connect(&options).await {
        Err(EtcdError::Options(error)) => assert!(error.to_string().contains("authority"), "{error}"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Turns users on: `root`, and `hub` that may use `/berth/` alone.
async fn with_users(etcd: &EtcdCluster) -> Client {
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    admin.user_add("root", "root-word", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.role_add("berth").await.unwrap();
    let all = Permission::new(PermissionType::Readwrite, "/berth/").with_prefix();
    admin.role_grant_permission("berth", all).await.unwrap();
    admin.user_add("hub", "hub-word", None).await.unwrap();
    admin.user_grant_role("hub", "berth").await.unwrap();
    admin.auth_enable().await.unwrap();
    let root = ConnectOptions::new().with_user("root", "root-word");
    Client::connect(etcd.client_urls(), Some(root)).await.unwrap()
}

fn hub(etcd: &EtcdCluster) -> EtcdOptions {
    EtcdOptions {
        user: Some("hub".into()),
        password: Some("hub-word".into()),
        ..options(etcd)
    }
}

#[tokio::test]
async fn a_user_does_what_its_role_allows_and_nothing_else() {
    let etcd = etcd(1, &[]).await;
    let _root = with_users(&etcd).await;
    let store = EtcdStore::connect(&hub(&etcd)).await.unwrap();
    let mut watch = store.watch(store.revision().await.unwrap()).await.unwrap();
    let leadership = store.campaign(&Candidate::default()).await.unwrap();
    let written = store.txn(Txn::new().put(key("a"), "x")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, written);
    assert_eq!(store.list("", Page::first()).await.unwrap().entries.len(), 1);
    assert!(leadership.holds());

    for wrong in [
        options(&etcd),
        EtcdOptions {
            password: Some("guessed-word".into()),
            ..hub(&etcd)
        },
        EtcdOptions {
            prefix: "/another/".into(),
            ..hub(&etcd)
        },
    ] {
        let error = refused(&wrong).await;
        assert!(
            matches!(error, StoreError::Denied { .. }) && !error.retryable(),
            "{error}"
        );
        assert!(!error.to_string().contains("-word"), "{error}");
    }
}

#[tokio::test]
async fn a_user_where_etcd_has_none_is_told() {
    let etcd = etcd(1, &[]).await;
    let error = refused(&hub(&etcd)).await;
    assert!(
        matches!(&error, StoreError::Denied { problem, .. } if problem.contains("not enabled")),
        "{error}"
    );
}

#[tokio::test]
async fn sessions_that_end_are_renewed_without_anybody_noticing() {
    let mut etcd = etcd(1, &[]).await;
    let mut root = with_users(&etcd).await;
    let store = EtcdStore::connect(&hub(&etcd)).await.unwrap();
    let start = store.txn(Txn::new().put(key("first"), "x")).await.unwrap();
    let mut watch = store.watch(start).await.unwrap();

    // Any change of users makes sessions that began before too old to write.
    root.user_add("another", "x", None).await.unwrap();
    let second = store.txn(Txn::new().put(key("second"), "x")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, second);

    // A member that starts anew knows no session any more.
    etcd.kill(0);
    etcd.restart(0).unwrap();
    etcd.ready(0).await.unwrap();
    let third = loop {
        match store.txn(Txn::new().put(key("third"), "x")).await {
            Ok(revision) => break revision,
            // The connection that broke.
            Err(error) => assert!(error.retryable(), "{error}"),
        }
    };
    loop {
        let change = tokio::time::timeout(std::time::Duration::from_secs(60), watch.next()).await;
        if change.unwrap().unwrap().unwrap().revision == third {
            break;
        }
    }
}
