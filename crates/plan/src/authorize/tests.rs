use std::sync::Arc;

use berth_model::{
    Generation, Revision, Role, RoleBinding, RoleBindingSpec, Scope, TenantSelector, TenantSpec, Traits, Uid,
    role::{RULES, Reach, Rule},
    tenant::Owner,
};
use proptest::{collection, prelude::*, sample::select};

use super::*;

const TENANTS: [&str; 3] = ["a", "b", "c"];
const SUBJECTS: [&str; 4] = ["user:alice", "user:bob", "group:ops", "apikey:ci"];

fn bound(name: &str, spec: RoleBindingSpec) -> RoleBinding {
    RoleBinding {
        name: name.parse().unwrap(),
        uid: Uid::new("u").unwrap(),
        generation: Generation(1),
        revision: Revision(1),
        spec,
    }
}

fn spec(role: Role, subject: &str, scope: Scope) -> RoleBindingSpec {
    RoleBindingSpec {
        role,
        subjects: [subject.parse().unwrap()].into(),
        scope,
    }
}

fn tenants(ids: &[&str]) -> Scope {
    Scope::Tenants(ids.iter().map(|id| id.parse().unwrap()).collect())
}

fn selector(organisation: &str, team: &str) -> TenantSelector {
    TenantSelector {
        organisation: organisation.into(),
        team: team.into(),
        ..TenantSelector::default()
    }
}

fn traits(organisation: &str, team: &str) -> Traits {
    Traits {
        owner: Owner {
            organisation: organisation.into(),
            team: team.into(),
            project: String::new(),
        },
        labels: std::collections::BTreeMap::new(),
    }
}

fn grants(specs: &[RoleBindingSpec]) -> Grants {
    let each = |(at, spec): (usize, &RoleBindingSpec)| Arc::new(bound(&format!("b-{at}"), spec.clone()));
    Grants::of(specs.iter().enumerate().map(each).collect())
}

fn any_scope() -> impl Strategy<Value = Scope> {
    let word = || select(vec!["", "x", "y"]);
    prop_oneof![
        Just(Scope::Fleet),
        proptest::sample::subsequence(TENANTS.to_vec(), 1..=3).prop_map(|ids| tenants(&ids)),
        (select(vec!["x", "y"]), word())
            .prop_map(|(organisation, team)| Scope::Selector(selector(organisation, team))),
    ]
}

fn any_spec() -> impl Strategy<Value = RoleBindingSpec> {
    let role = select(Role::ALL.to_vec());
    let subject = select(SUBJECTS.to_vec());
    (role, subject, any_scope()).prop_map(|(role, subject, scope)| spec(role, subject, scope))
}

fn any_traits() -> impl Strategy<Value = Traits> {
    let word = || select(vec!["", "x", "y"]);
    (word(), word()).prop_map(|(organisation, team)| traits(organisation, team))
}

fn permission() -> impl Strategy<Value = &'static str> {
    select(RULES.iter().map(|rule| rule.permission).collect::<Vec<_>>())
}

/// Every kind of object, of tenants every one.
fn objects(known: &Traits) -> Vec<Object<'_>> {
    let mut all = vec![
        Object::Fleet,
        Object::Any,
        Object::Organisation("x"),
        Object::Organisation("y"),
    ];
    for id in TENANTS {
        all.push(Object::Tenant { id, traits: None });
        let traits = Some(known);
        all.push(Object::Tenant { id, traits });
    }
    all
}

proptest! {
    #[test]
    fn another_binding_never_takes_anything_away(
        some in collection::vec(any_spec(), 0..5),
        more in any_spec(),
        permission in permission(),
        known in any_traits(),
    ) {
        let before = grants(&some);
        let after = grants(&[some, vec![more]].concat());
        for object in objects(&known) {
            prop_assert!(!before.allow(permission, object) || after.allow(permission, object));
        }
    }

    #[test]
    fn nobody_holds_more_than_the_union_of_their_bindings(
        some in collection::vec(any_spec(), 0..5),
        permission in permission(),
        known in any_traits(),
    ) {
        let all = grants(&some);
        for object in objects(&known) {
            let alone = some.iter().any(|one| grants(std::slice::from_ref(one)).allow(permission, object));
            let free = Rule::of(permission).unwrap().reach == Reach::Everybody;
            prop_assert_eq!(all.allow(permission, object), alone || free);
        }
    }

    #[test]
    fn a_role_allows_its_own_permissions_and_no_others(one in any_spec(), permission in permission(), known in any_traits()) {
        let rule = Rule::of(permission).unwrap();
        for object in objects(&known) {
            if grants(std::slice::from_ref(&one)).allow(permission, object) {
                prop_assert!(rule.takes(one.role) || rule.reach == Reach::Everybody);
            }
        }
    }

    #[test]
    fn a_binding_to_one_tenant_opens_nothing_of_another(role in select(Role::ALL.to_vec()), permission in permission(), known in any_traits()) {
        let own = grants(&[spec(role, "user:alice", tenants(&["a"]))]);
        let reach = Rule::of(permission).unwrap().reach;
        let others = [
            Object::Tenant { id: "b", traits: Some(&known) },
            Object::Tenant { id: "b", traits: None },
            Object::Organisation("x"),
            Object::Fleet,
        ];
        for object in others {
            let nobodys = matches!(reach, Reach::Everybody | Reach::Anywhere);
            prop_assert!(nobodys || !own.allow(permission, object), "{object:?}");
        }
    }

    #[test]
    fn subjects_hold_what_names_them_and_nothing_else(
        some in collection::vec(any_spec(), 0..6),
        gone in any::<prop::sample::Index>(),
        who in proptest::sample::subsequence(SUBJECTS.to_vec(), 0..=3),
    ) {
        let mut bindings = Bindings::default();
        let all: Vec<RoleBinding> =
            some.iter().enumerate().map(|(at, spec)| bound(&format!("b-{at}"), spec.clone())).collect();
        for binding in &all {
            bindings.put(binding.clone());
            bindings.put(binding.clone());
        }
        let gone = (!all.is_empty()).then(|| all[gone.index(all.len())].name.clone());
        if let Some(gone) = &gone {
            bindings.remove(gone);
        }
        let held = bindings.held_by(who.iter().copied());
        let names: Vec<&RoleBinding> = held.bindings().iter().map(|binding| &**binding).collect();
        let wanted: Vec<&RoleBinding> = all
            .iter()
            .filter(|binding| Some(&binding.name) != gone.as_ref())
            .filter(|binding| binding.spec.subjects.iter().any(|subject| who.contains(&subject.as_str())))
            .collect();
        prop_assert_eq!(names, wanted);
    }

    /// The rule of escalation: whatever one may bind, whoever gets it holds nothing that the binder does not hold.
    #[test]
    fn what_one_may_bind_gives_nothing_that_one_does_not_hold(
        own in collection::vec(any_spec(), 0..4),
        given in any_spec(),
        permission in permission(),
        known in any_traits(),
    ) {
        let binder = grants(&own);
        prop_assume!(binder.may_bind(&given).is_ok());
        let receiver = grants(std::slice::from_ref(&given));
        for object in objects(&known) {
            prop_assert!(
                !receiver.allow(permission, object) || binder.allow(permission, object),
                "{permission} {object:?}"
            );
        }
        // And they may bind nothing that the binder may not.
        prop_assert!(receiver.may_bind(&given).is_err() || binder.may_bind(&given).is_ok());
    }
}

