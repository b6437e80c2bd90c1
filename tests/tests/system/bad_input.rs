//! What bad input gets: a clear answer, nothing stored, nothing touched.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_proto::v1;
use berth_tests::agent::{Agent, AgentOptions};
use berth_tests::api::{condition, of_tier};
use berth_tests::world::World;
use berth_tests::{install, kubernetes};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::CLUSTER;

/// Paths and problems of an answer's violations.
fn violations(status: &tonic::Status) -> Vec<(String, String)> {
    let request = status.get_details_bad_request();
    let violations = request.into_iter().flat_map(|request| request.field_violations);
    violations
        .map(|violation| (violation.field, violation.description))
        .collect()
}

pub(crate) async fn an_invalid_spec_gets_all_violations_at_once_and_nothing_is_stored(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    let spec = v1::TenantSpec {
        tier: "standrd".to_owned(),
        size: "gigantic".to_owned(),
        environment: "prod".to_owned(),
        namespaces: vec!["Jobs".to_owned()],
        quota: [
            ("requests.cpu".to_owned(), "eight".to_owned()),
            ("requests.cpus".to_owned(), "8".to_owned()),
        ]
        .into(),
        bundles: vec![v1::BundleRef {
            name: "nowhere".to_owned(),
            version: "1.0.0".to_owned(),
            ..v1::BundleRef::default()
        }],
        ..v1::TenantSpec::default()
    };
    let status = api
        .create("faulty", spec)
        .await
        .err()
        .context("an invalid spec is accepted")?;
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    let found = violations(&status);
    for path in [
        "spec.size",
        "spec.environment",
        "requests.cpu",
        "requests.cpus",
        "spec.bundles[0]",
    ] {
        ensure!(
            found.iter().any(|(field, _)| field.contains(path)),
            "nothing about {path} in {found:?}"
        );
    }
    ensure!(
        api.tenant("faulty")
            .await
            .is_err_and(|status| status.code() == Code::NotFound)
    );

    // What is well formed but cannot be is told at once, too: the tier with what was probably meant.
    let spec = v1::TenantSpec {
        tier: "standrd".to_owned(),
        namespaces: vec!["Jobs".to_owned()],
        quota: [("requests.cpus".to_owned(), "8".to_owned())].into(),
        bundles: vec![v1::BundleRef {
            name: "nowhere".to_owned(),
            version: "1.0.0".to_owned(),
            ..v1::BundleRef::default()
        }],
        ..v1::TenantSpec::default()
    };
    let status = api
        .create("faulty", spec)
        .await
        .err()
        .context("an unknown tier is accepted")?;
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    let found = violations(&status);
    let told = |path: &str, word: &str| {
        found
            .iter()
            .any(|(field, text)| field.contains(path) && text.contains(word))
    };
    ensure!(told("tier", "standard"), "no hint for the tier: {found:?}");
    ensure!(
        told("bundles[0]", "nowhere"),
        "nothing about the bundle: {found:?}"
    );

    // The same by the command line, with the paths as in the file.
    let file = "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata:\n  name: faulty\nspec:\n  teir: free\n  size: gigantic\n";
    let called = cli.call_with(&["apply", "-f", "-"], file).await?;
    ensure!(called.code == 3, "{called:?}");
    ensure!(
        called.said().contains("spec.teir") && called.said().contains("tier"),
        "{}",
        called.said()
    );
    ensure!(called.said().contains("spec.size"), "{}", called.said());
    ensure!(
        api.tenant("faulty")
            .await
            .is_err_and(|status| status.code() == Code::NotFound)
    );
    Ok(())
}

