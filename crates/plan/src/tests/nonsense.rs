//! No view makes the planner fail, however wrong.

use std::sync::Arc;

use berth_model::{
    Capacity, ClusterInfra, ClusterPurpose, Digest, Generation, Health, Infra, MilliCpu, NodePoolInfra,
    Observed, Placement, PoolName, TenantReport, Timestamp, Uid,
    infra::{InfraPhase, Trouble, TroubleClass},
    report::ApplyState,
};
use proptest::prelude::*;

use crate::{
    Rule, Scope, explain, lint, plan,
    testing::{cluster_name, connect, empty, shared, tenant},
    view::{Assigned, Evidence, Placed, TenantView, View},
};

fn observed<T: Clone + std::fmt::Debug + 'static>(
    known: impl Fn(InfraPhase) -> T + Clone + 'static,
) -> impl Strategy<Value = Option<Observed<T>>> {
    let phase = prop::sample::select(vec![
        InfraPhase::Creating,
        InfraPhase::Active,
        InfraPhase::Updating,
        InfraPhase::Deleting,
        InfraPhase::Failed,
    ]);
    prop_oneof![
        Just(None),
        Just(Some(Observed::Absent)),
        Just(Some(Observed::Unknown)),
        phase.prop_map(move |phase| Some(Observed::Known(known(phase)))),
    ]
}

fn infra() -> impl Strategy<Value = Infra> {
    let class = prop::sample::select(vec![
        TroubleClass::Retry,
        TroubleClass::Operator,
        TroubleClass::Replace,
    ]);
    let trouble = (class, any::<u32>()).prop_map(|(class, attempts)| Trouble {
        class,
        code: "X".into(),
        message: "y".into(),
        attempts,
    });
    (
        observed(|phase| NodePoolInfra {
            phase,
            cloud_name: String::new(),
            desired_nodes: 1,
        }),
        observed(|phase| ClusterInfra {
            phase,
            cloud_name: String::new(),
            endpoint: String::new(),
            ca_pem: String::new(),
            kubernetes_version: String::new(),
            waiting_for: String::new(),
        }),
        prop::option::of(trouble),
    )
        .prop_map(|(pool, cluster, trouble)| Infra {
            pool,
            cluster,
            trouble,
        })
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        (0..4_000_000_000_i64).prop_map(|s| Timestamp::from_second(s).unwrap()),
    ]
}

fn placement() -> impl Strategy<Value = Placement> {
    (prop::sample::select(vec!["eu-1", "missing", "others"]), 0..3_u8).prop_map(|(name, kind)| {
        let cluster = cluster_name(name);
        match kind {
            0 => Placement::Namespace { cluster },
            1 => Placement::NodePool {
                cluster,
                pool: PoolName::new("pool").unwrap(),
            },
            _ => Placement::Cluster { cluster },
        }
    })
}

fn apply() -> impl Strategy<Value = ApplyState> {
    prop::sample::select(vec![
        ApplyState::Applying {
            waiting_for: String::new(),
        },
        ApplyState::Applied,
        ApplyState::Failed {
            reason: "NameConflict".into(),
            message: "x".into(),
        },
        ApplyState::Withdrawing {
            waiting_for: String::new(),
        },
        ApplyState::WithdrawFailed {
            reason: "BreakerOpen".into(),
            message: "x".into(),
        },
        ApplyState::Withdrawn,
    ])
}

prop_compose! {
    fn a_tenant(n: usize)(
        tier in prop::sample::select(vec!["free", "premium", "enterprise", "missing"]),
        generation in prop::sample::select(vec![0, 1, u64::MAX - 1]),
        deleting in prop::option::of(moment()),
        placed in prop::option::of((placement(), any::<u64>(), any::<u32>(), 0..3_u64)),
        assigned in prop::option::of((prop::sample::select(vec!["eu-1", "missing"]), 0..3_u64, any::<bool>(), any::<bool>())),
        infra in infra(),
        flags in any::<(u32, bool, bool, bool)>(),
        looked in prop::option::of(moment()),
        report in prop::option::of((apply(), moment(), 0..3_u64)),
        cpu in prop::sample::select(vec!["0", "1", "16E", "-1"]),
        render_error in prop::option::of(Just("broken".to_owned())),
    ) -> TenantView {
        let mut known = tenant(&format!("t{n}"), tier);
        let record = Arc::make_mut(&mut known.tenant);
        record.generation = Generation(generation);
        record.deleting_since = deleting;
        record.spec.quota.insert("requests.cpu".into(), cpu.parse().unwrap());
        let digest = Digest::new("0".repeat(64)).unwrap();
        let uid = record.uid.clone();
        known.placed = placed.map(|(placement, cpu, namespaces, generation)| Placed {
            placement,
            reserved: Capacity { cpu: MilliCpu(cpu), ..Capacity::default() },
            namespaces,
            generation: Generation(generation),
            decided_at: Timestamp::MIN,
            reason: String::new(),
            accepted_gaps: berth_model::AcceptedGaps::new(),
        });
        known.assigned = assigned.map(|(cluster, generation, withdrawing, withdrawn)| Assigned {
            cluster: cluster_name(cluster),
            generation: Generation(generation),
            digest: digest.clone(),
            term: berth_model::Term(1),
            tenant_generation: Generation(generation),
            withdrawing,
            withdrawn,
        });
        known.infra.observed = infra;
        (known.infra.attempt, known.infra.busy, known.infra.bootstrapped, _) = flags;
        known.infra.looked_at = looked;
        known.infra.bootstrap_trouble = looked.filter(|_| flags.3).map(|at| (at, "x".into()));
        known.report = report.map(|(apply, at, generation)| Evidence {
            report: TenantReport {
                tenant: known.tenant.id.clone(),
                uid,
                generation: Generation(generation),
                digest,
                apply,
                health: Health::healthy(),
                observed_at: at,
            },
            at,
        });
        known.render_error = render_error;
        known
    }
}

fn views() -> impl Strategy<Value = View> {
    let tenants = (a_tenant(0), a_tenant(1), a_tenant(2)).prop_map(|(a, b, c)| [a, b, c]);
    (tenants, moment(), any::<(u32, u32, bool)>(), any::<bool>()).prop_map(
        |(tenants, now, (headroom, limit, cloud), connected)| {
            let mut view = empty();
            view.settings.headroom_percent = headroom;
            view.settings.clusters_per_region = limit;
            view.settings.cloud = cloud;
            connect(&mut view, shared("eu-1", 16));
            let mut others = shared("others", 16);
            others.purpose = ClusterPurpose::Dedicated {
                tenant: berth_model::TenantId::new("t9").unwrap(),
                uid: Uid::new("u").unwrap(),
            };
            connect(&mut view, others);
            if !connected {
                view.clusters.values_mut().for_each(|known| known.session = None);
            }
            for known in tenants {
                view.set_tenant(known);
            }
            view.now = now;
            view
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_taken_away_that_nobody_deleted_and_nothing_panics(view in views()) {
        let plan = plan(&view, &Scope::All);
        prop_assert_eq!(plan.status.len(), view.tenants.len());
        for id in view.tenants.keys() {
            prop_assert!(explain(&view, id).is_some());
        }
        // Two saved places of one name are the view's own fault, and no plan may build on them.
        let findings = lint(&view, &plan).into_iter().filter(|finding| finding.rule != Rule::DistinctNames);
        prop_assert_eq!(findings.collect::<Vec<_>>(), vec![]);
    }
}
