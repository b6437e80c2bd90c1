//! What deciding on a call costs: the caller's bindings looked up and its permission decided, as the hub does it for every call.

use std::sync::Arc;

use anyhow::Context as _;
use berth_control::{Authorizer, access::Resource, keys};
use berth_identity::{Caller, Principal};
use berth_model::{
    Generation, Revision, Role, RoleBinding, RoleBindingSpec, Scope, Tenant, TenantId, TenantSelector,
    TenantSpec, Timestamp, Uid,
};
use berth_runtime::{CancellationToken, SystemClock};
use berth_store::{MemoryStore, Store, Txn};
use berth_tests::waiting::{LONG, Watch, until};
use berth_wire::record;

use crate::report::Table;
use crate::statistics::Samples;

const TENANTS: usize = 10_000;
const ORGANISATIONS: usize = 100;
const BINDINGS: usize = 5000;
const GROUPS: usize = 20;
/// Decisions of one sample.
const AT_ONCE: u32 = 1000;
const SAMPLES: usize = 100;

pub(crate) async fn measure() -> anyhow::Result<Table> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let last = fill(store.as_ref()).await?;
    let authorizer = Authorizer::default();
    let cancel = CancellationToken::new();
    let watch = Watch::start();
    let following = authorizer
        .clone()
        .follow(store.clone(), Arc::new(SystemClock::new()), cancel.clone());
    let following = tokio::spawn(following);
    until(LONG, "the bindings are read", || async {
        Ok(authorizer.knows(&tenant(TENANTS - 1)).then_some(()))
    })
    .await?;
    authorizer.reached(last).await;
    let read = watch.elapsed();
    let mut table = Table::default();
    table.line(
        format!("{BINDINGS} bindings and {TENANTS} tenants read"),
        format!("{:.0} ms", read.as_secs_f64() * 1000.0),
        "",
        "once, when a hub starts",
    );
    let nobody = |name: &str, groups: Vec<String>| Caller {
        principal: Principal::Person(name.into()),
        groups,
        credential: String::new(),
    };
    let groups = (0..GROUPS).map(|number| format!("group-{number}")).collect();
    for (what, caller, id, allowed) in [
        (
            "of a user with one binding by id",
            nobody("user-7", vec![]),
            tenant(7),
            true,
        ),
        (
            "of a user in 20 groups, each bound to an organisation",
            nobody("somebody", groups),
            tenant(GROUPS - 1),
            true,
        ),
        ("refused: no binding", nobody("nobody", vec![]), tenant(7), false),
    ] {
        let mut samples = Samples::default();
        for _ in 0..SAMPLES {
            let watch = Watch::start();
            for _ in 0..AT_ONCE {
                let grants = authorizer.grants(&caller).context("the bindings are read")?;
                let decided = authorizer.decide(&grants, "tenants.get", Resource::Tenant(&id));
                anyhow::ensure!(decided.is_ok() == allowed, "{what}: {decided:?}");
            }
            samples.add(watch.elapsed() / AT_ONCE);
        }
        let micros = |percent| samples.quantile(percent).as_secs_f64() * 1e6;
        table.line(
            format!("a decision {what}, microseconds (p50 / p99)"),
            format!("{:.1} / {:.1}", micros(50), micros(99)),
            "20",
            "",
        );
    }
    cancel.cancel();
    following.await.context("follow the store")?;
    Ok(table)
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// Half of the bindings name a user and a tenant, half a group and an organisation.
async fn fill(store: &dyn Store) -> anyhow::Result<Revision> {
    let uid = Uid::new("u")?;
    let mut last = Revision(0);
    for number in 0..TENANTS {
        let mut spec = TenantSpec::of_tier("free".parse()?);
        spec.owner.organisation = organisation(number);
        let tenant = Tenant {
            id: tenant(number).parse()?,
            uid: uid.clone(),
            generation: Generation(1),
            revision: Revision(0),
            created_at: Timestamp::UNIX_EPOCH,
            deleting_since: None,
            spec,
        };
        let key = keys::tenant(&tenant.id);
        let request_ids = Vec::new();
        let value = record::encode_tenant(&record::TenantRecord { tenant, request_ids });
        store.txn(Txn::new().put(key, value)).await?;
    }
    for number in 0..BINDINGS {
        let half = number / 2;
        let (subject, scope) = if number % 2 == 0 {
            let id: TenantId = tenant(half).parse()?;
            (format!("user:user-{half}"), Scope::Tenants([id].into()))
        } else {
            let selector = TenantSelector {
                organisation: organisation(half),
                ..TenantSelector::default()
            };
            (format!("group:group-{half}"), Scope::Selector(selector))
        };
        let binding = RoleBinding {
            name: format!("binding-{number}").parse()?,
            uid: uid.clone(),
            generation: Generation(1),
            revision: Revision(0),
            spec: RoleBindingSpec {
                role: Role::TenantUser,
                subjects: [subject.parse()?].into(),
                scope,
            },
        };
        let key = keys::role_binding(&binding.name);
        let value = record::encode_role_binding(&binding);
        last = store.txn(Txn::new().put(key, value)).await?;
    }
    Ok(last)
}

fn organisation(number: usize) -> String {
    format!("organisation-{}", number % ORGANISATIONS)
}
