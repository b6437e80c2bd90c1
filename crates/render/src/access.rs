//! Accounts, and who may do what: the tenant's people by their roles, its deployer as tenant administrator, its workloads nothing.

use berth_model::{
    AccessRole, Tenant, Violation,
    id::is_dns_subdomain,
    label::{DEPLOYER_ACCOUNT, ROLE_TENANT_ADMIN, WORKLOAD_ACCOUNT},
    tenant::Subject,
};
use serde_json::{Value, json};

use crate::{meta, namespace::Namespace};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Who has which role: the account that the tenant's kubeconfigs name, and the tenant's people, as RBAC writes them.
pub(crate) struct Subjects {
    bindings: [(AccessRole, Vec<Value>); 3],
}

impl Subjects {
    pub(crate) fn of(tenant: &Tenant, namespaces: &[Namespace<'_>], violations: &mut Vec<Violation>) -> Self {
        let members = &tenant.spec.members;
        let bindings = AccessRole::ALL.map(|role| {
            let (list, subjects) = match role {
                AccessRole::Admin => ("admins", &members.admins),
                AccessRole::User => ("users", &members.users),
                AccessRole::Viewer => ("viewers", &members.viewers),
            };
            let account = service_account(&tenant.spec.main_namespace(&tenant.id), role.account());
            let members = subjects.iter().enumerate().filter_map(|(at, one)| {
                subject(one, namespaces)
                    .map_err(|problem| violations.push(problem.at(&format!("spec.members.{list}[{at}]"))))
                    .ok()
            });
            (role, std::iter::once(account).chain(members).collect())
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
            Ok(service_account(&found.name, name))
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

fn service_account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

pub(crate) fn render(
    tenant: &Tenant,
    namespace: &Namespace<'_>,
    main: bool,
    subjects: &Subjects,
) -> Vec<Value> {
    let name = namespace.name.as_str();
    let mut accounts = vec!["default", WORKLOAD_ACCOUNT, DEPLOYER_ACCOUNT];
    // A kubeconfig is one for all of the tenant's namespaces.
    if main {
        accounts.extend(AccessRole::ALL.map(AccessRole::account));
    }
    let accounts = accounts.into_iter().map(|account| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": meta::namespaced(tenant, name, account),
            "automountServiceAccountToken": false,
        })
    });
    let deployer = service_account(name, DEPLOYER_ACCOUNT);
    let deploying = binding(tenant, name, DEPLOYER_ACCOUNT, ROLE_TENANT_ADMIN, &[deployer]);
    let bindings = subjects.bindings.iter().map(|(role, subjects)| {
        let called = format!("berth-{role}s");
        binding(tenant, name, &called, role.cluster_role(), subjects)
    });
    accounts.chain([deploying]).chain(bindings).collect()
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
