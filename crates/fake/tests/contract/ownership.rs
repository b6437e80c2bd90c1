//! Server-side apply: who owns what, who is refused, what goes away.

use serde_json::{Value, json};

use super::ask::Ask;
use super::pair::Pair;

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data})
}

#[tokio::test]
async fn an_apply_creates_then_updates_then_does_nothing() {
    let pair = Pair::bare().await;
    let path = pair.namespace("apply-basics").await + "/configmaps/a";
    let created = pair
        .code(201, Ask::apply(&path, "one", config_map(json!({"a": "1"}))))
        .await;
    let again = pair
        .code(200, Ask::apply(&path, "one", config_map(json!({"a": "1"}))))
        .await;
    assert_eq!(
        created.body["metadata"]["resourceVersion"],
        again.body["metadata"]["resourceVersion"]
    );
    let before = pair.cluster.client();
    let (_, first) = pair.ask(&Ask::get(&path)).await;
    let second = Ask::apply(&path, "one", config_map(json!({"a": "1"})))
        .send(&before)
        .await;
    assert_eq!(
        first.body["metadata"], second.body["metadata"],
        "an apply of the same changes nothing"
    );
    pair.code(200, Ask::apply(&path, "one", config_map(json!({"b": "2"}))))
        .await;
    let left = pair.code(200, Ask::get(&path)).await;
    assert_eq!(
        left.body["data"],
        json!({"b": "2"}),
        "what one manager alone owned and left out is gone"
    );
}

#[tokio::test]
async fn a_conflict_names_every_owner_and_force_takes_over() {
    let pair = Pair::bare().await;
    let path = pair.namespace("apply-conflicts").await + "/configmaps/a";
    pair.code(
        201,
        Ask::apply(&path, "one", config_map(json!({"a": "1", "b": "1"}))),
    )
    .await;
    pair.code(
        200,
        Ask::apply(&path, "two", config_map(json!({"b": "1", "c": "1"}))),
    )
    .await;
    pair.code(409, Ask::apply(&path, "three", config_map(json!({"a": "2"}))))
        .await;
    pair.code(
        409,
        Ask::apply(&path, "three", config_map(json!({"a": "2", "b": "2", "c": "2"}))),
    )
    .await;
    pair.code(
        200,
        Ask::force(&path, "three", config_map(json!({"a": "2", "b": "2"}))),
    )
    .await;
    pair.code(200, Ask::apply(&path, "one", config_map(json!({}))))
        .await;
    pair.code(200, Ask::get(&path)).await;
    pair.code(
        200,
        Ask::merge(&path, "hand", json!({"data": {"c": "9", "d": "1"}})),
    )
    .await;
    pair.code(
        409,
        Ask::apply(&path, "two", config_map(json!({"b": "2", "c": "1"}))),
    )
    .await;
    pair.code(200, Ask::get(&path)).await;
}

#[tokio::test]
async fn lists_merge_by_the_keys_of_their_schema() {
    let pair = Pair::bare().await;
    pair.namespace("apply-lists").await;
    let path = "/apis/apps/v1/namespaces/apply-lists/deployments/web";
    let deployment = |containers: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
            },
        })
    };
    let web = json!({
        "name": "web", "image": "web:1", "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
        "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "0.5"}},
    });
    pair.code(201, Ask::apply(path, "one", deployment(json!([web]))))
        .await;
    let sidecar = json!({"name": "sidecar", "image": "s"});
    let more = json!({"name": "web", "env": [{"name": "B", "value": "2"}]});
    pair.code(200, Ask::apply(path, "two", deployment(json!([sidecar, more]))))
        .await;
    pair.code(
        409,
        Ask::apply(
            path,
            "two",
            deployment(json!([{"name": "web", "image": "web:2"}])),
        ),
    )
    .await;
    pair.code(200, Ask::apply(path, "two", deployment(json!([more]))))
        .await;
    pair.code(200, Ask::get(path)).await;
    let twice = deployment(json!([{"name": "x", "image": "a"}, {"name": "x", "image": "b"}]));
    pair.refused(500, Ask::apply(path, "one", twice)).await;
}

#[tokio::test]
async fn finalizers_are_a_set_and_owners_go_by_uid() {
    let pair = Pair::bare().await;
    let base = pair.namespace("apply-sets").await;
    let path = format!("{base}/configmaps/a");
    let with = |finalizers: &[&str]| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": finalizers}});
    pair.code(201, Ask::apply(&path, "one", with(&["example.com/one"])))
        .await;
    pair.code(200, Ask::apply(&path, "two", with(&["example.com/two"])))
        .await;
    pair.code(200, Ask::apply(&path, "one", with(&[]))).await;
    pair.code(200, Ask::delete(&path)).await;
    pair.code(200, Ask::get(&path)).await;
    pair.code(200, Ask::apply(&path, "two", with(&[]))).await;
    pair.code(404, Ask::get(&path)).await;
}

#[tokio::test]
async fn an_object_made_without_apply_can_be_taken_over() {
    let pair = Pair::bare().await;
    let base = pair.namespace("apply-migrate").await;
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"a": "1"}});
    pair.code(201, Ask::post(&format!("{base}/configmaps"), made))
        .await;
    let path = format!("{base}/configmaps/a");
    pair.code(409, Ask::apply(&path, "one", config_map(json!({"a": "2"}))))
        .await;
    pair.code(200, Ask::force(&path, "one", config_map(json!({"a": "2"}))))
        .await;
    pair.code(
        200,
        Ask::merge(&path, "creator", json!({"metadata": {"labels": {"x": null}}})),
    )
    .await;
    pair.code(200, Ask::get(&path)).await;
}

#[tokio::test]
async fn an_apply_that_makes_no_sense_is_refused() {
    let pair = Pair::bare().await;
    let base = pair.namespace("apply-refused").await;
    let path = format!("{base}/configmaps/a");
    pair.refused(
        500,
        Ask::apply(
            &path,
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "dat": {}}),
        ),
    )
    .await;
    pair.refused(500, Ask::apply(&path, "one", config_map(json!({"a": 1}))))
        .await;
    pair.refused(
        400,
        Ask::apply(&path, "one", json!({"apiVersion": "v2", "kind": "ConfigMap"})),
    )
    .await;
    let named = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    pair.refused(400, Ask::apply(&path, "one", named)).await;
    let mut unmanaged = Ask::apply(&path, "x", config_map(json!({})));
    unmanaged.path = path.clone();
    pair.refused(422, unmanaged).await;
    let mut nameless = Ask::apply(&path, "one", config_map(json!({})));
    nameless.body = Some(config_map(json!({})));
    pair.refused(400, nameless).await;
    let managed = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": []}});
    pair.refused(400, Ask::apply(&path, "one", managed)).await;
    let mut forced = Ask::merge(&path, "x", json!({}));
    forced.path.push_str("&force=true");
    pair.refused(422, forced).await;
}

#[tokio::test]
async fn a_status_is_owned_through_its_own_door() {
    let pair = Pair::bare().await;
    pair.namespace("apply-status").await;
    let path = "/api/v1/namespaces/apply-status/resourcequotas/q";
    let quota = |hard: Value, status: Value| json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": hard, "status": status});
    let body = quota(json!({"hard": {"pods": "1000m"}}), json!({"hard": {"pods": "5"}}));
    pair.code(201, Ask::apply(path, "one", body)).await;
}
