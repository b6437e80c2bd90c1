//! An API server in bad times: what it refuses, does not answer or breaks off is bounded, concerns the tenants it is about, is
//! told, and is over when it is over.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/faults.rs"]
mod faults;
mod support;

use std::time::Duration;

use berth_model::{
    HealthState, Term,
    assignment::{AppliedAs, ApplyPhase},
    report::ApplyState,
};
use faults::{Bad, Fault, pass};
use serde_json::json;
use support::{Running, Tenant};

/// Whether a request is about that tenant's objects.
fn about(path: &str, tenant: &str) -> bool {
    path.contains(&format!("/t-{tenant}"))
}

async fn failed_and(engine: &Running, tenant: &Tenant, reasons: &[&str]) -> String {
    let report = engine
        .report(tenant, |report| {
            matches!(&report.apply, ApplyState::Failed { reason, .. } if reasons.contains(&reason.as_str()))
        })
        .await;
    format!("{:?}", report.apply)
}

/// A tenant with an object of a kind that nobody else has.
fn with_autoscaler(name: &str) -> Tenant {
    let manifest = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
        "spec": { "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
    });
    Tenant::new(name).with(ApplyPhase::Workload, AppliedAs::Deployer, manifest)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_back_is_not_asked_before() {
    let bad = Bad::start().await;
    let engine = bad.engine().await;
    for (status, name) in [(429, "busy"), (503, "away")] {
        let tenant = Tenant::new(name);
        let namespace = format!("/api/v1/namespaces/t-{name}/");
        bad.faults.set(move |method, path| {
            (method == "PATCH" && path.starts_with(&namespace)).then_some(Fault::Refuse(status, Some(9)))
        });
        bad.faults.take("");
        engine.assign(&tenant).await;
        pass(60).await;
        let mut asked: Vec<Duration> = bad
            .faults
            .take(&format!("PATCH /api/v1/namespaces/t-{name}/resourcequotas"))
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        asked.sort_unstable();
        assert!(asked.len() >= 2, "{status}: {asked:?}");
        for pair in asked.windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_secs(9), "{status}: {asked:?}");
        }
        let told = failed_and(&engine, &tenant, &["ServerBusy"]).await;
        assert!(
            told.contains("resourcequotas") || told.contains("ResourceQuota") || told.contains("LimitRange"),
            "{told}"
        );
        bad.faults.clear();
        engine.applied(&tenant).await;
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_tenants_requests_that_hang_end_in_time_and_hold_nobody_else_up() {
    let bad = Bad::start().await;
    let (stuck, fine) = (Tenant::new("stuck"), Tenant::new("fine"));
    let engine = bad.engine().await;
    bad.faults
        .set(|_, path| (about(path, "stuck") && path.contains("/networkpolicies/")).then_some(Fault::Hang));
    engine.assign(&stuck).await;
    let told = failed_and(&engine, &stuck, &["TimedOut"]).await;
    assert!(told.contains("no answer within 10 s"), "{told}");

    // While it is tried again and again, others have room.
    let before = bad.clock.monotonic();
    engine.assign(&fine).await;
    engine.applied(&fine).await;
    let took = bad.clock.monotonic() - before;
    assert!(
        took < Duration::from_secs(10),
        "not behind what hangs, but {took:?}"
    );

    bad.faults.take("");
    pass(600).await;
    let asked = bad.faults.take("PATCH").len();
    // Five policies, four attempts of ten seconds each, and pauses between the runs.
    assert!((5..=5 * 60).contains(&asked), "{asked} requests in ten minutes");
    bad.faults.clear();
    engine.applied(&stuck).await;
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_or_whose_server_is_broken_fails_the_tenants_that_have_it_alone() {
    for (status, reason) in [(404, "NotFound"), (503, "ServerBusy")] {
        let bad = Bad::start().await;
        let (concerned, fine) = (with_autoscaler("concerned"), Tenant::new("fine"));
        bad.faults.set(move |_, path| {
            path.starts_with("/apis/autoscaling/")
                .then_some(Fault::Refuse(status, None))
        });
        let engine = bad.engine().await;
        engine.assign(&concerned).await;
        engine.assign(&fine).await;
        engine.applied(&fine).await;
        engine
            .report(&fine, |report| report.health.state == HealthState::Healthy)
            .await;
        let told = failed_and(&engine, &concerned, &[reason]).await;
        assert!(told.contains("HorizontalPodAutoscaler"), "{told}");
        // Its walls stand.
        assert_eq!(
            bad.versions(&concerned).await.len(),
            bad.versions(&fine).await.len()
        );

        bad.faults.take("");
        pass(600).await;
        let asked = bad.faults.take("/apis/autoscaling/").len();
        assert!((5..400).contains(&asked), "{asked} requests in ten minutes");
        assert!(
            matches!(
                engine.engine.report(&fine.id()).unwrap().apply,
                ApplyState::Applied
            ),
            "nobody else is touched"
        );
        bad.faults.clear();
        engine.applied(&concerned).await;
        engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_off_or_fails_for_minutes_is_not_stormed_and_nothing_is_written_for_it() {
    let faults = [
        Fault::Reset,
        Fault::Refuse(500, None),
        Fault::Refuse(503, Some(1)),
        Fault::Refuse(429, None),
        Fault::Hang,
    ];
    for fault in faults {
        let bad = Bad::start().await;
        let tenant = Tenant::new("kept");
        let engine = bad.holding(&[&tenant]).await;
        let before = bad.versions(&tenant).await;
        pass(10).await;
        engine.writes.take();
        bad.faults.set(move |_, _| Some(fault));
        bad.faults.break_off();
        bad.faults.take("");
        pass(300).await;
        let asked = bad.faults.take("").len();
        // One look of each watched kind at most every twenty seconds, four attempts each, and a probe every two seconds.
        assert!(asked < 2_500, "{fault:?}: {asked} requests in five minutes");
        let silent = bad.clock.now().duration_since(engine.engine.last_success());
        if !matches!(fault, Fault::Refuse(429, _)) {
            assert!(
                silent.as_secs() >= 290,
                "{fault:?}: evidence is as old as it is, not {silent:?}"
            );
        }
        bad.faults.clear();
        // Drift of the time in between is found when it is back.
        let policy = tenant.path("networking.k8s.io/v1", "networkpolicies", "default-deny");
        bad.ask("DELETE", &policy, None).await.unwrap();
        bad.until_there(&policy, true).await;
        pass(60).await;
        let after = bad.versions(&tenant).await;
        let changed: Vec<_> = before
            .iter()
            .filter(|(name, uid)| after.get(*name) != Some(uid))
            .collect();
        assert_eq!(changed.len(), 1, "{fault:?}: {changed:?}");
        let writes = engine.writes.take();
        let unasked: Vec<_> = writes
            .iter()
            .filter(|write| !write.contains("default-deny") && !write.contains("/configmaps/tenant-kept"))
            .collect();
        assert!(unasked.is_empty(), "{fault:?}: {unasked:?}");
        engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_cut_or_have_lost_their_past_start_again_and_drift_is_still_mended() {
    let watch = |path: &str| path.contains("watch=true");
    for fault in [Fault::Cut, Fault::Refuse(410, None), Fault::Hang] {
        let bad = Bad::start().await;
        let tenant = Tenant::new("watched");
        let engine = bad.holding(&[&tenant]).await;
        bad.faults.set(move |_, path| watch(path).then_some(fault));
        bad.faults.break_off();
        pass(60).await;
        bad.faults.take("");
        pass(600).await;
        let asked = bad.faults.take("").len();
        assert!(asked < 6_000, "{fault:?}: {asked} requests in ten minutes");
        // Found by looking, without a watch that shows it.
        let policy = tenant.path("networking.k8s.io/v1", "networkpolicies", "allow-dns");
        bad.ask("DELETE", &policy, None).await.unwrap();
        bad.until_there(&policy, true).await;
        bad.faults.clear();
        pass(60).await;
        bad.faults.take("");
        pass(600).await;
        let asked = bad.faults.take("watch=true").len();
        assert!(
            asked < 100,
            "{fault:?}: watches stand again, {asked} in ten minutes"
        );
        engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_waited_for() {
    let bad = Bad::start().await;
    let tenant = Tenant::new("slow");
    let engine = bad.engine().await;
    bad.faults
        .set(|method, _| (method != "GET").then_some(Fault::Delay(Duration::from_secs(8))));
    engine.writes.take();
    engine.assign(&tenant).await;
    engine.applied(&tenant).await;
    let writes = engine.writes.take();
    let mut distinct = writes.clone();
    distinct.sort();
    distinct.dedup();
    // The namespace is created and applied, the ledger written before and after.
    assert!(
        writes.len() <= distinct.len() + 1,
        "nothing is sent twice: {writes:?}"
    );
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_is_refused_says_why_and_goes_on_when_it_may() {
    let bad = Bad::start().await;
    let (leaving, fine) = (Tenant::new("leaving"), Tenant::new("fine"));
    let engine = bad.holding(&[&leaving, &fine]).await;
    for (fault, reason) in [
        (Fault::Refuse(403, None), "Forbidden"),
        (Fault::Refuse(503, Some(2)), "ServerBusy"),
        (Fault::Hang, "TimedOut"),
    ] {
        bad.faults
            .set(move |method, path| (method == "DELETE" && about(path, "leaving")).then_some(fault));
        // Once is enough; saying it again is accepted.
        let uid = leaving.assignment().uid;
        engine.engine.withdraw(leaving.id(), uid, Term(1)).await.unwrap();
        let report = engine
            .report(&leaving, |report| {
                matches!(&report.apply, ApplyState::WithdrawFailed { reason: found, .. } if found == reason)
            })
            .await;
        assert!(format!("{:?}", report.apply).contains("Namespace t-leaving"));
        bad.faults.take("");
        pass(600).await;
        let asked = bad.faults.take("DELETE").len();
        assert!((1..=80).contains(&asked), "{reason}: {asked} in ten minutes");
    }
    bad.faults.clear();
    engine
        .report(&leaving, |report| report.apply == ApplyState::Withdrawn)
        .await;
    assert!(!bad.there(&leaving.namespace()).await);
    assert_eq!(
        engine.engine.report(&fine.id()).unwrap().apply,
        ApplyState::Applied
    );
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_unknown_while_a_kind_it_is_judged_by_cannot_be_looked_at_though_the_server_answers() {
    let bad = Bad::start().await;
    let tenant = Tenant::new("judged");
    let engine = bad.holding(&[&tenant]).await;
    let healthy = |state: HealthState| move |report: &berth_model::TenantReport| report.health.state == state;
    engine.report(&tenant, healthy(HealthState::Healthy)).await;
    bad.faults.set(|_, path| {
        path.starts_with("/api/v1/pods")
            .then_some(Fault::Refuse(503, None))
    });
    bad.faults.break_off();
    pass(180).await;
    let report = engine.engine.report(&tenant.id()).unwrap();
    assert_eq!(
        report.health.state,
        HealthState::Unknown,
        "{}",
        report.health.message
    );
    assert!(report.health.message.contains("Pod"), "{}", report.health.message);
    assert_eq!(report.apply, ApplyState::Applied, "that is known all the same");
    bad.faults.clear();
    engine.report(&tenant, healthy(HealthState::Healthy)).await;
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told_and_told_no_more_when_it_is_back() {
    let bad = Bad::start().await;
    let tenant = Tenant::new("acme");
    let engine = bad.holding(&[&tenant]).await;
    let policy = tenant.path("networking.k8s.io/v1", "networkpolicies", "default-deny");
    bad.faults.set(|method, path| {
        (method == "PATCH" && path.contains("/networkpolicies/"))
            .then_some(Fault::Delay(Duration::from_secs(1)))
    });
    bad.ask("DELETE", &policy, None).await.unwrap();
    let missing = engine
        .report(&tenant, |report| report.health.message.contains("is missing"))
        .await;
    assert_eq!(missing.health.state, HealthState::Progressing);
    engine
        .report(&tenant, |report| report.health.state == HealthState::Healthy)
        .await;
    assert!(bad.there(&policy).await);
    engine.stop().await;
}
