//! What is refused when somebody asks for it, with which numbers.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{OrganisationSpec, Tenant, Tier, TierName, organisation::Team};

use super::{acme, member, record};
use crate::{
    admit::{self, Catalogue},
    testing::{Amounts, empty, quota},
    view::TenantView,
};

fn catalogue(neighbours: &[TenantView]) -> Catalogue {
    let acme = acme();
    Catalogue {
        tiers: generous(),
        organisations: BTreeMap::from([(acme.name.clone(), Arc::new(acme))]),
        neighbours: neighbours.iter().map(record).collect(),
        ..Catalogue::default()
    }
}

/// Tiers that let a tenant ask for more than any owner has.
fn generous() -> BTreeMap<TierName, Arc<Tier>> {
    let mut tiers = empty().tiers;
    for tier in tiers.values_mut() {
        let most = quota(&[
            ("requests.cpu", "1k"),
            ("limits.cpu", "1k"),
            ("requests.memory", "1Ti"),
            ("requests.nvidia.com/gpu", "1k"),
            ("pods", "1M"),
        ]);
        let spec = &mut Arc::make_mut(tier).spec;
        spec.extended_resources = vec!["nvidia.com/gpu".into()];
        spec.quota_max.extend(most);
    }
    tiers
}

/// What admission says to `asked` among `neighbours`, one fault a line.
fn admitted(neighbours: &[TenantView], asked: &TenantView) -> String {
    let asked = record(asked);
    let existing = neighbours.iter().map(record).find(|known| known.id == asked.id);
    let verdict = admit::tenant(
        &catalogue(neighbours),
        asked.id.as_str(),
        &asked.spec,
        existing.as_ref(),
    );
    match verdict {
        Ok(warnings) => warnings.join("\n"),
        Err(faults) => faults
            .iter()
            .map(|fault| format!("{}: {}", fault.path, fault.problem))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn a_tenant_that_takes_a_level_over_its_quota_is_refused_with_the_numbers_and_who_uses_it() {
    let a = member("a", "acme/ml-platform", "10");
    let b = member("b", "acme/ml-platform", "15");
    assert_eq!(
        admitted(&[a], &b),
        "spec.owner.team: team ml-platform: requests.cpu 40 is 5 over: 45 of 40 used by project inference (20) and tenants b (15), a (10)"
    );
    let first = member("a", "acme/ml-platform/inference", "20");
    let second = member("b", "acme/ml-platform/inference", "500m");
    assert_eq!(
        admitted(&[first], &second),
        "spec.owner.project: project inference of team ml-platform: requests.cpu 20 is 500m over: 20500m of 20 used by tenants a (20), b (500m)"
    );
}

#[test]
fn a_level_counts_with_what_is_promised_to_it_and_without_a_promise_with_what_it_uses() {
    // 40 are promised to ml-platform, which uses nothing.
    let data = member("a", "acme/data", "60");
    assert_eq!(admitted(&[], &data), "");
    let more = member("b", "acme/data", "1");
    assert_eq!(
        admitted(&[data], &more),
        "spec.owner.organisation: organisation acme: requests.cpu 100 is 1 over: 101 of 100 used by teams data (61), ml-platform (40)"
    );
}

#[test]
fn an_amount_that_nothing_bounds_is_not_counted() {
    let mut a = member("a", "acme/data", "1");
    Arc::make_mut(&mut a.tenant)
        .spec
        .quota
        .extend(quota(&[("requests.nvidia.com/gpu", "1000"), ("pods", "100000")]));
    assert_eq!(admitted(&[], &a), "");
}

#[test]
fn a_team_or_project_that_is_not_there_is_refused_with_the_ones_that_are() {
    for (place, expected) in [
        (
            "acme/ml-platfrom",
            "spec.owner.team: organisation acme has no team \"ml-platfrom\"",
        ),
        (
            "acme/ml-platform/infer",
            "spec.owner.project: team ml-platform has no project \"infer\"",
        ),
        (
            "acme//inference",
            "spec.owner.project: project \"inference\" is in no team",
        ),
    ] {
        assert_eq!(admitted(&[], &member("a", place, "1")), expected, "{place}");
    }
    let asked = record(&member("a", "acme/ml-platfrom", "1"));
    let faults = admit::tenant(&catalogue(&[]), "a", &asked.spec, None).unwrap_err();
    assert_eq!(faults[0].hint, "did you mean \"ml-platform\"?");
}

#[test]
fn an_organisation_that_is_not_there_is_a_free_text_with_a_warning() {
    assert_eq!(
        admitted(&[], &member("a", "acmee/anything/at-all", "1000")),
        "spec.owner.organisation: there is no organisation \"acmee\", so that no quota of an owner bounds this tenant (did you mean \"acme\"?)"
    );
    assert_eq!(admitted(&[], &member("a", "", "1")), "");
}

#[test]
fn a_tenant_that_moves_needs_room_where_it_goes_and_leaves_room_where_it_was() {
    let staying = member("a", "acme/ml-platform", "15");
    let moving = member("b", "acme/data", "30");
    let moved = member("b", "acme/ml-platform", "30");
    assert_eq!(
        admitted(&[staying.clone(), moving.clone()], &moved),
        "spec.owner.team: team ml-platform: requests.cpu 40 is 25 over: 65 of 40 used by project inference (20) and tenants b (30), a (15)"
    );
    // What it leaves is free again: the organisation as a whole does not count it twice.
    let large = member("b", "acme/data", "60");
    assert_eq!(admitted(&[large], &member("b", "acme/ml-platform", "20")), "");
}

#[test]
fn what_is_over_already_may_stay_and_shrink_but_not_grow() {
    let crowd = [
        member("a", "acme/ml-platform", "30"),
        member("b", "acme/ml-platform", "30"),
    ];
    for fine in ["30", "29", "1"] {
        assert_eq!(
            admitted(&crowd, &member("a", "acme/ml-platform", fine)),
            "",
            "{fine}"
        );
    }
    assert_ne!(admitted(&crowd, &member("a", "acme/ml-platform", "31")), "");
}

/// What admission says to an organisation that becomes `new` from `old`.
fn changed(old: Option<&OrganisationSpec>, new: &OrganisationSpec, tenants: &[TenantView]) -> String {
    let tenants: Vec<Tenant> = tenants.iter().map(record).collect();
    match admit::organisation("acme", new, old, &tenants, &empty().tiers) {
        Ok(_) => String::new(),
        Err(faults) => faults
            .iter()
            .map(|fault| format!("{}: {}", fault.path, fault.problem))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn an_organisation_cannot_promise_more_than_it_has_or_go_below_what_its_tenants_hold() {
    let acme = acme().spec;
    assert_eq!(changed(None, &acme, &[]), "");
    let mut greedy = acme.clone();
    greedy.teams[1].quota = quota(&[("requests.cpu", "70")]);
    assert_eq!(
        changed(Some(&acme), &greedy, &[]),
        "spec.quota[\"requests.cpu\"]: organisation acme: requests.cpu 100 is 10 over: 110 of 100 used by teams data (70), ml-platform (40)"
    );
    let mut inner = acme.clone();
    inner.teams[0].projects[0].quota = quota(&[("requests.cpu", "41")]);
    assert_eq!(
        changed(Some(&acme), &inner, &[]),
        "spec.teams[0].quota[\"requests.cpu\"]: team ml-platform: requests.cpu 40 is 1 over: 41 of 40 used by project inference (41)"
    );
    let tenants = [member("a", "acme/data", "50"), member("b", "acme/data", "5")];
    let mut lower = acme.clone();
    lower.quota = quota(&[("requests.cpu", "80")]);
    assert_eq!(
        changed(Some(&acme), &lower, &tenants),
        "spec.quota[\"requests.cpu\"]: organisation acme: requests.cpu 80 is 15 over: 95 of 80 used by teams data (55), ml-platform (40)"
    );
    // A change that does not make it worse is possible, so that one can get out of it step by step.
    let mut better = lower.clone();
    better.quota = quota(&[("requests.cpu", "90")]);
    assert_eq!(changed(Some(&lower), &better, &tenants), "");
}

#[test]
fn a_team_with_tenants_cannot_be_taken_out() {
    let mut without = acme().spec;
    without.teams.pop();
    assert_eq!(
        changed(Some(&acme().spec), &without, &[member("a", "acme/data", "1")]),
        "spec.teams: team \"data\" is missing, and 1 tenant(s) belong to it: a"
    );
    let mut flat = acme().spec;
    flat.teams[0].projects.clear();
    assert_eq!(
        changed(None, &flat, &[member("a", "acme/ml-platform/inference", "1")]),
        "spec.teams: project \"inference\" of team \"ml-platform\" is missing, and 1 tenant(s) belong to it: a"
    );
}

#[test]
fn every_fault_of_an_organisation_is_told_at_once() {
    let team = |name: &str, amounts: Amounts<'_>| Team {
        name: name.into(),
        quota: quota(amounts),
        ..Team::default()
    };
    let spec = OrganisationSpec {
        display_name: "a\nb".into(),
        quota: quota(&[("request.cpu", "1"), ("pods", "-1")]),
        teams: vec![team("A", &[]), team("a", &[("pods", "1.5")]), team("a", &[])],
    };
    assert_eq!(
        changed(None, &spec, &[]),
        "spec.displayName: has control characters\n\
         spec.quota[\"pods\"]: -1 is below nothing\n\
         spec.quota[\"request.cpu\"]: is no amount of a tenant's quota\n\
         spec.teams[0].name: \"A\" is no DNS label\n\
         spec.teams[2].name: \"a\" is there twice\n\
         spec.teams[1].quota[\"pods\"]: 1.5 is no whole number\n\
         spec.quota[\"pods\"]: organisation acme: pods -1 is 2500m over: 1500m of -1 used by team a (1500m)"
    );
}
