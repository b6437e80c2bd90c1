//! Evidence of isolation on a real API server, with the rights of the agent's manifest: what holds is seen to hold, and a wall that
//! is taken away is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/hub.rs"]
mod hub;
mod support;

use std::{collections::BTreeMap, sync::Arc};

use berth_agent::{Cluster, Options, run_in};
use berth_fake::control_plane::ControlPlane;
use berth_identity::{certificate, seal};
use berth_model::{
    Assignment, ClusterName, Evidence, Generation, Placement, ProbeOutcome, Revision, Tenant, TenantId,
    TenantSpec, Term, Tier, TierName, Uid, catalogue, tenant::Subject,
};
use berth_proto::agent::{
    self, link_request::Message as FromAgent, link_response::Message as ToAgent, request::Question,
};
use berth_wire::{evidence, link, objects};
use http::Method;
use hub::{Fleet, Hub, Session};
use serde_json::{Value, json};
use support::{account, ask, control_plane, install, manifest_options, until};
use tokio_util::sync::CancellationToken;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

fn acme() -> Tenant {
    let mut spec = TenantSpec::of_tier(TierName::new("standard").unwrap());
    spec.members.admins = vec![Subject::Group {
        name: "acme-admins".into(),
    }];
    spec.members.viewers = vec![Subject::User { name: "vera".into() }];
    Tenant {
        id: TenantId::new("acme").unwrap(),
        uid: Uid::new("u1").unwrap(),
        generation: Generation(1),
        revision: Revision(1),
        created_at: hub::now(),
        deleting_since: None,
        spec,
    }
}

fn assign(nonce: u64) -> Vec<ToAgent> {
    let tenant = acme();
    let cluster = ClusterName::new("eu-1").unwrap();
    let (name, spec) = catalogue::tiers()
        .unwrap()
        .into_iter()
        .find(|(name, _)| *name == tenant.spec.tier)
        .unwrap();
    let tier = Tier {
        name,
        uid: Uid::new("tier").unwrap(),
        generation: Generation(1),
        revision: Revision(1),
        spec,
    };
    let rendered = berth_render::render(&berth_render::Input {
        tenant: &tenant,
        tier: &tier,
        placement: &Placement::Namespace {
            cluster: cluster.clone(),
        },
        bundles: &[],
        istio: false,
    })
    .unwrap();
    let assignment = Assignment {
        tenant: tenant.id,
        uid: tenant.uid,
        cluster,
        generation: Generation(1),
        digest: rendered.digest,
        term: Term(1),
    };
    let lines = objects::encode_objects(&rendered.objects).unwrap();
    let packed = objects::compress(&lines).unwrap().into();
    let parts = link::chunk_assign(&assignment, nonce, &packed, 100_000);
    parts.into_iter().map(ToAgent::Assign).collect()
}

/// A cluster with an agent that holds one tenant, seen from the hub.
struct Stage {
    plane: ControlPlane,
    fleet: Arc<Fleet>,
    _hub: Hub,
    session: Session,
    _stop: tokio_util::sync::DropGuard,
}

