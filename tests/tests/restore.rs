//! A hub that was restored from a backup: it changes nothing in any cluster until an operator lets it take command, and what it
//! does then is what it said it would do.

use std::{collections::BTreeMap, path::Path};

use age::secrecy::ExposeSecret as _;
use berth_fake::cloud::Machine;
use berth_model::label;
use berth_tests::{
    api::of_tier,
    cli::Cli,
    kubernetes,
    waiting::{LONG, until},
    world::{World, WorldOptions},
};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::Value;
use tonic::Code;

const CLUSTER: &str = "eu-1";

/// A hub with one cluster.
async fn one_cluster() -> anyhow::Result<World> {
    let options = WorldOptions {
        clusters: vec![CLUSTER.to_owned()],
        machine: Machine::default(),
    };
    World::start(&options).await
}

/// The resource versions of everything of tenants that a hub could change.
async fn untouched(world: &World) -> anyhow::Result<BTreeMap<String, String>> {
    let kube = world.kube(CLUSTER)?;
    let ours = ListParams::default().labels(label::TENANT);
    let mut versions = BTreeMap::new();
    for namespace in Api::<Namespace>::all(kube.clone()).list(&ours).await?.items {
        let name = namespace.name_any();
        versions.insert(name.clone(), namespace.resource_version().unwrap_or_default());
        for quota in Api::<ResourceQuota>::namespaced(kube.clone(), &name)
            .list(&ListParams::default())
            .await?
            .items
        {
            // The status is the cluster's own business; the spec has a generation of Kubernetes' only by its content.
            let spec = serde_json::to_string(&quota.spec)?;
            versions.insert(format!("{name}/{}", quota.name_any()), spec);
        }
    }
    Ok(versions)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_hub_observes_until_an_operator_lets_it_take_command() {
    let mut world = one_cluster().await.unwrap();
    let (api, cli) = (world.api().unwrap(), world.cli());
    for id in ["same", "changed", "removed"] {
        api.create(id, of_tier("free")).await.unwrap();
        api.ready(id).await.unwrap();
    }
    let backup = world.directory("backup").unwrap().join("fleet.berth");
    let backup = backup.display().to_string();
    cli.fine(&["store", "backup", "--to", &backup]).await.unwrap();

    // What happens after the backup is lost with the store.
    let mut larger = of_tier("free");
    larger.size = "small".to_owned();
    api.update("changed", larger).await.unwrap();
    api.ready("changed").await.unwrap();
    api.remove("removed").await.unwrap();
    api.create("later", of_tier("free")).await.unwrap();
    api.ready("later").await.unwrap();
    let before = untouched(&world).await.unwrap();
    world.hub.process().stop().await.unwrap();
    let data = world.hub.data().display().to_string();
    let refused = cli
        .call(&["store", "restore", "--data-dir", &data, "--from", &backup])
        .await
        .unwrap();
    assert_ne!(
        refused.code, 0,
        "a store that is there is not overwritten: {refused:?}"
    );
    cli.fine(&[
        "store",
        "restore",
        "--data-dir",
        &data,
        "--from",
        &backup,
        "--replace",
    ])
    .await
    .unwrap();

    world.hub.start_again().await.unwrap();
    let status = cli.fine(&["fleet", "status", "-o", "json"]).await.unwrap();
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["standing"], "observing", "{status}");
    let expected: BTreeMap<String, String> =
        [("changed", "Newer"), ("removed", "Missing"), ("later", "Unknown")]
            .map(|(tenant, kind)| (tenant.to_owned(), kind.to_owned()))
            .into();
    until(LONG, "the difference is known", || async {
        Ok((cli.difference().await? == (expected.clone(), 1)).then_some(()))
    })
    .await
    .unwrap();
    let refused = api.create("new", of_tier("free")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("take-command"), "{refused}");
    assert!(api.tenant("removed").await.is_ok(), "reading goes on");
    assert_eq!(
        untouched(&world).await.unwrap(),
        before,
        "nothing was changed by observing"
    );
    // A restart of a hub that observes observes.
    world.hub.process().kill().await.unwrap();
    world.hub.start_again().await.unwrap();
    assert_eq!(api.hub().await.unwrap().standing, "observing");

    cli.fine(&["fleet", "take-command", "--yes", "--reason", "test"])
        .await
        .unwrap();
    until(LONG, "the hub acts", || async {
        let hub = api.hub().await?;
        Ok((hub.standing == "acting" && hub.term == 2).then_some(()))
    })
    .await
    .unwrap();
    for id in ["same", "changed", "removed"] {
        api.ready(id).await.unwrap();
    }
    let kube = world.kube(CLUSTER).unwrap();
    let after = untouched(&world).await.unwrap();
    assert_eq!(
        after["t-same"], before["t-same"],
        "what is the same is not written"
    );
    assert_eq!(
        after["t-later"], before["t-later"],
        "what the hub does not know it leaves alone"
    );
    let quotas = |of: &BTreeMap<String, String>, namespace: &str| {
        let prefix = format!("{namespace}/");
        of.iter()
            .find(|(name, _)| name.starts_with(&prefix))
            .map(|(_, spec)| spec.clone())
    };
    assert_ne!(
        quotas(&after, "t-changed"),
        quotas(&before, "t-changed"),
        "what was changed after the backup is put back"
    );
    assert_eq!(quotas(&after, "t-changed"), quotas(&before, "t-same"));
    assert!(kubernetes::namespace(&kube, "t-removed").await.unwrap().is_some());
    // And everything goes on.
    api.create("new", of_tier("free")).await.unwrap();
    api.ready("new").await.unwrap();
    let again = cli.call(&["fleet", "take-command", "--yes"]).await.unwrap();
    assert_eq!(again.code, 5, "a hub that acts needs no leave: {again:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_on_a_blank_machine_with_its_keys_keeps_every_agent() {
    let mut world = one_cluster().await.unwrap();
    let (api, cli) = (world.api().unwrap(), world.cli());
    api.create("kept", of_tier("free")).await.unwrap();
    api.ready("kept").await.unwrap();
    let pair = age::x25519::Identity::generate();
    let safe = world.directory("safe").unwrap();
    let identity = safe.join("identity.txt");
    std::fs::write(&identity, pair.to_string().expose_secret()).unwrap();
    let identity = identity.display().to_string();
    let backup = safe.join("fleet.berth").display().to_string();
    let recipient = pair.to_public().to_string();
    cli.fine(&["store", "backup", "--to", &backup, "--recipient", &recipient])
        .await
        .unwrap();
    // The context is not the machine's: the administrator has it.
    let context = safe.join("admin.yaml");
    std::fs::copy(world.hub.context(), &context).unwrap();

    world.hub.process().kill().await.unwrap();
    let data = world.hub.data();
    std::fs::remove_dir_all(&data).unwrap();
    let data = data.display().to_string();
    cli.fine(&[
        "store",
        "restore",
        "--data-dir",
        &data,
        "--from",
        &backup,
        "--identity",
        &identity,
    ])
    .await
    .unwrap();
    world.hub.start_again().await.unwrap();
    let api = berth_tests::api::Api::open(&context).unwrap();
    api.connected(CLUSTER).await.unwrap();
    let cli = Cli::new(&world.programs, &context);
    cli.fine(&["fleet", "take-command", "--yes"]).await.unwrap();
    until(LONG, "the hub acts", || async {
        Ok((api.hub().await?.standing == "acting").then_some(()))
    })
    .await
    .unwrap();
    api.ready("kept").await.unwrap();
    world.stop().await;
}

/// Copies a directory with everything in it, as a snapshot of a machine does.
fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_was_put_back_whole_is_found_out_by_what_agents_were_told() {
    let mut world = one_cluster().await.unwrap();
    let (api, cli) = (world.api().unwrap(), world.cli());
    for id in ["kept", "removed"] {
        api.create(id, of_tier("free")).await.unwrap();
        api.ready(id).await.unwrap();
    }
    world.hub.process().stop().await.unwrap();
    let data = world.hub.data();
    let snapshot = world.directory("snapshot").unwrap().join("data");
    copy_all(&data, &snapshot).unwrap();
    world.hub.start_again().await.unwrap();
    api.connected(CLUSTER).await.unwrap();
    // No agent holds anything that a hub of the snapshot would not give it.
    api.remove("removed").await.unwrap();
    api.told_again(CLUSTER).await.unwrap();
    let before = untouched(&world).await.unwrap();

    world.hub.process().kill().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy_all(&snapshot, &data).unwrap();
    world.hub.start_again().await.unwrap();
    until(LONG, "the hub knows that its store was set back", || async {
        Ok((api.hub().await?.standing == "set-back").then_some(()))
    })
    .await
    .unwrap();
    let status = cli.fine(&["fleet", "status"]).await.unwrap();
    assert!(status.out.contains("restore a newer backup"), "{status:?}");
    let refused = api.create("new", of_tier("free")).await.unwrap_err();
    assert_eq!(
        berth_wire::status::reason(&refused).as_deref(),
        Some("SET_BACK"),
        "{refused}"
    );
    let expected: BTreeMap<String, String> = [("removed".to_owned(), "Missing".to_owned())].into();
    until(LONG, "the difference is known", || async {
        Ok((cli.difference().await? == (expected.clone(), 1)).then_some(()))
    })
    .await
    .unwrap();
    // The next process knows from its start.
    world.hub.process().kill().await.unwrap();
    world.hub.start_again().await.unwrap();
    let hub = api.hub().await.unwrap();
    assert_eq!(hub.standing, "observing");
    let source = hub.restored.unwrap_or_default().source;
    assert!(source.contains("set back"), "{source}");
    assert_eq!(
        untouched(&world).await.unwrap(),
        before,
        "who was removed does not come back by itself"
    );

    cli.fine(&["fleet", "take-command", "--yes", "--reason", "test"])
        .await
        .unwrap();
    until(LONG, "the hub acts", || async {
        Ok((api.hub().await?.standing == "acting").then_some(()))
    })
    .await
    .unwrap();
    api.ready("removed").await.unwrap();
    api.create("new", of_tier("free")).await.unwrap();
    api.ready("new").await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_agents_hold_more_than_its_store_is_let_take_command_also_when_nobody_was_told() {
    let mut world = one_cluster().await.unwrap();
    let (api, cli) = (world.api().unwrap(), world.cli());
    api.create("changed", of_tier("free")).await.unwrap();
    api.ready("changed").await.unwrap();
    let small = untouched(&world).await.unwrap();
    world.hub.process().stop().await.unwrap();
    let data = world.hub.data();
    let snapshot = world.directory("snapshot").unwrap().join("data");
    copy_all(&data, &snapshot).unwrap();
    world.hub.start_again().await.unwrap();
    api.connected(CLUSTER).await.unwrap();
    let mut larger = of_tier("free");
    larger.size = "small".to_owned();
    api.update("changed", larger).await.unwrap();
    api.ready("changed").await.unwrap();

    // The whole site went down, and nobody remembers what agents were told.
    world
        .member(CLUSTER)
        .unwrap()
        .agent
        .process()
        .kill()
        .await
        .unwrap();
    world.hub.process().kill().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy_all(&snapshot, &data).unwrap();
    world.hub.start_again().await.unwrap();
    world.member(CLUSTER).unwrap().agent.start_again().unwrap();
    api.connected(CLUSTER).await.unwrap();
    let stalled = api.until("changed", "it is stalled", |tenant| {
        let conditions = tenant.status.as_ref().map(|status| &status.conditions);
        conditions.is_some_and(|all| all.iter().any(|one| one.reason == "AgentAhead"))
    });
    stalled.await.unwrap();
    assert_eq!(api.hub().await.unwrap().standing, "acting");

    cli.fine(&["fleet", "take-command", "--yes", "--reason", "test"])
        .await
        .unwrap();
    api.ready("changed").await.unwrap();
    assert_eq!(untouched(&world).await.unwrap(), small, "as the store has it");
    let again = cli.call(&["fleet", "take-command", "--yes"]).await.unwrap();
    assert_eq!(again.code, 5, "a hub that acts needs no leave: {again:?}");
    world.stop().await;
}
