//! Who may do what: roles, and the permissions of each.
//!
//! A role is a fixed set of permissions; a [`RoleBinding`](crate::RoleBinding) gives it to somebody within a scope.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody is in the fleet, or in a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, within the scope.
    PlatformAdmin,
    /// Runs clusters; neither sells tiers nor enters tenants' namespaces.
    Operator,
    /// Governs tenants within what was bought for them.
    TenantAdmin,
    /// Works in tenants' namespaces.
    TenantUser,
    /// Looks.
    Viewer,
}

use Role::{Operator as O, PlatformAdmin as P, TenantAdmin as A, TenantUser as U, Viewer as V};

/// Where a binding must reach for one of its role's permissions to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere: whoever has proved who they are may.
    Everybody,
    /// Anywhere: what it opens belongs to nobody, or the service shows each only their part.
    Anywhere,
    /// To the tenant, or the organisation, that it is about.
    Tenant,
    /// To the whole fleet.
    Fleet,
}

/// What a permission needs.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Kind and verb, such as `tenants.update`.
    pub permission: &'static str,
    /// How far a binding must reach.
    pub reach: Reach,
    /// The roles that have it.
    pub roles: &'static [Role],
}

const fn rule(permission: &'static str, reach: Reach, roles: &'static [Role]) -> Rule {
    Rule {
        permission,
        reach,
        roles,
    }
}

const EVERY: &[Role] = &Role::ALL;

/// Every permission there is, in order of name. What is not here, nobody may.
pub const RULES: &[Rule] = &[
    rule("access.check", Reach::Everybody, EVERY),
    rule("access.checkOthers", Reach::Fleet, &[P]),
    rule("access.whoami", Reach::Everybody, EVERY),
    rule("apiKeys.create", Reach::Fleet, &[P]),
    rule("apiKeys.delete", Reach::Fleet, &[P]),
    rule("apiKeys.get", Reach::Fleet, &[P, V]),
    rule("apiKeys.list", Reach::Fleet, &[P, V]),
    rule("audit.get", Reach::Tenant, &[P, O, A, V]),
    rule("audit.list", Reach::Fleet, &[P, O, V]),
    rule("bundles.create", Reach::Fleet, &[P]),
    rule("bundles.delete", Reach::Fleet, &[P]),
    rule("bundles.get", Reach::Anywhere, EVERY),
    rule("bundles.list", Reach::Anywhere, EVERY),
    rule("clusters.acceptGap", Reach::Fleet, &[P, O]),
    rule("clusters.cordon", Reach::Fleet, &[P, O]),
    rule("clusters.delete", Reach::Fleet, &[P, O]),
    rule("clusters.get", Reach::Tenant, EVERY),
    rule("clusters.list", Reach::Tenant, EVERY),
    rule("clusters.releaseBreaker", Reach::Fleet, &[P, O]),
    rule("clusters.update", Reach::Fleet, &[P, O]),
    rule("evidence.get", Reach::Tenant, EVERY),
    rule("evidence.list", Reach::Tenant, EVERY),
    rule("evidence.probe", Reach::Tenant, &[P, O, A]),
    rule("fleet.backup", Reach::Fleet, &[P, O]),
    rule("fleet.difference", Reach::Fleet, &[P, O, V]),
    rule("fleet.get", Reach::Everybody, EVERY),
    rule("fleet.takeCommand", Reach::Fleet, &[P, O]),
    rule("joinTokens.create", Reach::Fleet, &[P, O]),
    rule("joinTokens.delete", Reach::Fleet, &[P, O]),
    rule("joinTokens.list", Reach::Fleet, &[P, O, V]),
    rule("operations.get", Reach::Tenant, EVERY),
    rule("operations.list", Reach::Tenant, EVERY),
    rule("organisations.create", Reach::Fleet, &[P]),
    rule("organisations.delete", Reach::Fleet, &[P]),
    rule("organisations.get", Reach::Tenant, EVERY),
    rule("organisations.list", Reach::Tenant, EVERY),
    rule("organisations.update", Reach::Fleet, &[P]),
    rule("roleBindings.create", Reach::Anywhere, &[P, A]),
    rule("roleBindings.delete", Reach::Anywhere, &[P, A]),
    rule("roleBindings.get", Reach::Anywhere, &[P, O, A, V]),
    rule("roleBindings.list", Reach::Anywhere, &[P, O, A, V]),
    rule("roleBindings.update", Reach::Anywhere, &[P, A]),
    rule("roles.list", Reach::Everybody, EVERY),
    rule("tenants.create", Reach::Tenant, &[P]),
    rule("tenants.credentials.admin", Reach::Tenant, &[P, A]),
    rule("tenants.credentials.user", Reach::Tenant, &[P, A, U]),
    rule("tenants.credentials.viewer", Reach::Tenant, &[P, A, U, V]),
    rule("tenants.delete", Reach::Tenant, &[P]),
    rule("tenants.explain", Reach::Tenant, EVERY),
    rule("tenants.get", Reach::Tenant, EVERY),
    rule("tenants.list", Reach::Tenant, EVERY),
    rule("tenants.update", Reach::Tenant, &[P, A]),
    rule("tenants.updateTerms", Reach::Tenant, &[P]),
    rule("tenants.watch", Reach::Tenant, EVERY),
    rule("tiers.create", Reach::Fleet, &[P]),
    rule("tiers.delete", Reach::Fleet, &[P]),
    rule("tiers.get", Reach::Anywhere, EVERY),
    rule("tiers.list", Reach::Anywhere, EVERY),
    rule("tiers.update", Reach::Fleet, &[P]),
];