impl Stage {
    async fn new() -> Self {
        let plane = control_plane().await;
        install(&plane, &manifest_options()).await;
        let fleet = Fleet::new();
        let mut hub = Hub::start(&fleet).await;
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), fleet.token()).unwrap();
        let options = Options {
            token_file: Some(token.path().to_owned()),
            ca_pin: Some(fleet.pin().into()),
            ..support::options(hub.url())
        };
        let access = plane.access();
        let cluster = Cluster {
            client: account(&plane, "berth-system", "berth-agent").await,
            api_url: access.url,
            api_ca_pem: access.ca_pem,
        };
        let stop = CancellationToken::new();
        tokio::spawn(run_in(cluster, options, stop.clone()));
        let (session, _) = hub.session().await;
        session.welcome(1).await;
        session.ping();
        for message in assign(1) {
            session.say(message).await;
        }
        drop(token);
        Self {
            plane,
            fleet,
            _hub: hub,
            session,
            _stop: stop.drop_guard(),
        }
    }

    /// What the agent proves next, after its signature was verified as an auditor would.
    async fn proven(&mut self) -> Evidence {
        let report = self.session.until("evidence", |message| match message {
            FromAgent::Evidence(report) => Some(report),
            _ => None,
        });
        let (sealed, age) = link::evidence_from_proto(&report.await);
        assert!(age.is_some());
        let statement = evidence::unpack(&sealed.statement_zstd).unwrap();
        let certificate = self.fleet.issued.lock().unwrap().clone().unwrap();
        let certificate = certificate::first(&certificate).unwrap();
        assert_eq!(
            seal::verifies(&certificate, &statement, &sealed.signature),
            Ok(true)
        );
        evidence::read_statement(&statement).unwrap()
    }

    /// What is proven as soon as it is as `wanted`: a pass that began before a change says nothing of it.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Evidence) -> bool) -> Evidence {
        let search = async {
            loop {
                let evidence = self.proven().await;
                if wanted(&evidence) {
                    return evidence;
                }
            }
        };
        let found = tokio::time::timeout(std::time::Duration::from_secs(60), search).await;
        found.unwrap_or_else(|_| panic!("not proven: {what}"))
    }

    /// Has the tenant probed.
    async fn probe(&mut self) {
        let request = agent::Request {
            id: 7,
            deadline: None,
            question: Some(Question::ProbeTenant(agent::ProbeTenant {
                tenant: "acme".into(),
                tenant_uid: "u1".into(),
            })),
        };
        self.session.say(ToAgent::Request(request)).await;
        let reply = self.session.until("the answer", |message| match message {
            FromAgent::Reply(reply) => Some(reply),
            _ => None,
        });
        assert_eq!(reply.await.error, "");
    }

    /// Whether the tenant's admins may change its quota, as the API server knows it now.
    async fn may_patch_quotas(&self) -> bool {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "somebody", "groups": ["acme-admins"], "resourceAttributes": {
                "namespace": "t-acme", "verb": "patch", "resource": "resourcequotas",
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        self.admin(Method::POST, path, Some(&review)).await["status"]["allowed"] == true
    }

    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = ask(&self.plane.client(), method, path, body).await;
        assert!(status < 300, "{path}: {answer:#}");
        answer
    }
}

/// The holes, by probe.
fn holes(evidence: &Evidence) -> BTreeMap<String, String> {
    let failed = evidence.probes.iter().filter_map(|probe| match &probe.outcome {
        ProbeOutcome::Failed { hole } => Some((probe.name.clone(), hole.clone())),
        _ => None,
    });
    failed.collect()
}

/// What has come to `before`.
fn new_holes(evidence: &Evidence, before: &Evidence) -> BTreeMap<String, String> {
    let before = holes(before);
    let mut found = holes(evidence);
    found.retain(|name, _| !before.contains_key(name));
    found
}

fn outcome<'a>(evidence: &'a Evidence, name: &str) -> &'a ProbeOutcome {
    let probe = evidence.probes.iter().find(|probe| probe.name == name);
    &probe.unwrap_or_else(|| panic!("no probe {name}")).outcome
}