#[test]
fn a_tenant_admin_binds_within_the_own_tenants_and_no_stronger_role() {
    let admin = grants(&[spec(Role::TenantAdmin, "user:alice", tenants(&["a", "b"]))]);
    for (role, scope, may) in [
        (Role::TenantUser, tenants(&["a"]), true),
        (Role::TenantAdmin, tenants(&["a", "b"]), true),
        (Role::Viewer, tenants(&["b"]), true),
        (Role::Operator, tenants(&["a"]), true),
        (Role::PlatformAdmin, tenants(&["a"]), false),
        (Role::Viewer, tenants(&["a", "c"]), false),
        (Role::Viewer, Scope::Fleet, false),
        (Role::Viewer, Scope::Selector(selector("x", "")), false),
    ] {
        let wanted = spec(role, "user:bob", scope);
        assert_eq!(admin.may_bind(&wanted).is_ok(), may, "{wanted:?}");
    }
    let of_team = grants(&[spec(
        Role::TenantAdmin,
        "user:alice",
        Scope::Selector(selector("x", "")),
    )]);
    let narrower = spec(Role::Viewer, "user:bob", Scope::Selector(selector("x", "web")));
    assert!(of_team.may_bind(&narrower).is_ok());
    let beside = spec(Role::Viewer, "user:bob", Scope::Selector(selector("", "web")));
    assert!(of_team.may_bind(&beside).is_err());
    // What is in the organisation today may belong to somebody else tomorrow.
    assert!(
        of_team
            .may_bind(&spec(Role::Viewer, "user:bob", tenants(&["a"])))
            .is_err()
    );
}

#[test]
fn whoever_breaks_the_glass_may_everything_that_has_a_rule() {
    let all = Grants::everything();
    for rule in RULES {
        assert_eq!(all.decide(rule.permission, Object::Fleet), Ok(None));
    }
    assert_eq!(all.decide("tenants.fly", Object::Fleet), Err(Denied::NoRule));
    assert!(
        all.may_bind(&spec(Role::PlatformAdmin, "user:a", Scope::Fleet))
            .is_ok()
    );
}

#[test]
fn a_denial_says_what_is_missing_and_nothing_about_the_object() {
    let a = |id| Object::Tenant { id, traits: None };
    let nobody = Grants::default();
    assert_eq!(nobody.decide("tenants.get", a("a")), Err(Denied::NoBinding));
    let viewer = grants(&[spec(Role::Viewer, "user:alice", tenants(&["a"]))]);
    assert_eq!(viewer.decide("tenants.update", a("a")), Err(Denied::NoRole));
    let known = traits("x", "");
    let there = Object::Tenant {
        id: "b",
        traits: Some(&known),
    };
    let missing = viewer.decide("tenants.get", a("b"));
    assert_eq!(missing, viewer.decide("tenants.get", there));
    let reach = Reach::Tenant;
    assert_eq!(missing, Err(Denied::OutOfScope { reach }));
    assert_eq!(
        viewer
            .decide("tenants.get", a("a"))
            .unwrap()
            .map(|by| by.name.as_str()),
        Some("b-0")
    );
}

#[test]
fn what_was_bought_and_whose_it_is_are_terms_and_the_rest_is_the_tenants_own() {
    let old = TenantSpec::of_tier("free".parse().unwrap());
    let mut own = old.clone();
    own.display_name = "Acme".into();
    own.namespaces = vec!["more".into()];
    own.required_labels = vec!["app".into()];
    assert_eq!(terms_changed(&old, &own), Vec::<&str>::new());
    let mut terms = old.clone();
    terms.tier = "premium".parse().unwrap();
    terms.owner.team = "x".into();
    terms.labels.insert("env".into(), "prod".into());
    assert_eq!(
        terms_changed(&old, &terms),
        ["spec.tier", "spec.owner", "spec.labels"]
    );
}
