//! IssueTenantCredential: a short-lived Kubernetes token for a member of a tenant, by way of its cluster's agent.
//!
//! Who may ask is the listener's to say. The token passes through and is kept nowhere.

use std::time::Duration;

use berth_control::sessions::AskError;
use berth_model::{
    AccessRole, AccessToken, ClusterFacts, ClusterName, NoToken, Tenant, TokenWanted, Violation,
    access::{LONGEST_LIFETIME, SHORTEST_LIFETIME, USUAL_LIFETIME},
};
use berth_proto::v1;
use berth_wire::{names, time};
use http::Uri;
use tonic::{Code, Status};
use tracing::info;

use super::{
    Api,
    error::{invalid, refused, status},
};

/// Answers IssueTenantCredential; `remote` is where it comes from.
pub(super) async fn issue(
    api: &Api,
    remote: &str,
    request: v1::IssueTenantCredentialRequest,
) -> Result<v1::IssueTenantCredentialResponse, Status> {
    let id = names::parse_tenant("name", &request.name).map_err(|v| invalid(vec![v]))?;
    let (role, lifetime) = asked(&request).map_err(invalid)?;
    let tenant = api.registry.tenant(&id).await.map_err(status)?;
    let cluster = placed(api, &tenant)?;
    let facts = api
        .sessions
        .last_facts(&cluster)
        .filter(|_| api.sessions.is_connected(&cluster))
        .ok_or_else(|| away(&cluster))?;
    let facts = reachable(&cluster, facts)?;
    let wanted = TokenWanted {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
        role,
        lifetime,
    };
    let service_account = format!("{}/{}", wanted.namespace(), role.account());
    let token = api
        .sessions
        .mint_token(&cluster, wanted)
        .await
        .map_err(|error| no_token(&tenant, &error))?;
    info!(tenant = %tenant.id, %cluster, %role, %remote, expires = %token.expires_at, "a credential was issued");
    Ok(answer(&tenant, cluster, facts, service_account, &token))
}

fn answer(
    tenant: &Tenant,
    cluster: ClusterName,
    facts: ClusterFacts,
    service_account: String,
    token: &AccessToken,
) -> v1::IssueTenantCredentialResponse {
    v1::IssueTenantCredentialResponse {
        token: token.expose().to_owned(),
        expire_time: Some(time::to_proto(token.expires_at)),
        api_url: facts.api_url,
        api_ca_pem: facts.api_ca_pem,
        namespaces: tenant.namespaces(),
        cluster: cluster.to_string(),
        service_account,
    }
}

/// As whom and for how long; every fault at once.
fn asked(request: &v1::IssueTenantCredentialRequest) -> Result<(AccessRole, Duration), Vec<Violation>> {
    let mut faults = Vec::new();
    let role = request.role.parse::<AccessRole>();
    if role.is_err() {
        let problem = format!("{:?} is no role of a tenant", request.role);
        faults.push(Violation::new("role", problem, "use admin, user or viewer"));
    }
    let lifetime = request
        .lifetime
        .as_ref()
        .map_or(USUAL_LIFETIME, time::span_from_proto);
    if !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime) {
        let problem = format!("{} s is not from 10 minutes to 12 hours", lifetime.as_secs());
        let hint = "ask for less and ask again when it ends; an exec plugin does so by itself";
        faults.push(Violation::new("lifetime", problem, hint));
    }
    match role {
        Ok(role) if faults.is_empty() => Ok((role, lifetime)),
        _ => Err(faults),
    }
}

