//! Access of a tenant's own people to its namespaces: as whom, for how long, and what they are given for it.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    id::{TenantId, Uid},
    label::{
        ACCESS_ACCOUNT_ADMIN, ACCESS_ACCOUNT_USER, ACCESS_ACCOUNT_VIEWER, ROLE_TENANT_ADMIN,
        ROLE_TENANT_USER, ROLE_TENANT_VIEWER,
    },
    placement::namespace_name,
};

/// No token lives shorter: Kubernetes issues none.
pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// No token lives longer: it cannot be called back one by one.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a token lives when nobody says.
pub const USUAL_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// As whom somebody of a tenant works in its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessRole {
    /// Everything but the walls.
    Admin,
    /// Work with workloads.
    User,
    /// Look.
    Viewer,
}

impl AccessRole {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::User, Self::Viewer];

    /// `admin`, `user` or `viewer`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        }
    }

    /// The service account in the tenant's main namespace.
    #[must_use]
    pub const fn account(self) -> &'static str {
        match self {
            Self::Admin => ACCESS_ACCOUNT_ADMIN,
            Self::User => ACCESS_ACCOUNT_USER,
            Self::Viewer => ACCESS_ACCOUNT_VIEWER,
        }
    }

    /// The ClusterRole it is bound to in each of the tenant's namespaces.
    #[must_use]
    pub const fn cluster_role(self) -> &'static str {
        match self {
            Self::Admin => ROLE_TENANT_ADMIN,
            Self::User => ROLE_TENANT_USER,
            Self::Viewer => ROLE_TENANT_VIEWER,
        }
    }

    /// Whether an account of that name is one of them.
    #[must_use]
    pub fn owns_account(name: &str) -> bool {
        Self::ALL.into_iter().any(|role| role.account() == name)
    }
}

impl fmt::Display for AccessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// It is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role of a tenant; use admin, user or viewer")]
pub struct NoSuchRole(pub String);

impl FromStr for AccessRole {
    type Err = NoSuchRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| NoSuchRole(text.to_owned()))
    }
}

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWanted {
    /// Of which tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// As whom.
    pub role: AccessRole,
    /// For how long, from [`SHORTEST_LIFETIME`] to [`LONGEST_LIFETIME`].
    pub lifetime: Duration,
}

impl TokenWanted {
    /// Whether the lifetime is within its bounds.
    #[must_use]
    pub fn lifetime_allowed(&self) -> bool {
        (SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&self.lifetime)
    }

    /// The namespace of the account, which is the tenant's main one.
    #[must_use]
    pub fn namespace(&self) -> String {
        namespace_name(&self.tenant, None)
    }
}

/// A token of Kubernetes for one of a tenant's access accounts. Wiped when dropped; `Debug` shows when it ends and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    secret: Zeroizing<String>,
    /// When Kubernetes stops taking it.
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// A token as Kubernetes issued it.
    #[must_use]
    pub fn new(secret: String, expires_at: Timestamp) -> Self {
        Self {
            secret: Zeroizing::new(secret),
            expires_at,
        }
    }

    /// The token, for the one who asked. It goes into no log, no record and no error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken([redacted], until {})", self.expires_at)
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The cluster does not hold the tenant, or an earlier one of its name, or it is on its way out.
    NotHeld,
    /// The tenant is held, but the account is not there yet.
    NotApplied,
    /// The request is not one that may be granted.
    Invalid,
    /// The agent may not: its own rights are older or smaller than its manifest's.
    Forbidden,
    /// The API server does not answer.
    Unreachable,
    /// Too many are asked for at once.
    Busy,
    /// Something else; also what an agent says that does not know the question.
    Other,
}

/// A refusal: why, and for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TokenRefused {
    /// Why.
    pub reason: NoToken,
    /// For people.
    pub message: String,
}

impl TokenRefused {
    /// A refusal.
    #[must_use]
    pub fn new(reason: NoToken, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_of_three_words_and_has_an_account_and_a_cluster_role_of_its_own() {
        for role in AccessRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert!(AccessRole::owns_account(role.account()));
            assert_eq!(role.account(), format!("berth-{role}"));
            assert_eq!(role.cluster_role(), format!("berth-tenant-{role}"));
        }
        for wrong in ["", "Admin", "admins", "cluster-admin", "admin "] {
            assert!(wrong.parse::<AccessRole>().is_err(), "{wrong:?}");
        }
        assert!(!AccessRole::owns_account("berth-deployer"));
    }

    #[test]
    fn a_lifetime_is_allowed_from_ten_minutes_to_twelve_hours() {
        let wanted = |seconds| TokenWanted {
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new("u1").unwrap(),
            role: AccessRole::Viewer,
            lifetime: Duration::from_secs(seconds),
        };
        for (seconds, allowed) in [
            (0, false),
            (599, false),
            (600, true),
            (3600, true),
            (43_200, true),
            (43_201, false),
            (u64::MAX, false),
        ] {
            assert_eq!(wanted(seconds).lifetime_allowed(), allowed, "{seconds}");
        }
        assert_eq!(wanted(600).namespace(), "t-acme");
    }

    #[test]
    fn a_token_shows_itself_in_no_debug_output() {
        let token = AccessToken::new("eyJ.very.secret".into(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            format!("{token:?} {:#?}", Some(&token)),
            "AccessToken([redacted], until 1970-01-01T00:00:00Z) Some(\n    AccessToken([redacted], until 1970-01-01T00:00:00Z),\n)"
        );
        assert_eq!(token.expose(), "eyJ.very.secret");
    }
}
