//! A tenant's objects, rendered by the product's own renderer and applied by plain calls: what any agent at least has to do.

use anyhow::{Context as _, anyhow};
use berth_model::{
    ClusterName, Generation, Placement, Revision, Tenant, TenantId, TenantSpec, Tier, TierName, Timestamp,
    Uid,
};
use berth_render::{Input, render};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use serde_json::Value;

/// The objects of a tenant of `tier` without bundles, in the order of their phases.
///
/// # Errors
/// The name is none, or there is no such built-in tier.
pub fn rendered(id: &str, tier: &str) -> anyhow::Result<Vec<Value>> {
    let name = TierName::new(tier)?;
    let tiers = berth_model::catalogue::tiers()?;
    let spec = tiers
        .into_iter()
        .find(|(known, _)| *known == name)
        .context("no such tier")?
        .1;
    let tier = Tier {
        name: name.clone(),
        uid: Uid::new("tier")?,
        generation: Generation(1),
        revision: Revision(1),
        spec,
    };
    let tenant = Tenant {
        id: TenantId::new(id)?,
        uid: Uid::new(format!("uid-{id}"))?,
        generation: Generation(1),
        revision: Revision(1),
        created_at: Timestamp::UNIX_EPOCH,
        deleting_since: None,
        spec: TenantSpec::of_tier(name),
    };
    let placement = Placement::Namespace {
        cluster: ClusterName::new("bench")?,
    };
    let input = Input {
        tenant: &tenant,
        tier: &tier,
        placement: &placement,
        bundles: &[],
        istio: false,
    };
    let rendered = render(&input).map_err(|violations| anyhow!("{violations:?}"))?;
    Ok(rendered
        .objects
        .into_iter()
        .map(|object| object.manifest)
        .collect())
}

/// The path of an object of one of the kinds a tenant has.
fn path(object: &Value) -> anyhow::Result<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&object["kind"]).context("an object without kind")?;
    let version = text(&object["apiVersion"]).context("an object without apiVersion")?;
    let name = text(&object["metadata"]["name"]).context("an object without a name")?;
    let plural = match kind.as_str() {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let root = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    Ok(match text(&object["metadata"]["namespace"]) {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{plural}/{name}"),
    })
}

/// Applies the objects by server-side apply, one after another.
///
/// # Errors
/// The API refuses one.
pub async fn apply(client: &Client, objects: &[Value]) -> anyhow::Result<()> {
    for object in objects {
        let path = path(object)?;
        let request = http::Request::patch(format!("{path}?fieldManager=raw&force=true"))
            .header("content-type", "application/apply-patch+yaml")
            .body(serde_json::to_vec(object)?)?;
        client
            .request_text(request)
            .await
            .with_context(|| format!("apply {path}"))?;
    }
    Ok(())
}

/// Applies the objects of several tenants with so many callers.
///
/// # Errors
/// The API refuses one.
pub async fn apply_all(client: &Client, tenants: &[Vec<Value>], callers: usize) -> anyhow::Result<()> {
    futures::stream::iter(tenants)
        .map(|objects| apply(client, objects))
        .buffer_unordered(callers)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_a_tenant_has_a_path() {
        let objects = rendered("acme", "standard").expect("objects");
        assert!(objects.len() > 5);
        let paths: Vec<String> = objects
            .iter()
            .map(|object| path(object).expect("a path"))
            .collect();
        assert_eq!(paths[0], "/api/v1/namespaces/t-acme");
        assert!(paths.iter().any(|path| path.starts_with("/apis/networking.k8s.io/v1/namespaces/t-acme/networkpolicies/")));
    }
}
