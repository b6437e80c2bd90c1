//! Accounts, and who may do what: the tenant's people by their roles, its deployer as tenant administrator, its workloads nothing.

use berth_model::{
    Tenant, Violation,
    id::is_dns_subdomain,
    label::{DEPLOYER_ACCOUNT, ROLE_TENANT_ADMIN, ROLE_TENANT_USER, ROLE_TENANT_VIEWER, WORKLOAD_ACCOUNT},
    tenant::Subject,
};
use serde_json::{Value, json};

use crate::{meta, namespace::Namespace};

const RBAC: &str = "rbac.authorization.k8s.io";

/// The tenant's people as RBAC writes them, by role.
pub(crate) struct Subjects {
    bindings: [(&'static str, &'static str, Vec<Value>); 3],
}

impl Subjects {
    pub(crate) fn of(tenant: &Tenant, namespaces: &[Namespace<'_>], violations: &mut Vec<Violation>) -> Self {
        let members = &tenant.spec.members;
        let bindings = [
            ("berth-admins", ROLE_TENANT_ADMIN, "admins", &members.admins),
            ("berth-users", ROLE_TENANT_USER, "users", &members.users),
            ("berth-viewers", ROLE_TENANT_VIEWER, "viewers", &members.viewers),
        ]
        .map(|(binding, role, list, subjects)| {
            let rendered = subjects
                .iter()
                .enumerate()
                .filter_map(|(at, one)| {
                    subject(one, namespaces)
                        .map_err(|problem| violations.push(problem.at(&format!("spec.members.{list}[{at}]"))))
                        .ok()
                })
                .collect();
            (binding, role, rendered)
        });
        Self { bindings }
    }
}

struct Problem {
    field: &'static str,
    problem: String,
    hint: &'static str,
}

impl Problem {
    fn at(self, path: &str) -> Violation {
        Violation::new(format!("{path}.{}", self.field), self.problem, self.hint)
    }
}

fn subject(subject: &Subject, namespaces: &[Namespace<'_>]) -> Result<Value, Problem> {
    match subject {
        Subject::User { name } => named("User", name),
        Subject::Group { name } => named("Group", name),
        Subject::ServiceAccount { namespace, name } => {
            let found = namespaces
                .iter()
                .find(|known| known.name == *namespace || known.part.extra.unwrap_or_default() == namespace);
            let Some(found) = found else {
                return Err(Problem {
                    field: "namespace",
                    problem: format!("{namespace:?} is no namespace of this tenant"),
                    hint: "leave it empty for the main namespace, or name one of spec.namespaces",
                });
            };
            if !is_dns_subdomain(name) {
                return Err(Problem {
                    field: "name",
                    problem: format!("{name:?} is no service account name"),
                    hint: "use lower-case letters, digits, '-' and '.'",
                });
            }
            Ok(json!({"kind": "ServiceAccount", "namespace": found.name, "name": name}))
        }
    }
}

/// `system:` names are Kubernetes' own: everybody, nobody, every account of the cluster.
fn named(kind: &str, name: &str) -> Result<Value, Problem> {
    if name.is_empty() || name.starts_with("system:") {
        return Err(Problem {
            field: "name",
            problem: format!("{name:?} cannot be a member"),
            hint: "name a person or a group of your identity provider",
        });
    }
    Ok(json!({"apiGroup": RBAC, "kind": kind, "name": name}))
}

pub(crate) fn render(tenant: &Tenant, namespace: &str, subjects: &Subjects) -> Vec<Value> {
    let mut objects: Vec<Value> = ["default", WORKLOAD_ACCOUNT, DEPLOYER_ACCOUNT]
        .into_iter()
        .map(|name| {
            json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": meta::namespaced(tenant, namespace, name),
                "automountServiceAccountToken": false,
            })
        })
        .collect();
    let deployer = json!({"kind": "ServiceAccount", "namespace": namespace, "name": DEPLOYER_ACCOUNT});
    objects.push(binding(
        tenant,
        namespace,
        DEPLOYER_ACCOUNT,
        ROLE_TENANT_ADMIN,
        &[deployer],
    ));
    for (name, role, subjects) in &subjects.bindings {
        if !subjects.is_empty() {
            objects.push(binding(tenant, namespace, name, role, subjects));
        }
    }
    objects
}

fn binding(tenant: &Tenant, namespace: &str, name: &str, role: &str, subjects: &[Value]) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "RoleBinding",
        "metadata": meta::namespaced(tenant, namespace, name),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    })
}