/// Where the tenant is, if it is there to stay.
fn placed(api: &Api, tenant: &Tenant) -> Result<ClusterName, Status> {
    let id = &tenant.id;
    if tenant.deleting_since.is_some() {
        let message = format!("tenant {id} is being deleted");
        return Err(refused(Code::FailedPrecondition, "TENANT_DELETING", message));
    }
    let known = api.board.get(id).filter(|seen| seen.tenant.uid == tenant.uid);
    let placement = known.and_then(|seen| seen.placement);
    placement.map(|placement| placement.cluster().clone()).ok_or_else(|| {
        let message = format!(
            "tenant {id} is nowhere yet: berth wait tenant/{id} waits for it, berth explain tenant {id} says what it waits for"
        );
        refused(Code::FailedPrecondition, "NOT_PLACED", message)
    })
}

/// The facts of a cluster whose API has an address for people. Inside the cluster it has one that nobody outside can use.
fn reachable(cluster: &ClusterName, facts: ClusterFacts) -> Result<ClusterFacts, Status> {
    let uri = facts.api_url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let inside = host.ends_with(".svc") || host.ends_with(".svc.cluster.local") || host == "kubernetes";
    if !host.is_empty() && !inside {
        return Ok(facts);
    }
    let message = format!(
        "cluster {cluster} does not say where its API is reached from outside: start its agent with --api-url https://HOST:PORT (berth agent manifest {cluster} --no-token --api-url https://HOST:PORT | kubectl apply -f -)"
    );
    Err(refused(Code::FailedPrecondition, "API_URL_UNKNOWN", message))
}

fn away(cluster: &ClusterName) -> Status {
    let message = format!(
        "the agent of cluster {cluster} is away, and only it can issue a token there: see berth describe cluster {cluster}"
    );
    refused(Code::Unavailable, "AGENT_AWAY", message)
}

