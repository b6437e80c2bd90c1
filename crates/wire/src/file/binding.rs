//! `kind: RoleBinding`.

use std::collections::BTreeSet;

use berth_model::{InvalidId, RoleBindingSpec, Scope, Subject, TenantId, TenantSelector};

use super::{reader::Reader, tree::Tree};
use crate::{api::one_scope, words};

pub(super) fn read(spec: &mut Reader<'_>) -> Option<RoleBindingSpec> {
    let role = spec.choice("role", &words::ROLES);
    let subjects = names(spec, "subjects");
    let scope = spec.required("scope", |scope| {
        let fleet = scope.flag("fleet").unwrap_or_default();
        let tenants = names(scope, "tenants");
        let selector = scope.object("selector", |selector| {
            Some(TenantSelector {
                organisation: selector.text_or_empty("organisation"),
                team: selector.text_or_empty("team"),
                project: selector.text_or_empty("project"),
                labels: selector.text_map("labels"),
            })
        });
        one_scope(
            scope.faults,
            fleet,
            (!tenants.is_empty()).then_some(tenants),
            selector,
        )
    });
    Some(RoleBindingSpec {
        role: role?,
        subjects,
        scope: scope?,
    })
}

fn names<T: std::str::FromStr<Err = InvalidId> + Ord>(
    reader: &mut Reader<'_>,
    list: &'static str,
) -> BTreeSet<T> {
    let texts = reader.texts(list);
    let path = reader.path_of(list);
    let each = texts.iter().enumerate();
    each.filter_map(|(at, text)| reader.faults.name(&format!("{path}[{at}]"), text))
        .collect()
}

/// The spec as it is written.
#[must_use]
pub fn role_binding_spec_tree(spec: &RoleBindingSpec) -> Tree {
    let RoleBindingSpec {
        role,
        subjects,
        scope,
    } = spec;
    let scope = match scope {
        Scope::Fleet => Tree::map().with("fleet", Tree::Bool(true)),
        Scope::Tenants(ids) => Tree::map().with("tenants", Tree::texts(ids.iter().map(TenantId::as_str))),
        Scope::Selector(selector) => Tree::map().with(
            "selector",
            Tree::map()
                .some_text("organisation", &selector.organisation)
                .some_text("team", &selector.team)
                .some_text("project", &selector.project)
                .with_some("labels", selector.labels.iter().collect()),
        ),
    };
    Tree::map()
        .text("role", role.as_str())
        .with("subjects", Tree::texts(subjects.iter().map(Subject::as_str)))
        .with("scope", scope)
}
