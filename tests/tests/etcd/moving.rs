//! A fleet goes from one hub's directory into etcd and back.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use berth_fake::{
    cloud::Machine,
    control_plane::{Binaries, EtcdCluster, EtcdClusterOptions},
};
use berth_tests::{
    api::of_tier,
    cli::Cli,
    hubs::copy,
    waiting::{LONG, until},
    world::{World, WorldOptions},
};
use serde_json::json;

use super::untouched;

const CLUSTER: &str = "eu-1";

/// The hub has started on a store that came from elsewhere: it touches nothing until it is let, and nothing that is right after that.
async fn observes_and_takes_command(
    world: &World,
    uids: &BTreeMap<String, String>,
    before: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    anyhow::ensure!(api.hub().await?.standing == "observing");
    let all = i64::try_from(uids.len())?;
    until(LONG, "everything is as it should be", || async {
        Ok((cli.difference().await? == (BTreeMap::new(), all)).then_some(()))
    })
    .await?;
    anyhow::ensure!(
        untouched(&kube).await? == *before,
        "observing has changed something"
    );
    cli.fine(&["fleet", "take-command", "--yes", "--reason", "moved"])
        .await?;
    until(LONG, "the hub acts", || async {
        Ok((api.hub().await?.standing == "acting").then_some(()))
    })
    .await?;
    for (id, uid) in uids {
        let tenant = api.ready(id).await?;
        anyhow::ensure!(tenant.uid == *uid, "{id} is another tenant");
    }
    anyhow::ensure!(
        untouched(&kube).await? == *before,
        "taking command has changed something"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_moves_into_etcd_and_back_with_every_tenant_as_it_was() {
    let mut world = World::start(&WorldOptions {
        clusters: vec![CLUSTER.to_owned()],
        machine: Machine::default(),
    })
    .await
    .unwrap();
    let (api, cli) = (world.api().unwrap(), world.cli());
    let mut uids = BTreeMap::new();
    for id in ["one", "two", "three"] {
        let made = api.create(id, of_tier("free")).await.unwrap();
        uids.insert(id.to_owned(), made.uid);
    }
    for id in uids.keys() {
        api.ready(id).await.unwrap();
    }
    let before = untouched(&world.kube(CLUSTER).unwrap()).await.unwrap();
    let files = world.directory("files").unwrap();
    let path = |name: &str| files.join(name).display().to_string();
    let data = world.hub.data();
    world.hub.process().stop().await.unwrap();
    let (there, data_dir) = (path("there.berth"), data.display().to_string());
    cli.fine(&["store", "export", "--data-dir", &data_dir, "--to", &there])
        .await
        .unwrap();

    let etcd = EtcdClusterOptions {
        tls: true,
        ..EtcdClusterOptions::default()
    };
    let etcd = EtcdCluster::start(&Binaries::find().unwrap(), &etcd)
        .await
        .unwrap();
    let tls = etcd.tls().unwrap();
    let (ca, cert, key) = (path("etcd-ca"), path("etcd-cert"), path("etcd-key"));
    for (at, pem) in [(&ca, &tls.ca), (&cert, &tls.certificate), (&key, &tls.key)] {
        fs::write(at, pem).unwrap();
    }
    let url = format!(
        "etcds://{}/moved",
        etcd.client_urls()[0].trim_start_matches("https://")
    );
    let store = [
        "--store",
        &url,
        "--etcd-ca",
        &ca,
        "--etcd-cert",
        &cert,
        "--etcd-key",
        &key,
    ];
    let on_etcd = async |cli: &Cli, arguments: &[&str]| {
        let all = [&["store"][..], arguments, &store[..]].concat();
        cli.fine(&all).await.unwrap()
    };
    on_etcd(&cli, &["import", "--from", &there]).await;
    let access = json!({"caFile": ca, "certFile": cert, "keyFile": key, "leaseSeconds": 2});
    world.hub.with_config(&json!({"etcd": access})).unwrap();
    world.hub.with_arguments(vec![format!("--store={url}")]);
    world.hub.start_again().await.unwrap();
    observes_and_takes_command(&world, &uids, &before)
        .await
        .with_context(|| world.logs())
        .unwrap();
    assert_eq!(api.hub().await.unwrap().store, "etcd");
    let made = api.create("made-on-etcd", of_tier("free")).await.unwrap();
    uids.insert("made-on-etcd".into(), made.uid);
    api.ready("made-on-etcd").await.unwrap();
    api.remove("two").await.unwrap();
    uids.remove("two");
    let before = untouched(&world.kube(CLUSTER).unwrap()).await.unwrap();

    // Back, into a directory that has nothing but the keys.
    world.hub.process().stop().await.unwrap();
    let back = path("back.berth");
    on_etcd(&cli, &["export", "--to", &back]).await;
    let old = data.with_file_name("data-before");
    fs::rename(&data, &old).unwrap();
    for keys in ["ca", "audit-key"] {
        copy(&old.join(keys), &data.join(keys)).unwrap();
    }
    cli.fine(&["store", "import", "--data-dir", &data_dir, "--from", &back])
        .await
        .unwrap();
    world.hub.with_arguments(Vec::new());
    world.hub.start_again().await.unwrap();
    observes_and_takes_command(&world, &uids, &before)
        .await
        .with_context(|| world.logs())
        .unwrap();
    let api = world.api().unwrap();
    assert_eq!(api.hub().await.unwrap().store, "sled");
    api.remove("one").await.unwrap();
    world.stop().await;
}
