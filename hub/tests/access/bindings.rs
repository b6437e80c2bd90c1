//! Role bindings at work: what lists and watches show, who may give what, and how fast it counts.

use crate::support::{self, Caller, Hub, bind, denied, fleet, of_organisation, only, tenant};
use berth_proto::v1::{self, watch_tenants_response::Event};
use tonic::Code;

async fn seen(caller: &Caller, page_size: i32) -> Vec<String> {
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTenantsRequest {
            page_size,
            page_token,
            ..Default::default()
        };
        let page = caller.tenants().list_tenants(request).await.unwrap().into_inner();
        assert!(page_size == 0 || page.tenants.len() <= usize::try_from(page_size).unwrap());
        assert!(
            page.next_page_token.is_empty() || page.tenants.len() == usize::try_from(page_size).unwrap(),
            "a page is filled or the last one"
        );
        seen.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        // Where it goes on names nothing that is not shown.
        let at = page.next_page_token.as_str();
        assert!(
            at.is_empty() || seen.last().is_some_and(|last| at.ends_with(last.as_str())),
            "{at}"
        );
        if at.is_empty() {
            return seen;
        }
        page_token = page.next_page_token;
    }
}

async fn tenants(hub: &Hub, all: &[(&str, &str)]) {
    for (id, organisation) in all {
        let created = hub
            .admin()
            .tenants()
            .create_tenant(tenant(id, organisation))
            .await;
        created.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_the_caller_may_see_on_pages_that_are_full() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    tenants(
        &hub,
        &[
            ("a", "x"),
            ("b", "y"),
            ("c", "x"),
            ("d", "y"),
            ("e", "x"),
            ("f", "y"),
        ],
    )
    .await;
    bind(&admin, "x", "viewer", &["certificate:x"], of_organisation("x")).await;
    bind(
        &admin,
        "two",
        "tenant-user",
        &["certificate:two"],
        only(&["b", "c"]),
    )
    .await;
    bind(&admin, "ops", "operator", &["certificate:ops"], fleet()).await;
    for size in [0, 1, 2, 3, 100] {
        let x = seen(&hub.user("x"), size).await;
        assert_eq!(x, ["tenants/a", "tenants/c", "tenants/e"], "{size}");
        assert_eq!(seen(&hub.user("two"), size).await, ["tenants/b", "tenants/c"]);
        assert_eq!(seen(&hub.user("ops"), size).await.len(), 6);
    }
    for name in ["x", "y"] {
        let request = v1::CreateOrganisationRequest {
            organisation_id: name.into(),
            organisation: Some(v1::Organisation {
                spec: Some(v1::OrganisationSpec::default()),
                ..Default::default()
            }),
            validate_only: false,
        };
        admin.organisations().create_organisation(request).await.unwrap();
    }
    let mut organisations = hub.user("x").organisations();
    let listed = organisations.list_organisations(v1::ListOrganisationsRequest::default());
    let names: Vec<String> = listed
        .await
        .unwrap()
        .into_inner()
        .organisations
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["organisations/x"]);
    let bindings = hub
        .user("two")
        .access()
        .get_caller(v1::GetCallerRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(bindings.subject, "certificate:two");
    assert_eq!(bindings.role_bindings.len(), 1);
    assert!(!bindings.break_glass);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_may_not_be_seen_is_refused_like_one_that_does_not_exist() {
    let hub = Hub::start().await;
    tenants(&hub, &[("theirs", "x")]).await;
    bind(
        &hub.admin(),
        "own",
        "tenant-admin",
        &["certificate:alice"],
        only(&["own"]),
    )
    .await;
    let alice = hub.user("alice");
    let mut told = Vec::new();
    for id in ["theirs", "absent"] {
        let name = format!("tenants/{id}");
        let status = alice
            .tenants()
            .get_tenant(v1::GetTenantRequest { name })
            .await
            .unwrap_err();
        assert!(denied(&status), "{status:?}");
        assert!(
            status
                .message()
                .contains("certificate:alice has no permission tenants.get")
        );
        told.push(status.message().replace(id, "ID"));
    }
    assert_eq!(told[0], told[1]);
    // Of the own one that does not exist, that is said.
    let name = "tenants/own".into();
    let status = alice
        .tenants()
        .get_tenant(v1::GetTenantRequest { name })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_counts_when_it_is_answered_and_no_longer_when_it_is_deleted() {
    let hub = Hub::start().await;
    tenants(&hub, &[("own", "x")]).await;
    let (admin, alice) = (hub.admin(), hub.user("alice"));
    let get = || async {
        let name = "tenants/own".into();
        alice.tenants().get_tenant(v1::GetTenantRequest { name }).await
    };
    for _ in 0..20 {
        assert!(denied(&get().await.unwrap_err()));
        bind(&admin, "alice", "viewer", &["certificate:alice"], only(&["own"])).await;
        get().await.unwrap();
        let name = "roleBindings/alice".into();
        let request = v1::DeleteRoleBindingRequest {
            name,
            ..Default::default()
        };
        admin.access().delete_role_binding(request).await.unwrap();
    }
    assert!(denied(&get().await.unwrap_err()));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_its_caller_may_see_something_else() {
    let hub = Hub::start().await;
    tenants(&hub, &[("own", "x"), ("theirs", "y")]).await;
    let (admin, alice) = (hub.admin(), hub.user("alice"));
    bind(&admin, "alice", "viewer", &["certificate:alice"], only(&["own"])).await;
    let watch = alice
        .tenants()
        .watch_tenants(v1::WatchTenantsRequest::default())
        .await;
    let mut events = watch.unwrap().into_inner();
    let mut shown = Vec::new();
    loop {
        match events.message().await.unwrap().unwrap().event.unwrap() {
            Event::Upserted(tenant) => shown.push(tenant.name),
            Event::SnapshotEnd(_) => break,
            Event::Deleted(name) => panic!("{name}"),
        }
    }
    assert_eq!(shown, ["tenants/own"]);
    // Somebody else's binding changes nothing.
    bind(&admin, "bob", "viewer", &["certificate:bob"], fleet()).await;
    tenants(&hub, &[("more", "y")]).await;
    let name = "roleBindings/alice".into();
    let request = v1::DeleteRoleBindingRequest {
        name,
        ..Default::default()
    };
    admin.access().delete_role_binding(request).await.unwrap();
    let ended = loop {
        match events.message().await {
            Ok(Some(event)) => match event.event.unwrap() {
                Event::Upserted(tenant) => assert_eq!(tenant.name, "tenants/own"),
                other => panic!("{other:?}"),
            },
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(
        berth_wire::status::reason(&ended).as_deref(),
        Some("ACCESS_CHANGED")
    );
    let again = alice
        .tenants()
        .watch_tenants(v1::WatchTenantsRequest::default())
        .await;
    assert!(denied(&again.map(drop).unwrap_err()));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_more_than_they_hold() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    bind(
        &admin,
        "own",
        "tenant-admin",
        &["certificate:alice"],
        only(&["own"]),
    )
    .await;
    bind(&admin, "root", "platform-admin", &["certificate:root"], fleet()).await;
    let alice = hub.user("alice");
    bind(&alice, "mine", "tenant-user", &["user:bob"], only(&["own"])).await;
    for (role, scope) in [
        ("platform-admin", only(&["own"])),
        ("tenant-user", only(&["own", "theirs"])),
        ("viewer", fleet()),
        ("viewer", of_organisation("x")),
    ] {
        let request = support::binding("more", role, &["certificate:alice"], scope.clone());
        let status = alice.access().create_role_binding(request).await.unwrap_err();
        assert!(denied(&status), "{role} {scope:?} {status:?}");
        // Nor by changing one that is hers.
        let given = support::binding("mine", role, &["certificate:alice"], scope)
            .role_binding
            .unwrap();
        let request = v1::UpdateRoleBindingRequest {
            role_binding: Some(v1::RoleBinding {
                name: "roleBindings/mine".into(),
                ..given
            }),
            ..Default::default()
        };
        let status = alice.access().update_role_binding(request).await.unwrap_err();
        assert!(denied(&status), "{role} {status:?}");
    }
    let name = "roleBindings/root".to_owned();
    let request = v1::DeleteRoleBindingRequest {
        name,
        ..Default::default()
    };
    assert!(denied(
        &alice
            .access()
            .delete_role_binding(request.clone())
            .await
            .unwrap_err()
    ));
    let listed = alice
        .access()
        .list_role_bindings(v1::ListRoleBindingsRequest::default())
        .await
        .unwrap();
    let names: Vec<String> = listed
        .into_inner()
        .role_bindings
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["roleBindings/mine", "roleBindings/own"]);
    // The last platform admin can go: the hub's own credential needs no binding.
    hub.user("root")
        .access()
        .delete_role_binding(request)
        .await
        .unwrap();
    bind(&admin, "root", "platform-admin", &["certificate:root"], fleet()).await;
    hub.stop().await;
}

fn update(id: &str, change: impl FnOnce(&mut v1::TenantSpec)) -> v1::UpdateTenantRequest {
    let mut given = tenant(id, "x").tenant.unwrap();
    given.name = format!("tenants/{id}");
    change(given.spec.as_mut().unwrap());
    v1::UpdateTenantRequest {
        tenant: Some(given),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_admin_changes_the_tenant_within_its_terms() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    tenants(&hub, &[("own", "x")]).await;
    bind(
        &admin,
        "own",
        "tenant-admin",
        &["certificate:alice"],
        only(&["own"]),
    )
    .await;
    let alice = hub.user("alice");
    let own = update("own", |spec| spec.display_name = "Own".into());
    alice.tenants().update_tenant(own.clone()).await.unwrap();
    type Change = fn(&mut v1::TenantSpec);
    let terms: [(&str, Change); 4] = [
        ("spec.tier", |spec| spec.tier = "standard".into()),
        ("spec.owner", |spec| {
            spec.owner.as_mut().unwrap().organisation = "y".into()
        }),
        ("spec.labels", |spec| {
            drop(spec.labels.insert("team".into(), "red".into()))
        }),
        ("spec.quota", |spec| {
            drop(spec.quota.insert("requests.cpu".into(), "1".into()))
        }),
    ];
    for (path, change) in terms {
        let status = alice
            .tenants()
            .update_tenant(update("own", change))
            .await
            .unwrap_err();
        assert!(denied(&status), "{path} {status:?}");
        assert!(
            status.message().contains(path) && status.message().contains("tenants.updateTerms"),
            "{status:?}"
        );
        let name = "tenants/own".into();
        let got = admin
            .tenants()
            .get_tenant(v1::GetTenantRequest { name })
            .await
            .unwrap();
        assert_eq!(
            got.into_inner().tenant.unwrap().generation,
            2,
            "nothing was changed"
        );
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_of_an_organisation_makes_tenants_in_it_and_moves_none_out_or_in() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    tenants(&hub, &[("theirs", "y")]).await;
    bind(
        &admin,
        "x",
        "platform-admin",
        &["certificate:x"],
        of_organisation("x"),
    )
    .await;
    let x = hub.user("x");
    x.tenants().create_tenant(tenant("mine", "x")).await.unwrap();
    let name = "tenants/mine".to_owned();
    x.tenants()
        .get_tenant(v1::GetTenantRequest { name })
        .await
        .unwrap();
    assert!(denied(
        &x.tenants()
            .create_tenant(tenant("foreign", "y"))
            .await
            .unwrap_err()
    ));
    assert!(denied(
        &x.tenants()
            .create_tenant(tenant("theirs", "x"))
            .await
            .unwrap_err()
    ));
    for (id, to, allow_missing) in [
        ("mine", "y", false),
        ("theirs", "x", false),
        ("foreign", "y", true),
    ] {
        let request = v1::UpdateTenantRequest {
            allow_missing,
            ..update(id, |spec| spec.owner.as_mut().unwrap().organisation = to.into())
        };
        let status = x.tenants().update_tenant(request).await.unwrap_err();
        assert!(denied(&status), "{id} {status:?}");
    }
    let request = v1::UpdateTenantRequest {
        allow_missing: true,
        ..update("another", |_| {})
    };
    x.tenants().update_tenant(request).await.unwrap();
    let request = update("mine", |spec| spec.tier = "standard".into());
    x.tenants().update_tenant(request).await.unwrap();
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_somebody_may_is_answered_with_the_binding_that_says_so() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    tenants(&hub, &[("own", "x")]).await;
    bind(
        &admin,
        "own",
        "tenant-user",
        &["certificate:alice", "group:devs"],
        only(&["own"]),
    )
    .await;
    let ask = async |by: &Caller, permission: &str, resource: &str, subject: &str, groups: &[&str]| {
        let request = v1::CheckAccessRequest {
            permission: permission.into(),
            resource: resource.into(),
            subject: subject.into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        by.access()
            .check_access(request)
            .await
            .map(tonic::Response::into_inner)
    };
    let alice = hub.user("alice");
    let yes = ask(&alice, "tenants.get", "tenants/own", "", &[]).await.unwrap();
    assert!(yes.allowed && yes.role_binding == "roleBindings/own", "{yes:?}");
    let no = ask(&alice, "tenants.update", "tenants/own", "", &[])
        .await
        .unwrap();
    assert!(
        !no.allowed && no.reason.contains("none of the caller's roles"),
        "{no:?}"
    );
    assert!(
        !ask(&alice, "tenants.get", "tenants/other", "", &[])
            .await
            .unwrap()
            .allowed
    );
    let others = ask(&admin, "tenants.get", "tenants/own", "user:bob", &["devs"])
        .await
        .unwrap();
    assert!(others.allowed);
    assert!(
        !ask(&admin, "tenants.get", "tenants/own", "user:bob", &[])
            .await
            .unwrap()
            .allowed
    );
    assert!(
        ask(&admin, "tiers.delete", "", "certificate:admin", &[])
            .await
            .unwrap()
            .allowed
    );
    let wrong = ask(&alice, "tenants.fly", "", "", &[]).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    hub.stop().await;
}
