//! A real etcd for tests, and stores on it.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod proxy;

use std::time::Duration;

use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_store::{EtcdOptions, EtcdStore, Key};

/// An etcd of `members` with further `arguments`, without fsync.
pub(crate) async fn etcd(members: usize, arguments: &[&str]) -> EtcdCluster {
    let options = EtcdClusterOptions {
        members,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        ..EtcdClusterOptions::default()
    };
    EtcdCluster::start(&Binaries::find().unwrap(), &options)
        .await
        .unwrap()
}

/// An etcd of three members whose network can be cut.
pub(crate) async fn etcd_with_a_network() -> EtcdCluster {
    let options = EtcdClusterOptions {
        members: 3,
        can_be_cut: true,
        ..EtcdClusterOptions::default()
    };
    EtcdCluster::start(&Binaries::find().unwrap(), &options)
        .await
        .unwrap()
}

/// How this etcd is reached, with a short patience.
pub(crate) fn options(etcd: &EtcdCluster) -> EtcdOptions {
    EtcdOptions {
        request_timeout: Duration::from_secs(3),
        lease_ttl: Duration::from_secs(2),
        ..EtcdOptions::new(etcd.client_urls())
    }
}

pub(crate) async fn store(etcd: &EtcdCluster) -> EtcdStore {
    EtcdStore::connect(&options(etcd)).await.unwrap()
}

pub(crate) fn key(text: impl AsRef<str>) -> Key {
    Key::new(text).unwrap()
}
