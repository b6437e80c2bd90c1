//! Watching, on both sides, as kube's own watchers do it.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

use super::ask::Ask;
use super::pair::Pair;

const PATIENCE: Duration = Duration::from_secs(20);

fn config_map(name: &str, label: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"l": label}}})).expect("a config map")
}

#[tokio::test]
async fn a_watcher_sees_every_change_of_what_it_selects() {
    let pair = Pair::bare().await;
    for (namespace, streaming) in [("listed", false), ("streamed", true)] {
        pair.namespace(namespace).await;
        for client in [&pair.real, &pair.embedded] {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let create = async |name: &str, label: &str| {
                let made = api.create(&PostParams::default(), &config_map(name, label)).await;
                made.expect("created");
            };
            create("before", "x").await;
            let config = watcher::Config::default().labels("l=x");
            let config = if streaming {
                config.streaming_lists()
            } else {
                config
            };
            let mut events = watcher(api.clone(), config).applied_objects().boxed();
            let mut next = async || {
                let event = tokio::time::timeout(PATIENCE, events.try_next())
                    .await
                    .expect("an event in time");
                event.expect("no error").expect("no end").metadata.name
            };
            assert_eq!(next().await.as_deref(), Some("before"));
            create("other", "y").await;
            create("after", "x").await;
            assert_eq!(next().await.as_deref(), Some("after"));
            let patch = Patch::Merge(json!({"metadata": {"labels": {"l": "x"}}}));
            api.patch("other", &PatchParams::default(), &patch)
                .await
                .expect("patched");
            assert_eq!(
                next().await.as_deref(),
                Some("other"),
                "an object that comes to match is new"
            );
        }
    }
}

#[tokio::test]
async fn a_watch_from_a_version_tells_what_came_after_and_who_left() {
    let pair = Pair::bare().await;
    pair.namespace("replayed").await;
    for client in [&pair.real, &pair.embedded] {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), "replayed");
        let first = api
            .create(&PostParams::default(), &config_map("a", "x"))
            .await
            .expect("created");
        let from = first.metadata.resource_version.expect("a version");
        let patch = Patch::Merge(json!({"metadata": {"labels": {"l": "y"}}}));
        api.patch("a", &PatchParams::default(), &patch)
            .await
            .expect("patched");
        api.create(&PostParams::default(), &config_map("b", "x"))
            .await
            .expect("created");
        api.delete("b", &DeleteParams::default()).await.expect("deleted");
        let mut events = api
            .watch(&WatchParams::default().labels("l=x").timeout(5), &from)
            .await
            .expect("a watch")
            .boxed();
        let mut seen = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(PATIENCE, events.try_next())
            .await
            .expect("in time")
        {
            match event {
                WatchEvent::Added(o) => seen.push(format!("added {}", o.metadata.name.unwrap_or_default())),
                WatchEvent::Modified(o) => {
                    seen.push(format!("modified {}", o.metadata.name.unwrap_or_default()))
                }
                WatchEvent::Deleted(o) => {
                    seen.push(format!("deleted {}", o.metadata.name.unwrap_or_default()))
                }
                _ => {}
            }
            if seen.len() == 3 {
                break;
            }
        }
        assert_eq!(seen, ["deleted a", "added b", "deleted b"]);
    }
}

#[tokio::test]
async fn metadata_can_be_watched_alone() {
    let pair = Pair::bare().await;
    pair.namespace("metadata").await;
    for client in [&pair.real, &pair.embedded] {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), "metadata");
        api.create(&PostParams::default(), &config_map("a", "x"))
            .await
            .expect("created");
        let config = watcher::Config::default().labels("l");
        let partial: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client.clone(), "metadata");
        let mut events = watcher(partial, config).applied_objects().boxed();
        let event = tokio::time::timeout(PATIENCE, events.try_next())
            .await
            .expect("in time");
        assert_eq!(
            event.expect("no error").expect("no end").metadata.name.as_deref(),
            Some("a")
        );
    }
}

#[tokio::test]
async fn a_version_that_is_too_old_is_gone_and_a_watch_can_go_on_after_a_relist() {
    let pair = Pair::bare().await;
    pair.namespace("old").await;
    let api: Api<ConfigMap> = Api::namespaced(pair.embedded.clone(), "old");
    let first = api
        .create(&PostParams::default(), &config_map("a", "0"))
        .await
        .expect("created");
    for n in 0..1100 {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"l": n.to_string()}}}));
        api.patch("a", &PatchParams::default(), &patch)
            .await
            .expect("patched");
    }
    let from = first.metadata.resource_version.expect("a version");
    let mut events = api
        .watch(&WatchParams::default(), &from)
        .await
        .expect("a watch")
        .boxed();
    let event = events.try_next().await.expect("an event");
    assert!(
        matches!(event, Some(WatchEvent::Error(status)) if status.code == 410 && status.reason == "Expired")
    );
    let list = Ask::get("/api/v1/namespaces/old/configmaps")
        .send(&pair.embedded)
        .await
        .body;
    let from = list["metadata"]["resourceVersion"]
        .as_str()
        .expect("a version")
        .to_owned();
    let mut events = api
        .watch(&WatchParams::default(), &from)
        .await
        .expect("a watch")
        .boxed();
    api.delete("a", &DeleteParams::default()).await.expect("deleted");
    let event = events.try_next().await.expect("an event");
    assert!(matches!(event, Some(WatchEvent::Deleted(_))));
}
