//! What an engine does that nobody talks to for a day, and what it does about somebody who undoes its work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/faults.rs"]
mod faults;
mod support;

use std::{sync::Arc, time::Duration};

use berth_model::{Generation, report::ApplyState};
use faults::{Bad, Fault, pass};
use serde_json::json;
use support::Tenant;

const HOUR: u64 = 3_600;

#[tokio::test(start_paused = true)]
async fn a_day_without_a_hub_everything_stays_drift_is_mended_and_reports_are_as_old_as_they_are() {
    let bad = Bad::start().await;
    let tenants = [Tenant::new("lonely-a"), Tenant::new("lonely-b")];
    let mut engine = bad.holding(&[&tenants[0], &tenants[1]]).await;
    let before = [bad.versions(&tenants[0]).await, bad.versions(&tenants[1]).await];
    let path = |tenant: &Tenant, policy: &str| tenant.path("networking.k8s.io/v1", "networkpolicies", policy);
    for (hour, policy) in [
        (4, "allow-dns"),
        (8, "allow-api"),
        (12, "allow-db"),
        (16, "default-deny"),
    ] {
        pass(4 * HOUR).await;
        let policy = path(&tenants[0], policy);
        bad.ask("DELETE", &policy, None).await.unwrap();
        bad.until_there(&policy, true).await;
        if hour == 8 {
            // Its node is drained in between: what it knows is in the cluster.
            engine.stop().await;
            pass(HOUR).await;
            engine = bad.engine().await;
        }
    }
    // For the last hours it does not reach its own API server either.
    pass(60).await;
    bad.faults.set(|_, _| Some(Fault::Hang));
    bad.faults.break_off();
    let dark = bad.clock.now();
    pass(7 * HOUR).await;

    // The hub is back: everything that is held is said, and nothing of it is younger than the last look.
    let held = engine.engine.held();
    assert_eq!(held.len(), 2);
    assert!(held.iter().all(|held| held.generation == Generation(1)));
    let reports = engine.engine.reports().take();
    assert_eq!(reports.len(), 2);
    for report in reports {
        assert_eq!(report.apply, ApplyState::Applied);
        assert!(
            report.observed_at <= dark,
            "{} is after {dark}",
            report.observed_at
        );
    }
    let age = bad.clock.now().duration_since(engine.engine.last_success());
    assert!(age.as_hours() >= 6, "{age:?}");

    bad.faults.clear();
    pass(120).await;
    let after = [bad.versions(&tenants[0]).await, bad.versions(&tenants[1]).await];
    assert_eq!(after[1], before[1], "what nobody touched is as it was");
    assert_eq!(after[0].len(), before[0].len(), "nothing was pruned");
    let age = bad.clock.now().duration_since(engine.engine.last_success());
    assert!(age.as_secs() < 30, "{age:?}");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_keeps_deleting_an_object_gets_it_back_more_and_more_slowly_and_is_told_of() {
    let bad = Bad::start().await;
    let (fought, fine) = (Tenant::new("fought"), Tenant::new("fine"));
    let engine = bad.holding(&[&fought, &fine]).await;
    let policy = fought.path("networking.k8s.io/v1", "networkpolicies", "default-deny");
    engine.writes.take();
    let bad = Arc::new(bad);
    let deleting = tokio::spawn({
        let (bad, policy) = (bad.clone(), policy.clone());
        async move {
            loop {
                bad.until_there(&policy, true).await;
                bad.ask("DELETE", &policy, None).await.unwrap();
            }
        }
    });
    let message = engine.failed(&fought, "Fight").await;
    assert!(
        message.contains("NetworkPolicy t-fought/default-deny"),
        "{message}"
    );
    pass(900).await;
    let put_back = engine
        .writes
        .take()
        .iter()
        .filter(|write| write.contains("/networkpolicies/default-deny"))
        .count();
    assert!(
        // A hundred at once in each of the two windows, and ever more slowly in between.
        (105..=240).contains(&put_back),
        "put back {put_back} times in fifteen minutes"
    );
    assert_eq!(
        engine.engine.report(&fine.id()).unwrap().apply,
        ApplyState::Applied
    );

    // It always comes back, and when nobody insists any more that is told too.
    deleting.abort();
    let _ = deleting.await;
    bad.until_there(&policy, true).await;
    engine
        .report(&fought, |report| {
            matches!(report.apply, ApplyState::Failed { .. })
        })
        .await;
    pass(1_300).await;
    assert_eq!(
        engine.engine.report(&fought.id()).unwrap().apply,
        ApplyState::Applied
    );
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_keeps_changing_an_object_is_left_alone_until_the_window_is_over_or_a_new_assignment_comes() {
    let bad = Bad::start().await;
    let tenant = Tenant::new("argued");
    let engine = bad.holding(&[&tenant]).await;
    let quota = tenant.path("v1", "resourcequotas", "berth");
    let pods = async || {
        let quota = bad.ask("GET", &quota, None).await.unwrap();
        quota["spec"]["hard"]["pods"].as_str().unwrap().to_owned()
    };
    let intrude = async |pods: &str| {
        let change = json!({ "spec": { "hard": { "pods": pods } } });
        let path = format!("{quota}?fieldManager=intruder");
        bad.ask("PATCH", &path, Some(&change)).await.unwrap();
    };
    let insist = async || {
        for round in 0..4 {
            intrude(&format!("{}", 100 + round)).await;
            pass(5).await;
        }
    };
    insist().await;
    let message = engine.failed(&tenant, "Fight").await;
    assert!(message.contains("intruder"), "{message}");
    engine.writes.take();
    for round in 0..20 {
        intrude(&format!("{}", 200 + round)).await;
        pass(1).await;
    }
    let writes = engine.writes.take();
    let to_it = writes
        .iter()
        .filter(|write| write.contains("resourcequotas"))
        .count();
    assert_eq!(to_it, 0, "no more writes to that object: {writes:?}");
    assert_eq!(pods().await, "219");

    // When the time is over it is set back, and nobody reads of a fight any more.
    pass(700).await;
    assert_eq!(pods().await, "20");
    assert_eq!(
        engine.engine.report(&tenant.id()).unwrap().apply,
        ApplyState::Applied
    );

    // An operator need not wait so long: what is assigned anew is set at once.
    insist().await;
    engine.failed(&tenant, "Fight").await;
    let again = tenant.next(|_| {});
    engine.assign(&again).await;
    tokio::time::timeout(Duration::from_secs(60), engine.applied(&again))
        .await
        .unwrap();
    assert_eq!(pods().await, "20");
    engine.stop().await;
}