#[tokio::test]
async fn with_the_manifest_every_wall_is_seen_to_hold_and_one_that_is_taken_away_is_named() {
    let mut stage = Stage::new().await;
    let sound = stage.proven().await;
    assert_eq!((sound.tenant.as_str(), sound.generation), ("acme", Generation(1)));
    assert!(
        sound.kubernetes_version.starts_with("v1."),
        "{}",
        sound.kubernetes_version
    );
    for name in [
        "rights-admins-walls",
        "rights-admins-work",
        "rights-admins-elsewhere",
        "rights-viewers-walls",
        "rights-viewers-work",
        "rights-accounts-walls",
        "stands-namespace",
        "stands-quota",
        "stands-network",
        "stands-bindings",
        "stands-policy-berth-agent-bounds",
        "stands-binding-berth-agent-bounds",
        "pod-ordinary",
        "pod-privileged",
        "pod-host-path",
        "pod-node-name",
        "pod-foreign-pool",
        "service-ordinary",
        "service-load-balancer",
        "claim-ordinary",
        "binding-cluster-admin",
        "network-policy-open",
    ] {
        assert_eq!(*outcome(&sound, name), ProbeOutcome::Passed, "{name}");
    }
    assert!(
        sound
            .policies
            .contains_key("ValidatingAdmissionPolicyBinding berth-pool-bounds"),
        "{:?}",
        sound.policies
    );
    // What nobody tried is not passed, whatever else is.
    let ProbeOutcome::NotTried { reason } = outcome(&sound, "traffic-in") else {
        panic!("no packets can be sent here");
    };
    assert_eq!(reason, "no containers run here");

    // A policy that only warns is no wall; its change is seen without anybody asking.
    let binding = format!("{ADMISSION}/validatingadmissionpolicybindings/berth-pool-bounds");
    let before = stage.admin(Method::GET, &binding, None).await;
    let actions = |actions: &Value| json!({"spec": {"validationActions": actions}});
    stage
        .admin(Method::PATCH, &binding, Some(&actions(&json!(["Audit"]))))
        .await;
    let loose = stage
        .until("a policy that only warns", |now| {
            !new_holes(now, &sound).is_empty()
        })
        .await;
    let found = new_holes(&loose, &sound);
    let hole = &found["stands-binding-berth-pool-bounds"];
    assert!(
        hole.contains("berth-pool-bounds was changed (spec.validationActions"),
        "{hole}"
    );
    assert_eq!(loose.findings().verdict, berth_model::Verdict::Failed);
    let sound_again = actions(&before["spec"]["validationActions"]);
    stage.admin(Method::PATCH, &binding, Some(&sound_again)).await;
    stage
        .until("mended", |now| new_holes(now, &sound).is_empty())
        .await;

    // A role that gives too much is named with who has it.
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/berth-tenant-admin";
    let before = stage.admin(Method::GET, role, None).await;
    let mut rules = before["rules"].clone();
    rules
        .as_array_mut()
        .unwrap()
        .push(json!({"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["patch"]}));
    stage
        .admin(Method::PATCH, role, Some(&json!({"rules": rules})))
        .await;
    until("the role is in force", async || stage.may_patch_quotas().await).await;
    stage.probe().await;
    let loose = stage
        .until("a loose role", |now| !new_holes(now, &sound).is_empty())
        .await;
    let found = new_holes(&loose, &sound);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["rights-admins-walls"]);
    let hole = &found["rights-admins-walls"];
    assert!(hole.contains("may patch resourcequotas in t-acme"), "{hole}");
    stage
        .admin(Method::PATCH, role, Some(&json!({"rules": before["rules"]})))
        .await;

    // A network policy of somebody else may open what ours close.
    let opening = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open", "namespace": "t-acme"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    });
    let networks = "/apis/networking.k8s.io/v1/namespaces/t-acme/networkpolicies";
    stage.admin(Method::POST, networks, Some(&opening)).await;
    stage.probe().await;
    let open = stage
        .until("an open network", |now| {
            new_holes(now, &sound).contains_key("stands-network")
        })
        .await;
    let found = new_holes(&open, &sound);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["stands-network"]);
    assert!(
        found["stands-network"].contains("NetworkPolicy open in t-acme"),
        "{found:?}"
    );
    stage
        .admin(Method::DELETE, &format!("{networks}/open"), None)
        .await;

    // Without the policy nothing refuses what it was there for.
    let policy = format!("{ADMISSION}/validatingadmissionpolicies/berth-pool-bounds");
    stage.admin(Method::DELETE, &policy, None).await;
    let gone = stage
        .until("no policy", |now| {
            new_holes(now, &sound).contains_key("stands-policy-berth-pool-bounds")
        })
        .await;
    let found = new_holes(&gone, &sound);
    assert!(
        found["stands-policy-berth-pool-bounds"].contains("is not there"),
        "{found:?}"
    );

    assert_eq!(
        holes(&sound),
        BTreeMap::new(),
        "with the manifest nothing is open"
    );
}
