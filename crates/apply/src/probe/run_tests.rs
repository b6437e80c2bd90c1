use berth_model::{
    Object,
    assignment::{AppliedAs, ApplyPhase},
    label,
};
use serde_json::json;

use super::*;
use crate::object::{Item, Kind, ObjectRef};

fn item(kind: Kind, namespace: Option<&str>, name: &str, manifest: Value) -> Item {
    let object = Object {
        phase: ApplyPhase::Access,
        applied_as: AppliedAs::Agent,
        manifest,
    };
    Item {
        object: ObjectRef::new(kind, namespace, name).unwrap(),
        phase: object.phase,
        applied_as: object.applied_as,
        body: object.manifest.to_string().into_bytes().into(),
    }
}

fn binding(namespace: &str, name: &str, role: &str, subjects: &Value) -> Item {
    let manifest = json!({"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
    item(Kind::RoleBinding, Some(namespace), name, manifest)
}

/// A tenant with one namespace, a deployer, a group of admins and an account with nothing.
fn survey(tenant: &str, group: &str) -> Survey {
    let namespace = format!("t-{tenant}");
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let hard = json!({"spec": {"hard": {"services.loadbalancers": "0", "services.nodeports": "0"}}});
    let deployer =
        json!([{"kind": "ServiceAccount", "namespace": namespace, "name": label::DEPLOYER_ACCOUNT}]);
    let admins = json!([{"kind": "Group", "name": group}]);
    Survey::of(&[
        item(Kind::Namespace, None, &namespace, labels),
        item(Kind::ResourceQuota, Some(&namespace), "berth", hard),
        item(
            Kind::ServiceAccount,
            Some(&namespace),
            label::DEPLOYER_ACCOUNT,
            json!({}),
        ),
        item(Kind::ServiceAccount, Some(&namespace), "workload", json!({})),
        binding(
            &namespace,
            label::DEPLOYER_ACCOUNT,
            label::ROLE_TENANT_ADMIN,
            &deployer,
        ),
        binding(&namespace, "berth-admins", label::ROLE_TENANT_ADMIN, &admins),
    ])
}

fn refused(message: &str) -> Result<(), RequestError> {
    let status = json!({"status": "Failure", "code": 403, "message": message, "details": {"kind": "pods"}});
    Err(RequestError::Refused(Box::new(
        serde_json::from_value(status).unwrap(),
    )))
}

fn by_policy(name: &str) -> Result<(), RequestError> {
    refused(&format!(
        "x is forbidden: ValidatingAdmissionPolicy '{name}' with binding 'b' denied request: no"
    ))
}

/// What comes of every object, when `answer` says by its name what the API server says.
fn judged(answer: impl Fn(&str) -> Result<(), RequestError>) -> BTreeMap<String, ProbeOutcome> {
    let survey = survey("acme", "acme-admins");
    let tried = hostile::probes(&survey.homes[0], true);
    let answers: Vec<_> = tried.iter().map(|run| answer(&run.aim().name)).collect();
    let probes = judge_hostile(&tried, &answers);
    probes
        .into_iter()
        .map(|probe| (probe.name, probe.outcome))
        .collect()
}

fn ordinary(name: &str) -> bool {
    name.ends_with("-ordinary")
}

fn is_open(outcome: &ProbeOutcome) -> bool {
    matches!(outcome, ProbeOutcome::NotTried { .. })
}

#[test]
fn a_hostile_object_that_is_taken_is_a_hole_and_names_itself() {
    let outcomes = judged(|name| {
        if ordinary(name) || name == "pod-node-name" {
            Ok(())
        } else {
            by_policy("berth-x")
        }
    });
    let ProbeOutcome::Failed { hole } = &outcomes["pod-node-name"] else {
        panic!("{outcomes:#?}");
    };
    assert_eq!(hole, "the API server takes a pod that names its node");
    assert_eq!(outcomes["pod-privileged"], ProbeOutcome::Passed);
    assert_eq!(outcomes["pod-ordinary"], ProbeOutcome::Passed);
}

#[test]
fn only_the_wall_that_is_meant_lets_a_probe_pass() {
    let by = |answer: fn() -> Result<(), RequestError>| {
        judged(move |name| if ordinary(name) { Ok(()) } else { answer() })
    };
    let others = by(|| by_policy("somebody-elses"));
    assert!(is_open(&others["pod-node-name"]) && is_open(&others["pod-privileged"]));
    let security = by(|| refused("x is forbidden: violates PodSecurity \"restricted:latest\": y"));
    assert_eq!(security["pod-privileged"], ProbeOutcome::Passed);
    assert!(
        is_open(&security["pod-node-name"]),
        "a policy is meant to refuse it"
    );
    let quota = by(|| refused("x is forbidden: exceeded quota: berth"));
    assert_eq!(
        quota["service-load-balancer"],
        ProbeOutcome::Passed,
        "the quota is none"
    );
    assert!(is_open(&quota["service-external-name"]) && is_open(&quota["pod-node-name"]));
    let silent = by(|| Err(RequestError::TimedOut(Duration::from_secs(1))));
    assert!(
        silent
            .iter()
            .filter(|(name, _)| !ordinary(name))
            .all(|(_, outcome)| is_open(outcome))
    );
}

#[test]
fn where_ordinary_pods_are_refused_too_a_refused_pod_proves_nothing() {
    let outcomes = judged(|name| {
        if ordinary(name) && !name.starts_with("pod") {
            Ok(())
        } else {
            by_policy("berth-x")
        }
    });
    assert!(matches!(outcomes["pod-ordinary"], ProbeOutcome::Failed { .. }));
    assert!(is_open(&outcomes["pod-node-name"]));
    assert_eq!(outcomes["service-external-name"], ProbeOutcome::Passed);
}

#[test]
fn a_quota_that_is_used_up_was_reached_through_every_other_wall() {
    let full = |name: &str| {
        if ordinary(name) {
            refused("x is forbidden: exceeded quota: berth")
        } else {
            by_policy("berth-x")
        }
    };
    let outcomes = judged(full);
    assert!(is_open(&outcomes["pod-ordinary"]));
    assert_eq!(outcomes["pod-node-name"], ProbeOutcome::Passed);
}

#[test]
fn a_right_too_many_and_a_right_too_few_are_named() {
    let survey = survey("acme", "acme-admins");
    let (all, left_out) = rights::probes(&survey, "berth-system", &[]);
    assert!(left_out.is_empty());
    let probe = |answer: &dyn Fn(&Value) -> Result<bool, String>, name: &str| {
        let found = all.iter().find(|rights| rights.aim().name == name).unwrap();
        let answers: Vec<_> = found
            .questions
            .iter()
            .map(|question| answer(&question.body["spec"]))
            .collect();
        found.judge(&answers)
    };
    let no = |_: &Value| Ok(false);
    assert_eq!(probe(&no, "rights-admins-walls").outcome, ProbeOutcome::Passed);
    let ProbeOutcome::Failed { hole } = probe(&no, "rights-admins-work").outcome else {
        panic!("ordinary work has to be allowed");
    };
    assert!(hole.contains("may not create pods in t-acme"), "{hole}");
    let loose = |spec: &Value| {
        let act = &spec["resourceAttributes"];
        Ok(spec["groups"][0] == "acme-admins"
            && act["resource"] == "resourcequotas"
            && act["verb"] == "patch")
    };
    let ProbeOutcome::Failed { hole } = probe(&loose, "rights-admins-walls").outcome else {
        panic!("a right too many");
    };
    assert_eq!(hole, "group acme-admins may patch resourcequotas in t-acme");
    let cannot = |_: &Value| Err("no answer".to_owned());
    assert!(is_open(&probe(&cannot, "rights-accounts-walls").outcome));
}

#[test]
fn somebody_who_is_let_in_next_door_is_asked_about_another_neighbour() {
    let next_door = |others: &[Survey]| {
        let (all, _) = rights::probes(&survey("acme", "platform"), "berth-system", others);
        let elsewhere = all
            .into_iter()
            .find(|rights| rights.aim().name == "rights-admins-elsewhere")
            .unwrap();
        let asked = elsewhere
            .questions
            .into_iter()
            .map(|question| question.body["spec"].clone());
        let of_group = asked.filter(|spec| spec["groups"][0] == "platform");
        of_group
            .filter_map(|spec| Some(spec["resourceAttributes"]["namespace"].as_str()?.to_owned()))
            .filter(|namespace| namespace.starts_with("t-"))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let both = [survey("shared", "platform"), survey("other", "others")];
    assert_eq!(next_door(&both), ["t-other".to_owned()].into());
    assert!(next_door(&both[..1]).is_empty());
}

#[test]
fn every_probe_of_a_tenant_has_a_name_of_its_own() {
    let survey = survey("acme", "acme-admins");
    let (rights, _) = rights::probes(&survey, "berth-system", &[]);
    let names: Vec<String> = rights
        .iter()
        .map(|rights| rights.aim().name)
        .chain(
            hostile::probes(&survey.homes[0], true)
                .iter()
                .map(|run| run.aim().name),
        )
        .chain(
            hostile::probes(&survey.homes[0], false)
                .iter()
                .map(|run| run.aim().name),
        )
        .collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
}
