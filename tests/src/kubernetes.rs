//! A cluster's own API, as its administrator: what is there, what comes, what goes, and who writes how much.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::Context as _;
use berth_fake::{Access, Credentials};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

use crate::waiting::{LONG, until, within};

/// A client with the rights of `access`, with connections of its own.
///
/// # Errors
/// The access cannot be used.
pub async fn client(access: &Access) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig("test"))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // What the API says is what a test wants to see.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// A kubeconfig for a service account, as its pod would have.
///
/// # Errors
/// There is no such account.
pub async fn account_kubeconfig(
    client: &Client,
    access: &Access,
    namespace: &str,
    account: &str,
) -> anyhow::Result<String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(24 * 3600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await;
    let answer = answer.with_context(|| format!("ask for a token of {namespace}/{account}"))?;
    let token = answer.status.context("no token")?.token;
    let access = Access {
        credentials: Credentials::Token(token),
        ..access.clone()
    };
    Ok(access.kubeconfig("agent"))
}

/// Watches one object until the condition holds.
///
/// # Errors
/// It does not within [`LONG`].
pub async fn becomes<T>(
    api: &Api<T>,
    name: &str,
    what: &str,
    condition: impl Condition<T>,
) -> anyhow::Result<Option<T>>
where
    T: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    within(LONG, &format!("{name} {what}"), async {
        Ok(await_condition(api.clone(), name, condition).await?)
    })
    .await
}

/// Waits until there is such an object.
///
/// # Errors
/// There is none within [`LONG`].
pub async fn appears<T>(api: &Api<T>, name: &str) -> anyhow::Result<T>
where
    T: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    becomes(api, name, "appears", |object: Option<&T>| object.is_some())
        .await?
        .context("nothing")
}

/// Waits until there is no such object.
///
/// # Errors
/// There still is one after [`LONG`].
pub async fn disappears<T>(api: &Api<T>, name: &str) -> anyhow::Result<()>
where
    T: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    becomes(api, name, "disappears", |object: Option<&T>| object.is_none())
        .await
        .map(drop)
}

/// Names of the objects of a kind.
///
/// # Errors
/// The API does not answer.
pub async fn names<T>(api: &Api<T>, labels: &str) -> anyhow::Result<Vec<String>>
where
    T: Clone + Debug + DeserializeOwned + Resource,
{
    let list = api.list_metadata(&ListParams::default().labels(labels)).await?;
    Ok(list
        .items
        .into_iter()
        .filter_map(|object| object.metadata.name)
        .collect())
}

/// A namespace, if there is one.
///
/// # Errors
/// The API does not answer.
pub async fn namespace(client: &Client, name: &str) -> anyhow::Result<Option<Namespace>> {
    Ok(Api::<Namespace>::all(client.clone()).get_opt(name).await?)
}

/// The body of a GET.
///
/// # Errors
/// The API does not answer.
pub async fn get(client: &Client, path: &str) -> anyhow::Result<String> {
    let request = http::Request::get(path).body(Vec::new()).context("a path")?;
    Ok(client.request_text(request).await?)
}

/// How many writes kube-apiserver has answered since its start, by resource and verb, by its own metrics.
///
/// Left out is what goes on in an idle cluster and changes nothing for tenants: leases and heartbeats, events, and questions that are
/// asked by POST.
///
/// # Errors
/// The API does not answer.
pub async fn writes(client: &Client) -> anyhow::Result<BTreeMap<String, u64>> {
    const UNCOUNTED: [&str; 9] = [
        "leases",
        "events",
        "nodes",
        "endpoints",
        "endpointslices",
        "tokenreviews",
        "subjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
    ];
    let metrics = get(client, "/metrics").await?;
    let mut writes = BTreeMap::new();
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{"))
    {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let (Some(resource), Some(verb)) = (label("resource"), label("verb")) else {
            continue;
        };
        let subresource = label("subresource").unwrap_or_default();
        let writing = matches!(
            verb,
            "POST" | "PUT" | "PATCH" | "APPLY" | "DELETE" | "DELETECOLLECTION"
        );
        // Probes of walls only try what they say.
        let tried = label("dry_run").is_some_and(|mode| !mode.is_empty());
        if !writing || tried || UNCOUNTED.contains(&resource) || subresource == "token" {
            continue;
        }
        let count = line
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse::<f64>().ok())
            .unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of whole requests"
        )]
        let count = count as u64;
        *writes
            .entry(format!("{verb} {resource} {subresource}").trim_end().to_owned())
            .or_default() += count;
    }
    Ok(writes)
}

/// What was written between two looks.
#[must_use]
pub fn written(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = |(what, count): (&String, &u64)| {
        let more = count - before.get(what).copied().unwrap_or_default().min(*count);
        (more > 0).then(|| (what.clone(), more))
    };
    after.iter().filter_map(more).collect()
}

/// Deletes a namespace, and waits until it is gone.
///
/// # Errors
/// The API refuses, or it is still there after [`LONG`].
pub async fn delete_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    Api::<Namespace>::all(client.clone())
        .delete(name, &DeleteParams::default())
        .await?;
    namespace_gone(client, name).await
}

/// Looks until the namespace is gone; a namespace's end is asynchronous.
///
/// # Errors
/// It is still there after [`LONG`].
pub async fn namespace_gone(client: &Client, name: &str) -> anyhow::Result<()> {
    until(LONG, &format!("namespace {name} goes"), || async {
        Ok(namespace(client, name).await?.is_none().then_some(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_what_the_second_count_has_more() {
        let before = BTreeMap::from([("PATCH namespaces".to_owned(), 3), ("POST secrets".to_owned(), 1)]);
        let after = BTreeMap::from([
            ("PATCH namespaces".to_owned(), 3),
            ("POST secrets".to_owned(), 2),
            ("DELETE pods".to_owned(), 4),
        ]);
        let expected = BTreeMap::from([("POST secrets".to_owned(), 1), ("DELETE pods".to_owned(), 4)]);
        assert_eq!(written(&before, &after), expected);
    }
}
