//! The table of kinds.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $group_version:literal $plural:literal $scope:ident $look:ident;)*) => {
        /// A kind that an assignment may hold, or that is watched to judge the health of a tenant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Self; { [$($plural),*].len() }] = [$(Self::$kind),*];

            const fn row(self) -> (&'static str, &'static str, &'static str, Scope, Look) {
                match self {
                    $(Self::$kind => ($group_version, stringify!($kind), $plural, Scope::$scope, Look::$look),)*
                }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespaced,
}

/// How a kind is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Metadata of objects that carry the tenant's label: nothing else of them matters.
    Metadata,
    /// Objects that carry the tenant's label, with their status.
    Status,
    /// Every object in a tenant's namespace, with its status: tenants make these themselves too.
    Everything,
}

kinds! {
    /// core
    Namespace "v1" "namespaces" Cluster Status;
    /// core
    ResourceQuota "v1" "resourcequotas" Namespaced Status;
    /// core
    LimitRange "v1" "limitranges" Namespaced Metadata;
    /// networking.k8s.io
    NetworkPolicy "networking.k8s.io/v1" "networkpolicies" Namespaced Metadata;
    /// security.istio.io, where Istio is
    AuthorizationPolicy "security.istio.io/v1" "authorizationpolicies" Namespaced Metadata;
    /// external-secrets.io, where External Secrets is
    ExternalSecret "external-secrets.io/v1" "externalsecrets" Namespaced Status;
    /// core
    ServiceAccount "v1" "serviceaccounts" Namespaced Metadata;
    /// rbac.authorization.k8s.io
    RoleBinding "rbac.authorization.k8s.io/v1" "rolebindings" Namespaced Metadata;
    /// core
    ConfigMap "v1" "configmaps" Namespaced Metadata;
    /// core
    PersistentVolumeClaim "v1" "persistentvolumeclaims" Namespaced Status;
    /// core
    Service "v1" "services" Namespaced Status;
    /// apps
    Deployment "apps/v1" "deployments" Namespaced Everything;
    /// apps
    StatefulSet "apps/v1" "statefulsets" Namespaced Everything;
    /// apps
    DaemonSet "apps/v1" "daemonsets" Namespaced Everything;
    /// batch
    Job "batch/v1" "jobs" Namespaced Everything;
    /// batch
    CronJob "batch/v1" "cronjobs" Namespaced Status;
    /// core
    Pod "v1" "pods" Namespaced Everything;
    /// networking.k8s.io
    Ingress "networking.k8s.io/v1" "ingresses" Namespaced Status;
    /// autoscaling
    HorizontalPodAutoscaler "autoscaling/v2" "horizontalpodautoscalers" Namespaced Status;
    /// policy
    PodDisruptionBudget "policy/v1" "poddisruptionbudgets" Namespaced Status;
    /// discovery.k8s.io; only watched, never applied
    EndpointSlice "discovery.k8s.io/v1" "endpointslices" Namespaced Everything;
}

impl Kind {
    /// The kind an assignment may hold that is spelled so.
    #[must_use]
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        let fits = |candidate: &Self| candidate.api_version() == api_version && candidate.name() == kind;
        Self::ALL
            .into_iter()
            .find(fits)
            .filter(|kind| *kind != Self::EndpointSlice)
    }

    /// `apiVersion`, such as `apps/v1`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        self.row().0
    }

    /// `kind`, such as `Deployment`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether it lives in a namespace.
    #[must_use]
    pub fn namespaced(self) -> bool {
        self.row().3 == Scope::Namespaced
    }

    pub(crate) const fn look(self) -> Look {
        self.row().4
    }

    /// The path of the collection, of all namespaces when none is given.
    #[must_use]
    pub(crate) fn collection(self, namespace: Option<&str>) -> String {
        let (group_version, _, plural, ..) = self.row();
        let root = if group_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        match namespace {
            Some(namespace) => format!("{root}/{group_version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{group_version}/{plural}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
