//! What whoever was let in may do by their rights, over a matrix of verbs and kinds in their own namespace, in others', and in
//! the cluster: questions for SubjectAccessReviews, in which nobody is impersonated. Pure.

use berth_model::{Probe, label};
use serde_json::{Value, json};

use super::{
    Aim,
    survey::{Home, Role, Subject, Survey},
};

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
/// Members of one role in one namespace that are asked about in a pass.
const MOST_SUBJECTS: usize = 12;

/// A verb on a kind: verb, group, resource with its subresource, name.
type Act = (&'static str, &'static str, &'static str, &'static str);

/// What nobody may do in the tenant's own namespace.
const NEVER_AT_HOME: [Act; 18] = [
    ("create", RBAC, "rolebindings", ""),
    ("patch", RBAC, "rolebindings", ""),
    ("delete", RBAC, "rolebindings", ""),
    ("create", RBAC, "roles", ""),
    ("bind", RBAC, "clusterroles", "cluster-admin"),
    ("escalate", RBAC, "roles", ""),
    ("impersonate", "", "serviceaccounts", ""),
    ("create", "", "serviceaccounts/token", ""),
    ("patch", "", "resourcequotas", ""),
    ("delete", "", "resourcequotas", ""),
    ("delete", "", "limitranges", ""),
    ("create", "networking.k8s.io", "networkpolicies", ""),
    ("patch", "networking.k8s.io", "networkpolicies", ""),
    ("delete", "networking.k8s.io", "networkpolicies", ""),
    ("create", "", "pods/binding", ""),
    ("create", "discovery.k8s.io", "endpointslices", ""),
    ("create", "", "events", ""),
    ("create", "coordination.k8s.io", "leases", ""),
];
/// What nobody may do to the tenant's namespace itself.
const NEVER_TO_HOME: [Act; 3] = [
    ("patch", "", "namespaces", ""),
    ("delete", "", "namespaces", ""),
    ("patch", "", "namespaces/status", ""),
];
/// What nobody may do in a namespace of somebody else.
const NEVER_NEXT_DOOR: [Act; 4] = [
    ("get", "", "secrets", ""),
    ("list", "", "pods", ""),
    ("create", "", "pods", ""),
    ("patch", "", "configmaps", ""),
];
/// What nobody may do in the cluster.
const NEVER_IN_CLUSTER: [Act; 15] = [
    ("list", "", "secrets", ""),
    ("list", "", "pods", ""),
    ("list", "", "namespaces", ""),
    ("create", "", "namespaces", ""),
    ("list", "", "nodes", ""),
    ("patch", "", "nodes", ""),
    ("get", "", "nodes/proxy", ""),
    ("create", "", "persistentvolumes", ""),
    ("create", RBAC, "clusterrolebindings", ""),
    ("patch", RBAC, "clusterroles", ""),
    ("patch", ADMISSION, "validatingadmissionpolicies", ""),
    ("delete", ADMISSION, "validatingadmissionpolicybindings", ""),
    ("create", ADMISSION, "mutatingwebhookconfigurations", ""),
    ("impersonate", "", "users", ""),
    ("impersonate", "", "groups", "system:masters"),
];
/// What an account may not do to which nothing was given.
const NEVER_WITH_NOTHING: [Act; 5] = [
    ("list", "", "pods", ""),
    ("get", "", "secrets", ""),
    ("list", "", "configmaps", ""),
    ("create", "", "pods", ""),
    ("create", "apps", "deployments", ""),
];
/// What a viewer may not do beside.
const NEVER_AS_VIEWER: [Act; 5] = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("create", "", "pods", ""),
    ("create", "", "pods/exec", ""),
    ("create", "", "pods/portforward", ""),
];

/// One probe: several questions that all have the same answer.
pub(super) struct Rights {
    aim: Aim,
    allowed: bool,
    pub(super) questions: Vec<Question>,
}

/// One SubjectAccessReview.
pub(super) struct Question {
    who: String,
    act: String,
    pub(super) body: Value,
}

/// The probes, and those that are not made because there are too many members.
pub(super) fn probes(survey: &Survey, agent_namespace: &str, others: &[Survey]) -> (Vec<Rights>, Vec<Probe>) {
    let mut rights = Vec::new();
    let mut left_out = Vec::new();
    for (at, home) in survey.homes.iter().take(super::survey::MOST_HOMES).enumerate() {
        let place = if at == 0 {
            String::new()
        } else {
            format!("@{}", home.name)
        };
        for role in Role::ALL {
            let mut subjects = home.subjects(role);
            if subjects.len() > MOST_SUBJECTS {
                let more = subjects.split_off(MOST_SUBJECTS).len();
                let aim = Aim::new(
                    format!("rights-{}-more{place}", role.as_str()),
                    "more members",
                    "as the others",
                );
                left_out.push(aim.aside(format!("{more} more are not asked about, {MOST_SUBJECTS} are")));
            }
            if !subjects.is_empty() {
                rights.extend(of_role(home, role, &subjects, &place));
                rights.push(elsewhere(role, &subjects, agent_namespace, others, &place));
            }
        }
    }
    (rights, left_out)
}

