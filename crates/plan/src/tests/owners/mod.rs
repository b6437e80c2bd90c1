//! What organisations, teams and projects may hold.

mod admission;
mod planning;
mod random;

use std::sync::Arc;

use berth_model::{Organisation, Tenant, organisation::Project, tenant::Owner};

use crate::{
    testing::{organisation, quota, tenant},
    view::TenantView,
};

/// 100 cores and 200Gi; team ml-platform 40 and 80Gi with project inference 20, 40Gi and 4 GPUs; team data without a quota.
fn acme() -> Organisation {
    let mut acme = organisation(
        "acme",
        &[("requests.cpu", "100"), ("requests.memory", "200Gi")],
        &[
            (
                "ml-platform",
                &[("requests.cpu", "40"), ("requests.memory", "80Gi")],
            ),
            ("data", &[]),
        ],
    );
    acme.spec.teams[0].projects.push(Project {
        name: "inference".into(),
        quota: quota(&[
            ("requests.cpu", "20"),
            ("requests.memory", "40Gi"),
            ("requests.nvidia.com/gpu", "4"),
        ]),
    });
    acme
}

/// A tenant at `place` (`organisation/team/project`) with an amount of CPU.
fn member(id: &str, place: &str, cpu: &str) -> TenantView {
    let mut known = tenant(id, "standard");
    let record = Arc::make_mut(&mut known.tenant);
    let mut place = place.split('/');
    let mut next = || place.next().unwrap_or_default().to_owned();
    record.spec.owner = Owner {
        organisation: next(),
        team: next(),
        project: next(),
    };
    record.spec.quota = quota(&[
        ("requests.cpu", cpu),
        ("limits.cpu", "1000"),
        ("requests.memory", "1Gi"),
    ]);
    known
}

fn record(known: &TenantView) -> Tenant {
    (*known.tenant).clone()
}