pub(crate) async fn unknown_tiers_duplicates_stale_etags_and_bad_names_get_a_clear_status(
    world: &World,
) -> anyhow::Result<()> {
    let api = world.api()?;
    for name in [
        "Upper",
        "two--dashes",
        "-edge",
        "under_score",
        "a-name-that-is-much-longer-than-forty-letters",
        "",
        "a/b",
    ] {
        let status = api
            .create(name, of_tier("free"))
            .await
            .err()
            .with_context(|| format!("{name:?} is accepted"))?;
        ensure!(status.code() == Code::InvalidArgument, "{name:?}: {status:?}");
    }
    api.create("twin", of_tier("free")).await?;
    let status = api
        .create("twin", of_tier("free"))
        .await
        .err()
        .context("a duplicate is accepted")?;
    ensure!(status.code() == Code::AlreadyExists, "{status:?}");

    let first = api.tenant("twin").await?;
    let change = v1::TenantSpec {
        size: "small".to_owned(),
        ..of_tier("free")
    };
    api.update("twin", change.clone()).await?;
    let stale = v1::Tenant {
        spec: Some(of_tier("free")),
        ..first
    };
    let request = v1::UpdateTenantRequest {
        tenant: Some(stale),
        ..v1::UpdateTenantRequest::default()
    };
    let status = api
        .tenants()
        .update_tenant(request)
        .await
        .err()
        .context("a stale etag is accepted")?;
    ensure!(status.code() == Code::Aborted, "{status:?}");
    ensure!(
        api.tenant("twin")
            .await?
            .spec
            .is_some_and(|spec| spec.size == change.size)
    );

    let status = api
        .update("twin", of_tier("premium"))
        .await
        .err()
        .context("the isolation may change")?;
    ensure!(
        matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition),
        "{status:?}"
    );
    let status = api
        .update("nobody-here", of_tier("free"))
        .await
        .err()
        .context("an update of nobody")?;
    ensure!(status.code() == Code::NotFound, "{status:?}");
    let status = api
        .delete("nobody-here")
        .await
        .err()
        .context("a deletion of nobody")?;
    ensure!(status.code() == Code::NotFound, "{status:?}");
    let request = v1::DeleteTierRequest {
        name: "tiers/free".to_owned(),
        ..v1::DeleteTierRequest::default()
    };
    let status = api
        .tiers()
        .delete_tier(request)
        .await
        .err()
        .context("a tier in use is deleted")?;
    ensure!(status.code() == Code::FailedPrecondition, "{status:?}");
    api.remove("twin").await
}

pub(crate) async fn a_quota_larger_than_any_cluster_is_placed_nowhere_and_explain_says_why(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    let quota = [
        ("requests.cpu".to_owned(), "5000".to_owned()),
        ("limits.cpu".to_owned(), "5000".to_owned()),
    ];
    let spec = v1::TenantSpec {
        quota: quota.into(),
        ..of_tier("standard")
    };
    match api.create("giant", spec).await {
        // Told at once that no cluster will do is as good as an accepted tenant that says so.
        Err(status) => ensure!(status.code() == Code::InvalidArgument, "{status:?}"),
        Ok(_) => {
            let tenant = api
                .until("giant", "placed nowhere", |tenant| {
                    condition(tenant, "Placed").status == "False"
                })
                .await?;
            let placed = condition(&tenant, "Placed");
            ensure!(
                !placed.reason.is_empty() && !placed.message.is_empty(),
                "{placed:?}"
            );
            let request = v1::ExplainTenantRequest {
                name: "tenants/giant".to_owned(),
                tenant: None,
            };
            let explained = api.tenants().explain_tenant(request).await?.into_inner();
            let candidate = explained
                .candidates
                .iter()
                .find(|candidate| candidate.cluster.ends_with(CLUSTER));
            let candidate =
                candidate.with_context(|| format!("{CLUSTER} is not explained: {explained:?}"))?;
            ensure!(
                !candidate.fits && !candidate.constraint.is_empty(),
                "{candidate:?}"
            );
            ensure!(candidate.detail.contains("5000"), "no numbers: {candidate:?}");
            let said = cli.output(&["explain", "tenant", "giant"]).await?;
            ensure!(
                said.contains(CLUSTER) && said.contains(&candidate.constraint),
                "{said}"
            );
            api.remove("giant").await?;
        }
    }
    // No cluster has what another asks for.
    let placement = v1::PlacementConstraints {
        cluster_labels: [("compliance".to_owned(), "none-has-it".to_owned())].into(),
        ..v1::PlacementConstraints::default()
    };
    api.create(
        "picky",
        v1::TenantSpec {
            placement: Some(placement),
            ..of_tier("free")
        },
    )
    .await?;
    api.until("picky", "placed nowhere", |tenant| {
        condition(tenant, "Placed").status == "False"
    })
    .await?;
    let said = cli.output(&["explain", "tenant", "picky"]).await?;
    ensure!(said.contains(CLUSTER) && said.contains("compliance"), "{said}");
    api.remove("picky").await
}