fn of_role(home: &Home, role: Role, subjects: &[&Subject], place: &str) -> Vec<Rights> {
    let namespace = home.name.as_str();
    let who = role.as_str();
    let never = match role {
        Role::Admin | Role::User => &[][..],
        Role::Viewer => &NEVER_AS_VIEWER,
        Role::Nothing => &NEVER_WITH_NOTHING,
    };
    let granted: &[Act] = match role {
        Role::Admin | Role::User => &[
            ("create", "", "pods", ""),
            ("create", "apps", "deployments", ""),
            ("list", "", "services", ""),
        ],
        Role::Viewer => &[("list", "", "pods", ""), ("list", "apps", "deployments", "")],
        Role::Nothing => &[],
    };
    let mut walls = Vec::new();
    let mut grants = Vec::new();
    for subject in subjects {
        let ask = |act: &Act| question(subject, *act, namespace);
        walls.extend(NEVER_AT_HOME.iter().chain(never).map(ask));
        walls.extend(
            NEVER_TO_HOME.iter().map(|(verb, group, resource, _)| {
                named(subject, (verb, group, resource), namespace, namespace)
            }),
        );
        grants.extend(granted.iter().map(ask));
    }
    let mut probes = vec![Rights {
        aim: Aim::new(
            format!("rights-{who}-walls{place}"),
            format!(
                "{who} changing roles, quotas, network policies, the namespace, tokens, bindings and more in {namespace}"
            ),
            "none of it is allowed",
        ),
        allowed: false,
        questions: walls,
    }];
    if !grants.is_empty() {
        probes.push(Rights {
            aim: Aim::new(
                format!("rights-{who}-work{place}"),
                format!("{who} doing ordinary work in {namespace}"),
                "all of it is allowed",
            ),
            allowed: true,
            questions: grants,
        });
    }
    probes
}

fn elsewhere(
    role: Role,
    subjects: &[&Subject],
    agent_namespace: &str,
    others: &[Survey],
    place: &str,
) -> Rights {
    let who = role.as_str();
    let mut questions = Vec::new();
    for subject in subjects {
        questions.extend(NEVER_IN_CLUSTER.iter().map(|act| question(subject, *act, "")));
        // Somebody may be let in at two tenants; a third is next door to both.
        let neighbour = others
            .iter()
            .find(|other| !other.lets_in(subject))
            .and_then(Survey::main);
        let next_door = ["kube-system", agent_namespace].into_iter().chain(neighbour);
        for namespace in next_door {
            questions.extend(
                NEVER_NEXT_DOOR
                    .iter()
                    .map(|act| question(subject, *act, namespace)),
            );
        }
        questions.push(named(
            subject,
            ("get", "", "secrets"),
            agent_namespace,
            label::AGENT_IDENTITY_SECRET,
        ));
    }
    Rights {
        aim: Aim::new(
            format!("rights-{who}-elsewhere{place}"),
            format!(
                "{who} reading and writing in kube-system, {agent_namespace}, another tenant's namespace and the cluster"
            ),
            "none of it is allowed",
        ),
        allowed: false,
        questions,
    }
}

fn question(subject: &Subject, (verb, group, resource, name): Act, namespace: &str) -> Question {
    named(subject, (verb, group, resource), namespace, name)
}

fn named(
    subject: &Subject,
    (verb, group, resource): (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> Question {
    let (kind, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let mut spec = json!({"resourceAttributes": {
        "verb": verb,
        "group": group,
        "resource": kind,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }});
    match subject {
        Subject::User(user) => {
            spec["user"] = json!(user);
            spec["groups"] = json!(["system:authenticated"]);
        }
        Subject::Group(group) => {
            // Somebody of that group who is nobody else.
            spec["user"] = json!("berth:probe");
            spec["groups"] = json!([group, "system:authenticated"]);
        }
        Subject::Account { namespace, name } => {
            spec["user"] = json!(format!("system:serviceaccount:{namespace}:{name}"));
            spec["groups"] = json!([
                "system:serviceaccounts",
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated",
            ]);
        }
    }
    let place = if namespace.is_empty() {
        " in the cluster".to_owned()
    } else {
        format!(" in {namespace}")
    };
    Question {
        who: subject.told(),
        act: format!("{verb} {resource}{place}"),
        body: json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}),
    }
}

impl Rights {
    /// What came of the questions: an answer each, or why there is none.
    pub(super) fn judge(&self, answers: &[Result<bool, String>]) -> Probe {
        let aim = self.aim.clone();
        let all = self.questions.len();
        let (expected, may) = if self.allowed {
            ("allowed", "may not")
        } else {
            ("refused", "may")
        };
        let asked = self.questions.iter().zip(answers);
        let wrong: Vec<String> = asked
            .filter(|(_, answer)| answer.as_ref().is_ok_and(|allowed| *allowed != self.allowed))
            .map(|(question, _)| format!("{} {may} {}", question.who, question.act))
            .collect();
        if let Some(first) = wrong.first() {
            let more = match wrong.len() {
                1 => String::new(),
                more => format!(" (and {} more)", more - 1),
            };
            return aim.failed(
                format!("{} of {all} not {expected}", wrong.len()),
                format!("{first}{more}"),
            );
        }
        match answers.iter().find_map(|answer| answer.as_ref().err()) {
            Some(reason) => aim.open(reason.clone()),
            None => aim.passed(format!("{all} of {all} {expected}")),
        }
    }

    #[cfg(test)]
    pub(super) fn aim(&self) -> Aim {
        self.aim.clone()
    }

    pub(super) fn not_tried(&self, reason: &str) -> Probe {
        self.aim.clone().open(reason)
    }
}
