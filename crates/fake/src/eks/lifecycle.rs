//! How what was started comes to its end: after its time, with the backend's help, each in a task of its own.

use std::{sync::Arc, time::Duration};

use super::{
    Authenticator, Error, Inner, Timings, authenticate,
    backend::BoxError,
    faults::Issue,
    nodes,
    operations::clusters,
    state::{Body, set_status, status, text},
    store,
};
use crate::access::Access;
use serde_json::{Value, json};

/// Something under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    CreateCluster { cluster: String },
    DeleteCluster { cluster: String },
    CreateNodegroup { cluster: String, group: String },
    DeleteNodegroup { cluster: String, group: String },
    Update { cluster: String, id: String },
}

/// Lets it take its course.
pub(super) fn begin(inner: &Arc<Inner>, transition: Transition) {
    inner.under_way.send_modify(|count| *count += 1);
    let mut advanced = inner.advanced.subscribe();
    let inner_ = inner.clone();
    inner.tasks.spawn(async move {
        let inner = inner_;
        let due = wait(inner.timings, &transition);
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = due => {}
            _ = advanced.changed() => {}
        }
        finish(&inner, transition).await;
        store::save(&inner);
        inner.under_way.send_modify(|count| *count -= 1);
    });
}

async fn wait(timings: Timings, transition: &Transition) {
    let Timings::Real {
        cluster,
        nodegroup,
        update,
    } = timings
    else {
        return std::future::pending().await;
    };
    let time: Duration = match transition {
        Transition::CreateCluster { .. } | Transition::DeleteCluster { .. } => cluster,
        Transition::CreateNodegroup { .. } | Transition::DeleteNodegroup { .. } => nodegroup,
        Transition::Update { .. } => update,
    };
    tokio::time::sleep(time).await;
}

async fn finish(inner: &Arc<Inner>, transition: Transition) {
    match transition {
        Transition::CreateCluster { cluster } => finish_cluster(inner, &cluster).await,
        Transition::DeleteCluster { cluster } => {
            let adopted = inner
                .state()
                .clusters
                .get(&cluster)
                .is_none_or(|record| record.adopted);
            if !adopted && let Err(error) = inner.backend.stop_cluster(&cluster).await {
                tracing::error!(%error, cluster, "the backend did not stop a cluster");
            }
            inner.state().clusters.remove(&cluster);
        }
        Transition::CreateNodegroup { cluster, group } => finish_nodegroup(inner, &cluster, &group).await,
        Transition::DeleteNodegroup { cluster, group } => {
            if let Some((body, access)) = nodegroup(inner, &cluster, &group)
                && let Err(error) = with_client(inner, &cluster, &access, |client| async move {
                    nodes::remove_all(&client, &body).await
                })
                .await
            {
                tracing::error!(%error, cluster, group, "nodes were not removed");
            }
            if let Ok(record) = inner.state().cluster(&cluster) {
                record.nodegroups.remove(&group);
            }
        }
        Transition::Update { cluster, id } => finish_update(inner, &cluster, &id).await,
    }
}

fn authenticator(inner: &Arc<Inner>, cluster: &str) -> Authenticator {
    let (weak, name) = (Arc::downgrade(inner), cluster.to_owned());
    Authenticator {
        webhook_url: inner.webhook.url(cluster),
        webhook_ca_pem: inner.webhook.ca_pem.clone(),
        check: Arc::new(move |token| {
            let user = authenticate::user(weak.upgrade()?.as_ref(), &name, token)?;
            Some((user.name, user.groups))
        }),
    }
}

fn ail(body: &mut Body, status: &str, (code, message): Issue) {
    set_status(body, status);
    let ids = json!([text(body, "arn")]);
    body.insert(
        "health".to_owned(),
        json!({"issues": [{"code": code, "message": message, "resourceIds": ids}]}),
    );
}

async fn finish_cluster(inner: &Arc<Inner>, name: &str) {
    let asked = {
        let mut state = inner.state();
        let Ok(record) = state.cluster(name) else { return };
        if let Some(issue) = record.breaks.take() {
            ail(&mut record.body, "FAILED", issue);
            return;
        }
        text(&record.body, "version").to_owned()
    };
    let started = inner
        .backend
        .start_cluster(name, &asked, authenticator(inner, name))
        .await;
    let mut state = inner.state();
    let Ok(record) = state.cluster(name) else { return };
    match started {
        Ok(access) => {
            clusters::show_access(&mut record.body, &access);
            record.access = Some(access);
            set_status(&mut record.body, "ACTIVE");
        }
        Err(error) => ail(
            &mut record.body,
            "FAILED",
            ("InternalFailure".to_owned(), error.to_string()),
        ),
    }
}

fn nodegroup(inner: &Inner, cluster: &str, group: &str) -> Option<(Body, Access)> {
    let state = inner.state();
    let record = state.clusters.get(cluster)?;
    Some((record.nodegroups.get(group)?.body.clone(), record.access.clone()?))
}

async fn with_client<F>(
    inner: &Inner,
    cluster: &str,
    access: &Access,
    work: impl FnOnce(kube::Client) -> F,
) -> Result<(), BoxError>
where
    F: Future<Output = Result<(), BoxError>>,
{
    match inner.backend.client(cluster, access).await? {
        Some(client) => work(client).await,
        None => Ok(()),
    }
}

