//! What tests look for in a tenant's namespace.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::ListParams;
use kube::{Api, Client};

/// Checks that everything a tenant's namespace must have is there and in force.
pub(crate) async fn ensure_complete(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let quotas = Api::<ResourceQuota>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await?;
    let quota = quotas
        .items
        .first()
        .with_context(|| format!("no quota in {namespace}"))?;
    let asked = quota
        .spec
        .as_ref()
        .and_then(|spec| spec.hard.clone())
        .context("a quota without amounts")?;
    let in_force = quota
        .status
        .as_ref()
        .and_then(|status| status.hard.clone())
        .unwrap_or_default();
    ensure!(
        asked == in_force,
        "the quota of {namespace} is not in force: {asked:?}, but {in_force:?}"
    );

    let limits = Api::<LimitRange>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await?;
    ensure!(!limits.items.is_empty(), "no limit range in {namespace}");
    ensure_walled(client, namespace).await?;

    let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await?;
    let roles: Vec<&str> = bindings
        .items
        .iter()
        .map(|binding| binding.role_ref.name.as_str())
        .collect();
    ensure!(
        roles.contains(&berth_model::label::ROLE_TENANT_ADMIN),
        "nobody is bound to the tenant admin's role in {namespace}, only to {roles:?}"
    );
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await?;
    let accounts: Vec<String> = accounts
        .items
        .into_iter()
        .filter_map(|account| account.metadata.name)
        .collect();
    for wanted in [
        berth_model::label::DEPLOYER_ACCOUNT,
        berth_model::label::WORKLOAD_ACCOUNT,
    ] {
        ensure!(
            accounts.iter().any(|account| account == wanted),
            "no account {wanted} in {namespace}: {accounts:?}"
        );
    }
    Ok(())
}

/// Checks that a policy refuses everything that no other allows.
async fn ensure_walled(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await?;
    let denies_all = policies
        .items
        .iter()
        .filter_map(|policy| policy.spec.as_ref())
        .any(|spec| {
            let selector = spec.pod_selector.clone().unwrap_or_default();
            let everyone = selector.match_labels.is_none_or(|labels| labels.is_empty())
                && selector
                    .match_expressions
                    .is_none_or(|expressions| expressions.is_empty());
            let types = spec.policy_types.clone().unwrap_or_default();
            everyone
                && types.iter().any(|kind| kind == "Ingress")
                && spec.ingress.as_ref().is_none_or(Vec::is_empty)
        });
    ensure!(denies_all, "no policy denies by default in {namespace}");
    ensure!(
        policies.items.len() >= 3,
        "same tenant and DNS are not let through in {namespace}"
    );
    Ok(())
}

/// Names of the network policies of a namespace.
pub(crate) async fn policies(client: &Client, namespace: &str) -> anyhow::Result<Vec<String>> {
    berth_tests::kubernetes::names(&Api::<NetworkPolicy>::namespaced(client.clone(), namespace), "").await
}