impl Rule {
    /// The rule of that permission.
    #[must_use]
    pub fn of(permission: &str) -> Option<&'static Self> {
        let found = RULES.binary_search_by(|rule| rule.permission.cmp(permission));
        found.ok().and_then(|at| RULES.get(at))
    }

    /// Whether `role` has it.
    #[must_use]
    pub fn takes(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl Role {
    /// All of them, the strongest first.
    pub const ALL: [Self; 5] = [
        Self::PlatformAdmin,
        Self::Operator,
        Self::TenantAdmin,
        Self::TenantUser,
        Self::Viewer,
    ];

    /// `platform-admin` and the like.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform-admin",
            Self::Operator => "operator",
            Self::TenantAdmin => "tenant-admin",
            Self::TenantUser => "tenant-user",
            Self::Viewer => "viewer",
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::PlatformAdmin => {
                "everything: tenants with their tiers and owners, tiers, bundles, organisations, clusters, role bindings"
            }
            Self::Operator => {
                "runs clusters and the hub: join tokens, cordons, gaps, breakers, probes, backups; reads everything; enters no tenant"
            }
            Self::TenantAdmin => {
                "governs tenants within what was bought for them, works in their namespaces as admin, and lets others in"
            }
            Self::TenantUser => "reads tenants and works in their namespaces as user",
            Self::Viewer => "reads, and looks into tenants' namespaces as viewer",
        }
    }

    /// Its permissions, in order of name.
    pub fn permissions(self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().filter(move |rule| rule.takes(self))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// It is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; use platform-admin, operator, tenant-admin, tenant-user or viewer")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_there_once_in_order_of_name_and_is_found() {
        for pair in RULES.windows(2) {
            assert!(pair[0].permission < pair[1].permission, "{pair:?}");
        }
        for rule in RULES {
            assert_eq!(Rule::of(rule.permission).unwrap().permission, rule.permission);
            assert!(!rule.roles.is_empty(), "{rule:?}");
        }
        assert!(Rule::of("tenants.everything").is_none() && Rule::of("").is_none());
    }

    #[test]
    fn a_platform_admin_has_every_permission() {
        assert_eq!(Role::PlatformAdmin.permissions().count(), RULES.len());
    }

    #[test]
    fn a_viewer_changes_nothing_and_an_operator_enters_no_tenant() {
        for rule in Role::Viewer.permissions() {
            let verb = rule.permission.rsplit('.').next().unwrap();
            let reads = [
                "get",
                "list",
                "watch",
                "check",
                "whoami",
                "explain",
                "difference",
                "viewer",
            ];
            assert!(reads.contains(&verb), "{rule:?}");
        }
        for rule in Role::Operator.permissions() {
            let changes = ["create", "update", "updateTerms", "delete"];
            let changes = changes.iter().any(|verb| rule.permission.ends_with(verb));
            let its = ["clusters.", "joinTokens."];
            assert!(!rule.permission.starts_with("tenants.credentials"), "{rule:?}");
            assert!(
                !changes || its.iter().any(|kind| rule.permission.starts_with(kind)),
                "{rule:?}"
            );
        }
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for wrong in ["", "Viewer", "admin", "viewer "] {
            assert!(wrong.parse::<Role>().is_err(), "{wrong:?}");
        }
    }
}
