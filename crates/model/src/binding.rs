//! Role bindings: who has which role, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    id::{Generation, Revision, RoleBindingName, Subject, TenantId, Uid},
    role::Role,
    tenant::{Owner, TenantSpec},
};

/// A role binding as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleBinding {
    /// Its name.
    pub name: RoleBindingName,
    /// What tells it from an earlier binding of that name.
    pub uid: Uid,
    /// Raised by every change of the spec.
    pub generation: Generation,
    /// The store's version of it; the `etag` of the API.
    pub revision: Revision,
    /// What was asked for.
    pub spec: RoleBindingSpec,
}

/// Who gets which role, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleBindingSpec {
    /// The role.
    pub role: Role,
    /// Who gets it.
    pub subjects: BTreeSet<Subject>,
    /// Where.
    pub scope: Scope,
}

/// Where a binding counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// The whole fleet, and all tenants in it.
    Fleet,
    /// These tenants, whether they exist yet or not.
    Tenants(BTreeSet<TenantId>),
    /// The tenants that match.
    Selector(TenantSelector),
}

/// Tenants by what they are, now and later. Everything that is set must match; empty fields match all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSelector {
    /// The organisation of the owner.
    pub organisation: String,
    /// Its team.
    pub team: String,
    /// The team's project.
    pub project: String,
    /// Labels that the tenant has, with these values.
    pub labels: BTreeMap<String, String>,
}

/// What selectors go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Where the tenant belongs.
    pub owner: Owner,
    /// Its free labels.
    pub labels: BTreeMap<String, String>,
}

impl Traits {
    /// Those of a tenant with that spec.
    #[must_use]
    pub fn of(spec: &TenantSpec) -> Self {
        Self {
            owner: spec.owner.clone(),
            labels: spec.labels.clone(),
        }
    }
}

impl TenantSelector {
    /// Whether nothing is set, so that it would match every tenant there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a tenant of these traits matches.
    #[must_use]
    pub fn takes(&self, traits: &Traits) -> bool {
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        fits(&self.organisation, &traits.owner.organisation)
            && fits(&self.team, &traits.owner.team)
            && fits(&self.project, &traits.owner.project)
            && self
                .labels
                .iter()
                .all(|(key, value)| traits.labels.get(key) == Some(value))
    }

    /// Whether everything that `other` matches is matched by this too, whatever tenants there are.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let wider = |mine: &str, theirs: &str| mine.is_empty() || mine == theirs;
        wider(&self.organisation, &other.organisation)
            && wider(&self.team, &other.team)
            && wider(&self.project, &other.project)
            && self
                .labels
                .iter()
                .all(|(key, value)| other.labels.get(key) == Some(value))
    }
}

impl Scope {
    /// Whether a tenant is in it. One of which nothing is known is in no selector.
    #[must_use]
    pub fn takes(&self, id: &str, traits: Option<&Traits>) -> bool {
        match self {
            Self::Fleet => true,
            Self::Tenants(ids) => ids.iter().any(|own| own.as_str() == id),
            Self::Selector(selector) => traits.is_some_and(|traits| selector.takes(traits)),
        }
    }

    /// Whether an organisation is in it as a whole.
    #[must_use]
    pub fn takes_organisation(&self, name: &str) -> bool {
        match self {
            Self::Fleet => true,
            Self::Tenants(_) => false,
            Self::Selector(selector) => {
                let whole = TenantSelector {
                    organisation: selector.organisation.clone(),
                    ..TenantSelector::default()
                };
                !name.is_empty() && selector.organisation == name && *selector == whole
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(organisation: &str, team: &str, labels: &[(&str, &str)]) -> TenantSelector {
        TenantSelector {
            organisation: organisation.into(),
            team: team.into(),
            project: String::new(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_selector_takes_what_has_everything_it_names() {
        let traits = Traits {
            owner: Owner {
                organisation: "acme".into(),
                team: "web".into(),
                project: String::new(),
            },
            labels: [("env".to_owned(), "prod".to_owned())].into(),
        };
        for (fits, wanted) in [
            (true, selector("acme", "", &[])),
            (true, selector("acme", "web", &[("env", "prod")])),
            (true, selector("", "", &[("env", "prod")])),
            (false, selector("acme", "data", &[])),
            (false, selector("acme", "web", &[("env", "dev")])),
            (false, selector("acme", "web", &[("env", "prod"), ("more", "")])),
        ] {
            assert_eq!(wanted.takes(&traits), fits, "{wanted:?}");
            assert_eq!(Scope::Selector(wanted.clone()).takes("t", Some(&traits)), fits);
            assert!(!Scope::Selector(wanted).takes("t", None));
        }
    }

    #[test]
    fn an_organisation_is_in_the_scope_that_selects_all_of_it() {
        assert!(Scope::Fleet.takes_organisation("acme"));
        assert!(Scope::Selector(selector("acme", "", &[])).takes_organisation("acme"));
        for narrow in [
            selector("acme", "web", &[]),
            selector("acme", "", &[("env", "prod")]),
            selector("", "", &[("env", "prod")]),
            selector("other", "", &[]),
        ] {
            assert!(!Scope::Selector(narrow).takes_organisation("acme"));
        }
        assert!(!Scope::Selector(selector("", "", &[])).takes_organisation(""));
    }
}
