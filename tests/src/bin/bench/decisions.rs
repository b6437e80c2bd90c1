//! Placing tenants one after another in a large fleet: the planner alone, as the control loop calls it.

use berth_plan::testing::{large, tenant, tenant_id};
use berth_plan::view::{Placed, View};
use berth_plan::{Changes, Plan, Step, closure, lint, plan};
use berth_tests::waiting::Watch;

use crate::report::Table;
use crate::statistics::Samples;

const CLUSTERS: usize = 5000;
const TENANTS: usize = 10_000;
const PLACEMENTS: usize = 2000;

pub(crate) fn measure() -> Table {
    let mut view = large(CLUSTERS, TENANTS, 1);
    let (mut samples, mut findings) = (Samples::default(), 0);
    let whole = Watch::start();
    for number in 0..PLACEMENTS {
        let id = format!("bench-{number}");
        view.set_tenant(tenant(&id, if number % 10 == 0 { "premium" } else { "standard" }));
        let changes = Changes {
            tenants: [tenant_id(&id)].into(),
            ..Changes::default()
        };
        let watch = Watch::start();
        let decided = plan(&view, &closure(&view, &changes));
        samples.add(watch.elapsed());
        findings += lint(&view, &decided).len();
        place(&mut view, &decided);
    }
    let all = whole.elapsed();
    let mut table = Table::default();
    let a_second = 1.0 / samples.mean().as_secs_f64();
    let what = format!("one placement, {CLUSTERS} clusters, {TENANTS} tenants");
    table.line(what, samples.line(), "p99 under 10", "");
    table.line(
        "placements a second, deciding alone",
        format!("{a_second:.0}"),
        "1000",
        "",
    );
    let a_second = PLACEMENTS as f64 / all.as_secs_f64();
    table.line(
        "with linting and keeping the view",
        format!("{a_second:.0}, {findings} findings"),
        "1000",
        "",
    );
    table
}

/// Does what a plan says of placements, so that the next tenant meets what is left.
fn place(view: &mut View, plan: &Plan) {
    for step in &plan.steps {
        if let Step::SavePlacement {
            tenant,
            placement,
            reserved,
            namespaces,
            generation,
            reason,
            accepted_gaps,
            ..
        } = step
        {
            let placed = Placed {
                placement: placement.clone(),
                reserved: *reserved,
                namespaces: *namespaces,
                generation: *generation,
                decided_at: view.now,
                reason: reason.clone(),
                accepted_gaps: accepted_gaps.clone(),
            };
            let _ = view.set_placed(tenant, Some(placed));
        }
    }
}