async fn finish_nodegroup(inner: &Arc<Inner>, cluster: &str, group: &str) {
    {
        let mut state = inner.state();
        let Ok(record) = state.cluster(cluster).and_then(|record| record.nodegroup(group)) else {
            return;
        };
        // Deleted while it was being made: the deletion ends it.
        if status(&record.body) != "CREATING" {
            return;
        }
        if let Some(issue) = record.breaks.take() {
            ail(&mut record.body, "CREATE_FAILED", issue);
            return;
        }
    }
    let outcome = write_nodes(inner, cluster, group).await;
    let mut state = inner.state();
    let Ok(record) = state.cluster(cluster).and_then(|record| record.nodegroup(group)) else {
        return;
    };
    if status(&record.body) != "CREATING" {
        return;
    }
    match outcome {
        Ok(()) => set_status(&mut record.body, "ACTIVE"),
        Err(error) => {
            ail(
                &mut record.body,
                "CREATE_FAILED",
                ("NodeCreationFailure".to_owned(), error.to_string()),
            );
        }
    }
}

async fn write_nodes(inner: &Inner, cluster: &str, group: &str) -> Result<(), BoxError> {
    let Some((body, access)) = nodegroup(inner, cluster, group) else {
        return Ok(());
    };
    let region = inner.region.clone();
    with_client(inner, cluster, &access, |client| async move {
        nodes::match_count(&client, &body, &region).await
    })
    .await
}

async fn finish_update(inner: &Arc<Inner>, cluster: &str, id: &str) {
    let group = {
        let mut state = inner.state();
        let Ok(record) = state.cluster(cluster) else {
            return;
        };
        let Some(update) = record.updates.get_mut(id) else {
            return;
        };
        set_status(&mut update.body, "Successful");
        let (group, changes) = (update.nodegroup.clone(), std::mem::take(&mut update.changes));
        let body = match &group {
            Some(group) => record.nodegroups.get_mut(group).map(|group| &mut group.body),
            None => Some(&mut record.body),
        };
        let Some(body) = body else { return };
        let mut whole = Value::Object(std::mem::take(body));
        for (pointer, value) in changes {
            if let Some(target) = whole.pointer_mut(&pointer) {
                *target = value;
            }
        }
        *body = super::state::object(whole);
        if status(body) == "UPDATING" {
            set_status(body, "ACTIVE");
        }
        group
    };
    if let Some(group) = group
        && let Err(error) = write_nodes(inner, cluster, &group).await
    {
        tracing::error!(%error, cluster, group, "nodes were not brought to the new size");
    }
}

/// After a start: brings back the clusters of an earlier run and goes on with what was under way.
pub(super) async fn resume(inner: &Arc<Inner>) -> Result<(), Error> {
    let mut transitions = Vec::new();
    let mut alive = Vec::new();
    for (name, record) in &inner.state().clusters {
        let cluster = name.clone();
        match status(&record.body) {
            "CREATING" => transitions.push(Transition::CreateCluster { cluster }),
            "DELETING" => transitions.push(Transition::DeleteCluster { cluster }),
            "ACTIVE" | "UPDATING" if !record.adopted => {
                alive.push((cluster, text(&record.body, "version").to_owned()));
            }
            _ => {}
        }
        for (group, it) in &record.nodegroups {
            let (cluster, group) = (name.clone(), group.clone());
            match status(&it.body) {
                "CREATING" => transitions.push(Transition::CreateNodegroup { cluster, group }),
                "DELETING" => transitions.push(Transition::DeleteNodegroup { cluster, group }),
                _ => {}
            }
        }
        let unfinished = record
            .updates
            .iter()
            .filter(|(_, update)| status(&update.body) == "InProgress");
        transitions.extend(unfinished.map(|(id, _)| Transition::Update {
            cluster: name.clone(),
            id: id.clone(),
        }));
    }
    for (cluster, version) in alive {
        let failed = |source| Error::Backend {
            cluster: cluster.clone(),
            source,
        };
        let access = inner
            .backend
            .start_cluster(&cluster, &version, authenticator(inner, &cluster))
            .await
            .map_err(failed)?;
        if let Ok(record) = inner.state().cluster(&cluster) {
            clusters::show_access(&mut record.body, &access);
            record.access = Some(access);
        }
        restore_nodes(inner, &cluster).await.map_err(failed)?;
    }
    for transition in transitions {
        begin(inner, transition);
    }
    Ok(())
}

/// Writes the Node objects of a cluster's active node groups, where they are missing.
pub(super) async fn restore_nodes(inner: &Arc<Inner>, cluster: &str) -> Result<(), BoxError> {
    let groups: Vec<String> = {
        let state = inner.state();
        let groups = state.clusters.get(cluster).map(|record| record.nodegroups.iter());
        let active = groups
            .into_iter()
            .flatten()
            .filter(|(_, group)| status(&group.body) == "ACTIVE");
        active.map(|(name, _)| name.clone()).collect()
    };
    for group in groups {
        write_nodes(inner, cluster, &group).await?;
    }
    Ok(())
}