pub(crate) async fn a_namespace_that_is_not_ours_is_a_conflict_and_stays_untouched(
    world: &World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    let namespaces = Api::<Namespace>::all(kube.clone());
    let foreign = json!({"metadata": {"name": "t-squatter", "labels": {"owner": "somebody-else"}}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(foreign)?)
        .await?;
    let configs = Api::<ConfigMap>::namespaced(kube.clone(), "t-squatter");
    kubernetes::appears(&configs, "kube-root-ca.crt").await?;
    let before = namespaces.get("t-squatter").await?;

    api.create("squatter", of_tier("free")).await?;
    let tenant = api
        .until("squatter", "in conflict", |tenant| {
            let applied = condition(tenant, "Applied");
            applied.status == "False" && applied.reason == "NameConflict"
        })
        .await?;
    ensure!(condition(&tenant, "Ready").status == "False");
    ensure!(condition(&tenant, "Applied").message.contains("t-squatter"));
    let after = namespaces.get("t-squatter").await?;
    ensure!(
        before.metadata.resource_version == after.metadata.resource_version,
        "{after:?}"
    );
    let quotas = Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(kube.clone(), "t-squatter");
    ensure!(kubernetes::names(&quotas, "").await?.is_empty());

    // Deleting the tenant does not touch what is not its own either.
    api.remove("squatter").await?;
    let after = namespaces.get("t-squatter").await?;
    ensure!(after.metadata.deletion_timestamp.is_none() && before.metadata.uid == after.metadata.uid);
    namespaces.delete("t-squatter", &DeleteParams::default()).await?;
    Ok(())
}

pub(crate) async fn a_token_that_was_used_or_is_expired_or_foreign_is_refused(
    world: &World,
) -> anyhow::Result<()> {
    let api = world.api()?;
    let kube = world.kube(CLUSTER)?;
    let member = world.members.get(CLUSTER).context("the shared cluster")?;
    let good = api.token("stranger").await?;
    // Any cluster will do: whoever is refused writes nothing into it but the key it made.
    install::apply(
        &kube,
        &[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})],
    )
    .await?;
    let directory = world.directory("refused")?;
    let attempt = async |name: &str, token: &str, pin: &str| -> anyhow::Result<String> {
        let options = AgentOptions {
            hub: world.hub.agent_url(),
            ca_pin: Some(pin.to_owned()),
            token: Some(token.to_owned()),
            kubeconfig: member.access.kubeconfig("test"),
            withdraw_limit: 3,
        };
        let mut agent = Agent::start_in(&world.programs, &directory.join(name), options, "elsewhere")?;
        let status = agent.process().ended(Duration::from_secs(60)).await?;
        ensure!(!status.success(), "an agent with a {name} token ends well");
        Ok(agent.log_end(20))
    };
    let said = attempt("used", &member.used.token, &member.used.ca_pin).await?;
    ensure!(said.contains("token"), "{said}");
    let secret = good.token.split_once('.').context("a token without a dot")?;
    let wrong = format!("{}.{}", secret.0, secret.1.chars().rev().collect::<String>());
    let said = attempt("wrong", &wrong, &good.ca_pin).await?;
    ensure!(said.contains("token"), "{said}");
    let foreign_pin = format!("sha256:{}", "ab".repeat(32));
    let said = attempt("foreign-pin", &good.token, &foreign_pin).await?;
    ensure!(
        said.contains("--ca-pin") || said.contains("certificate authority"),
        "{said}"
    );

    let expired = api
        .token_for(v1::CreateJoinTokenRequest {
            cluster: "stranger".to_owned(),
            ttl: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..v1::CreateJoinTokenRequest::default()
        })
        .await?;
    let expires = expired
        .join_token
        .clone()
        .and_then(|token| token.expire_time)
        .context("no expiry")?;
    berth_tests::waiting::until(Duration::from_secs(30), "the token expires", || async {
        let now = berth_tests::waiting::now().as_second();
        Ok((now > expires.seconds).then_some(()))
    })
    .await?;
    let said = attempt("expired", &expired.token, &expired.ca_pin).await?;
    ensure!(said.contains("token"), "{said}");

    let mine = api.token("stranger").await?;
    let request = v1::DeleteJoinTokenRequest {
        name: mine.join_token.clone().unwrap_or_default().name,
    };
    api.tokens().delete_join_token(request).await?;
    let said = attempt("taken-back", &mine.token, &mine.ca_pin).await?;
    ensure!(said.contains("token"), "{said}");
    ensure!(
        world.hub.log_end(400).contains("token"),
        "the hub logs no refusal"
    );
    ensure!(
        api.cluster("stranger").await?.is_none(),
        "a refused agent has made a cluster"
    );
    let namespaces = Api::<Namespace>::all(kube.clone());
    namespaces.delete("elsewhere", &DeleteParams::default()).await?;
    Ok(())
}
