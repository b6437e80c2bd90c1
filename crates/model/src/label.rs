//! Labels, annotations and names that Berth writes into clusters. They are contracts: changing one orphans what carries it.

/// Every namespace of a tenant starts with this.
pub const NAMESPACE_PREFIX: &str = "t-";
/// Label: the tenant's id.
pub const TENANT: &str = "berth.dev/tenant";
/// Label: the tenant's uid; a tenant deleted and made again under one name is another tenant.
pub const TENANT_UID: &str = "berth.dev/tenant-uid";
/// Label: the tier's name.
pub const TIER: &str = "berth.dev/tier";
/// Label: `namespace`, `node-pool` or `cluster`.
pub const ISOLATION: &str = "berth.dev/isolation";
/// Label: `dev`, `staging` or `production`.
pub const ENVIRONMENT: &str = "berth.dev/environment";
/// Label on a namespace and on nodes, and key of the pool's `NoSchedule` taint: the node pool's name.
pub const POOL: &str = "berth.dev/pool";
/// Label: the cost centre.
pub const COST_CENTRE: &str = "berth.dev/cost-centre";
/// Label: who made an object; always [`MANAGED_BY_BERTH`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_BERTH: &str = "berth";
/// Label on bundle objects: `name` of the bundle.
pub const BUNDLE: &str = "berth.dev/bundle";
/// Annotation: the tenant's display name.
pub const DISPLAY_NAME: &str = "berth.dev/display-name";

/// Annotation on a namespace: the PriorityClasses its pods may name, joined by commas. Absent: none.
pub const PRIORITY_CLASSES: &str = "berth.dev/priority-classes";
/// Annotation on a namespace: prefixes of image references its pods may use, joined by commas. Absent: any.
pub const REGISTRIES: &str = "berth.dev/registries";
/// Annotation on a namespace: domains whose names, and names below which, its Ingresses may serve, joined by commas. Absent: none.
pub const INGRESS_DOMAINS: &str = "berth.dev/ingress-domains";
/// Annotation on a namespace: `true` where Services of type LoadBalancer are granted. Absent: they are not.
pub const LOAD_BALANCERS: &str = "berth.dev/load-balancers";
/// Annotation on a namespace: storage classes its claims may name, joined by commas. Absent: any.
pub const STORAGE_CLASSES: &str = "berth.dev/storage-classes";
/// Annotation on a namespace: keys of labels that its pods and workloads must carry, joined by commas. Absent: none.
pub const REQUIRED_LABELS: &str = "berth.dev/required-labels";
/// Annotation on a namespace: extended resources such as `nvidia.com/gpu` its pods may ask for, joined by commas. Absent: none.
pub const EXTENDED_RESOURCES: &str = "berth.dev/extended-resources";

/// Header of a request that says for which tenant the ingress controller let it through.
pub const TENANT_HEADER: &str = "x-berth-tenant";

/// Field manager of what Berth owns.
pub const MANAGER_AGENT: &str = "berth-agent";
/// Field manager of what is applied for the tenant (bundles).
pub const MANAGER_TENANT: &str = "berth-tenant";

/// The namespace the agent lives in.
pub const AGENT_NAMESPACE: &str = "berth-system";
/// The Secret that holds the agent's identity.
pub const AGENT_IDENTITY_SECRET: &str = "berth-agent-identity";
/// The Secret with the join token, in the agent's namespace; deleted once it is used.
pub const AGENT_TOKEN_SECRET: &str = "berth-agent-token";
/// The account in a tenant's namespace as which bundles are applied.
pub const DEPLOYER_ACCOUNT: &str = "berth-deployer";
/// The account the tenant's workloads run as by default.
pub const WORKLOAD_ACCOUNT: &str = "workload";
/// The account in a tenant's main namespace that a kubeconfig of a tenant's administrator names.
pub const ACCESS_ACCOUNT_ADMIN: &str = "berth-admin";
/// The account that a kubeconfig of a tenant's user names.
pub const ACCESS_ACCOUNT_USER: &str = "berth-user";
/// The account that a kubeconfig of a tenant's viewer names.
pub const ACCESS_ACCOUNT_VIEWER: &str = "berth-viewer";

/// ClusterRole of a tenant's administrators, brought by the agent's manifest.
pub const ROLE_TENANT_ADMIN: &str = "berth-tenant-admin";
/// ClusterRole of a tenant's users.
pub const ROLE_TENANT_USER: &str = "berth-tenant-user";
/// ClusterRole of a tenant's viewers.
pub const ROLE_TENANT_VIEWER: &str = "berth-tenant-viewer";