fn no_token(tenant: &Tenant, error: &AskError) -> Status {
    let id = &tenant.id;
    let (cluster, refusal) = match error {
        AskError::Away { cluster } => return away(cluster),
        AskError::Silent { .. } => {
            return refused(Code::Unavailable, "AGENT_SILENT", format!("{error}; ask again"));
        }
        AskError::Busy { .. } => {
            return refused(
                Code::ResourceExhausted,
                "AGENT_BUSY",
                format!("{error}; ask again in a moment"),
            );
        }
        AskError::Refused { cluster, refused } => (cluster, refused),
    };
    match refusal.reason {
        NoToken::NotHeld | NoToken::NotApplied => refused(
            Code::FailedPrecondition,
            "NOT_APPLIED",
            format!(
                "tenant {id} is not applied on cluster {cluster} yet ({refusal}): berth wait tenant/{id} waits for it"
            ),
        ),
        NoToken::Forbidden => refused(
            Code::FailedPrecondition,
            "AGENT_RIGHTS",
            format!(
                "the agent of cluster {cluster} may not issue tokens ({refusal}): renew its rights with berth agent manifest {cluster} --no-token | kubectl apply -f -"
            ),
        ),
        NoToken::Unreachable => refused(
            Code::Unavailable,
            "API_SERVER_AWAY",
            format!("the API server of cluster {cluster} does not answer its agent ({refusal}); ask again"),
        ),
        NoToken::Busy => refused(
            Code::ResourceExhausted,
            "AGENT_BUSY",
            format!("cluster {cluster}: {refusal}; ask again in a moment"),
        ),
        NoToken::Invalid | NoToken::Other => refused(
            Code::FailedPrecondition,
            "AGENT_REFUSED",
            format!(
                "the agent of cluster {cluster} gives no token: {refusal} (an agent older than this hub has to be updated first)"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{TenantId, TokenRefused};

    use super::*;

    fn request(role: &str, seconds: Option<i64>) -> v1::IssueTenantCredentialRequest {
        v1::IssueTenantCredentialRequest {
            name: "tenants/acme".into(),
            role: role.into(),
            lifetime: seconds.map(|seconds| {
                let mut lifetime = time::span_to_proto(Duration::ZERO);
                lifetime.seconds = seconds;
                lifetime
            }),
        }
    }

    #[test]
    fn a_role_and_a_lifetime_within_bounds_are_taken_and_every_fault_is_told_at_once() {
        let hour = Duration::from_secs(3600);
        assert_eq!(asked(&request("admin", None)), Ok((AccessRole::Admin, hour)));
        assert_eq!(
            asked(&request("viewer", Some(600))),
            Ok((AccessRole::Viewer, Duration::from_secs(600)))
        );
        for (role, seconds, paths) in [
            ("", None, vec!["role"]),
            ("Admin", Some(600), vec!["role"]),
            ("user", Some(599), vec!["lifetime"]),
            ("user", Some(-1), vec!["lifetime"]),
            ("user", Some(43_201), vec!["lifetime"]),
            ("root", Some(0), vec!["role", "lifetime"]),
        ] {
            let faults = asked(&request(role, seconds)).unwrap_err();
            let told: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
            assert_eq!(told, paths, "{role:?} {seconds:?}");
        }
    }

    #[test]
    fn an_address_that_only_pods_can_use_is_none_and_the_error_says_how_to_set_one() {
        let cluster = ClusterName::new("eu-1").unwrap();
        let of = |url: &str| {
            let facts = ClusterFacts {
                api_url: url.into(),
                ..ClusterFacts::default()
            };
            reachable(&cluster, facts)
        };
        for fine in [
            "https://127.0.0.1:6443",
            "https://ABC.gr7.eu-central-1.eks.amazonaws.com",
            "https://api.example:6443/k8s/clusters/c-1",
        ] {
            assert!(of(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "https://kubernetes.default.svc",
            "https://kubernetes.default.svc:443",
            "https://kubernetes.default.svc.cluster.local",
            "https://kubernetes",
        ] {
            let status = of(wrong).unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition, "{wrong}");
            assert!(status.message().contains("--api-url"), "{}", status.message());
        }
    }

    #[test]
    fn every_reason_for_no_token_has_a_status_that_says_what_to_do() {
        let tenant = Tenant {
            id: TenantId::new("acme").unwrap(),
            uid: berth_model::Uid::new("u1").unwrap(),
            generation: berth_model::Generation(1),
            revision: berth_model::Revision(1),
            created_at: berth_model::Timestamp::UNIX_EPOCH,
            deleting_since: None,
            spec: berth_model::TenantSpec::of_tier(berth_model::TierName::new("free").unwrap()),
        };
        let cluster = ClusterName::new("eu-1").unwrap();
        let refused = |reason| AskError::Refused {
            cluster: cluster.clone(),
            refused: TokenRefused::new(reason, "because"),
        };
        for (error, code, says) in [
            (
                refused(NoToken::NotHeld),
                Code::FailedPrecondition,
                "berth wait tenant/acme",
            ),
            (
                refused(NoToken::NotApplied),
                Code::FailedPrecondition,
                "berth wait tenant/acme",
            ),
            (
                refused(NoToken::Forbidden),
                Code::FailedPrecondition,
                "berth agent manifest eu-1",
            ),
            (refused(NoToken::Unreachable), Code::Unavailable, "ask again"),
            (refused(NoToken::Busy), Code::ResourceExhausted, "ask again"),
            (refused(NoToken::Invalid), Code::FailedPrecondition, "because"),
            (refused(NoToken::Other), Code::FailedPrecondition, "updated first"),
            (
                AskError::Away {
                    cluster: cluster.clone(),
                },
                Code::Unavailable,
                "berth describe cluster eu-1",
            ),
            (
                AskError::Silent {
                    cluster: cluster.clone(),
                },
                Code::Unavailable,
                "ask again",
            ),
            (
                AskError::Busy {
                    cluster: cluster.clone(),
                },
                Code::ResourceExhausted,
                "ask again",
            ),
        ] {
            let status = no_token(&tenant, &error);
            assert_eq!(status.code(), code, "{error:?}");
            assert!(status.message().contains(says), "{}", status.message());
        }
    }
}
