//! The kinds of things the command line knows, by their names and aliases.

use std::{fmt, str::FromStr};

use crate::exit::Failure;

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tenants.
    Tenant,
    /// Tiers.
    Tier,
    /// Organisations.
    Organisation,
    /// Bundle versions.
    Bundle,
    /// Clusters.
    Cluster,
    /// Operations.
    Operation,
    /// Join tokens.
    Token,
    /// Evidence of tenants' isolation.
    Evidence,
    /// Role bindings.
    RoleBinding,
    /// Roles.
    Role,
}

const NAMES: [(Kind, &str, &[&str]); 10] = [
    (Kind::Tenant, "tenant", &["tenants", "tn"]),
    (Kind::Tier, "tier", &["tiers"]),
    (
        Kind::Organisation,
        "organisation",
        &["organisations", "org", "orgs", "organization", "organizations"],
    ),
    (Kind::Bundle, "bundle", &["bundles", "bd"]),
    (Kind::Cluster, "cluster", &["clusters", "cl"]),
    (Kind::Operation, "operation", &["operations", "op", "ops"]),
    (Kind::Token, "token", &["tokens", "jointoken", "jointokens", "jt"]),
    (Kind::Evidence, "evidence", &["evidence", "ev"]),
    (Kind::RoleBinding, "rolebinding", &["rolebindings", "rb"]),
    (Kind::Role, "role", &["roles"]),
];

impl Kind {
    /// `tenant`, `tier`, `organisation`, `bundle`, `cluster`, `operation`, `token`, `evidence`, `rolebinding` or `role`.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or("", |(_, name, _)| name)
    }
}

impl Kind {
    /// What the kind is called in permissions.
    #[must_use]
    pub(crate) const fn in_permissions(self) -> &'static str {
        match self {
            Self::Tenant => "tenants",
            Self::Tier => "tiers",
            Self::Organisation => "organisations",
            Self::Bundle => "bundles",
            Self::Cluster => "clusters",
            Self::Operation => "operations",
            Self::Token => "joinTokens",
            Self::Evidence => "evidence",
            Self::RoleBinding => "roleBindings",
            Self::Role => "roles",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        if let Some((kind, ..)) = NAMES
            .iter()
            .find(|(_, name, aliases)| *name == lower || aliases.contains(&lower.as_str()))
        {
            return Ok(*kind);
        }
        let near = berth_wire::closest(
            &lower,
            NAMES
                .iter()
                .flat_map(|(_, name, aliases)| std::iter::once(*name).chain(aliases.iter().copied())),
        );
        let known = NAMES.map(|(_, _, aliases)| aliases[0]).join(", ");
        Err(match near {
            Some(near) => format!("there is no kind {text:?}; did you mean {near:?}? Known are {known}"),
            None => format!("there is no kind {text:?}; known are {known}"),
        })
    }
}

/// One kind and some of its names; none means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The kind.
    pub kind: Kind,
    /// The names.
    pub names: Vec<String>,
}

/// Reads `KIND [NAME...]` or `KIND/NAME...`, all of one kind.
pub(crate) fn targets(arguments: &[String]) -> Result<Targets, Failure> {
    let Some((first, rest)) = arguments.split_first() else {
        return Err(Failure::usage(
            "say of which kind: tenants, tiers, organisations, bundles, clusters, operations, tokens, evidence, rolebindings or roles",
        ));
    };
    let Some((kind, name)) = first.split_once('/') else {
        let kind = first.parse().map_err(Failure::usage)?;
        if let Some(wrong) = rest.iter().find(|name| name.contains('/')) {
            return Err(Failure::usage(format!(
                "{wrong:?} has a kind although {kind} was said before; write one or the other"
            )));
        }
        return Ok(Targets {
            kind,
            names: rest.to_vec(),
        });
    };
    let kind: Kind = kind.parse().map_err(Failure::usage)?;
    let mut names = vec![name.to_owned()];
    for argument in rest {
        match argument.split_once('/') {
            Some((other, name)) if other.parse() == Ok(kind) => names.push(name.to_owned()),
            _ => {
                return Err(Failure::usage(format!(
                    "{argument:?} is not of the form {kind}/NAME"
                )));
            }
        }
    }
    Ok(Targets { kind, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Targets, Failure> {
        targets(
            &arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn kinds_are_known_in_singular_plural_and_short() {
        for (text, kind) in [
            ("tenant", Kind::Tenant),
            ("Tenants", Kind::Tenant),
            ("tn", Kind::Tenant),
            ("ops", Kind::Operation),
            ("joinTokens", Kind::Token),
        ] {
            assert_eq!(text.parse(), Ok(kind), "{text}");
        }
        assert!(
            "tennants"
                .parse::<Kind>()
                .unwrap_err()
                .contains("did you mean \"tenants\"?")
        );
    }

    #[test]
    fn a_target_is_a_kind_with_names_or_kind_slash_name() {
        let two = Targets {
            kind: Kind::Tenant,
            names: vec!["a".into(), "b".into()],
        };
        assert_eq!(of(&["tenants", "a", "b"]), Ok(two.clone()));
        assert_eq!(of(&["tenant/a", "tn/b"]), Ok(two));
        assert_eq!(
            of(&["tiers"]),
            Ok(Targets {
                kind: Kind::Tier,
                names: Vec::new()
            })
        );
        for wrong in [
            &[] as &[&str],
            &["tenants", "tenant/a"],
            &["tenant/a", "b"],
            &["tenant/a", "tier/b"],
            &["x"],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
