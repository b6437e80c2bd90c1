//! What every ledger promises.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a suite for tests: a broken promise panics"
)]

use berth_model::{
    ClusterName, Digest, Generation, TenantId, Term, Timestamp, Uid,
    assignment::{AppliedAs, ApplyPhase},
};

use super::{Head, Ledger, Record, Remembered, Stage};
use crate::{
    breaker::{BreakerMemory, Gone},
    object::{Item, Kind, ObjectRef},
};

/// Runs the whole suite over an empty ledger. `reopen` gives the same ledger as another process would see it.
///
/// # Panics
/// When a promise is broken.
pub async fn run<L: Ledger>(reopen: impl Fn() -> L) {
    what_is_remembered_is_loaded(&reopen).await;
    settling_changes_the_head_alone(&reopen).await;
    content_larger_than_an_object_is_kept(&reopen).await;
    forgetting_keeps_the_term(&reopen).await;
    the_breakers_memory_is_kept_beside_the_tenants(&reopen).await;
}

fn record(tenant: &str, generation: u64, filler: usize) -> Record {
    let tenant = TenantId::new(tenant).unwrap();
    let object = ObjectRef::new(Kind::ConfigMap, Some(&format!("t-{tenant}")), "c").unwrap();
    // Text that does not compress well.
    let mut state = 1_u64;
    let noise: String = (0..filler)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + u8::try_from(state >> 60).unwrap_or(0))
        })
        .collect();
    let body = format!(r#"{{"generation":{generation},"noise":"{noise}"}}"#);
    let head = Head {
        uid: Uid::new("u1").unwrap(),
        cluster: ClusterName::new("c1").unwrap(),
        generation: Generation(generation),
        digest: Digest::new(format!("{generation:064x}")).unwrap(),
        term: Term(7),
        stage: Stage::Applying,
        inventory: vec![Remembered {
            object: object.clone(),
            applied_as: AppliedAs::Agent,
            uid: None,
            fingerprint: None,
        }],
        tenant,
    };
    let item = Item {
        object,
        phase: ApplyPhase::Workload,
        applied_as: AppliedAs::Agent,
        body: body.into_bytes().into(),
    };
    Record {
        head,
        items: [item].into(),
    }
}

async fn loaded<L: Ledger>(reopen: &impl Fn() -> L) -> super::Memory {
    let mut memory = reopen().load().await.unwrap();
    assert_eq!(memory.damaged, []);
    memory.records.sort_by(|a, b| a.head.tenant.cmp(&b.head.tenant));
    memory
}

async fn what_is_remembered_is_loaded<L: Ledger>(reopen: &impl Fn() -> L) {
    assert_eq!(loaded(reopen).await.records, []);
    for record in [
        record("a", 1, 0),
        record("b", 1, 0),
        record("b", 2, 0),
        record("c", 3, 0),
    ] {
        reopen().remember(&record).await.unwrap();
    }
    let memory = loaded(reopen).await;
    assert_eq!(
        memory.records,
        [record("a", 1, 0), record("b", 2, 0), record("c", 3, 0)]
    );
    assert_eq!(memory.term, Term(7));
}

async fn settling_changes_the_head_alone<L: Ledger>(reopen: &impl Fn() -> L) {
    let mut wanted = record("a", 1, 0);
    wanted.head.stage = Stage::Applied;
    wanted.head.inventory[0].uid = Some("x".to_owned());
    wanted.head.inventory[0].fingerprint = Some(u64::MAX);
    reopen().settle(&wanted.head).await.unwrap();
    assert_eq!(loaded(reopen).await.records[0], wanted);
}

async fn content_larger_than_an_object_is_kept<L: Ledger>(reopen: &impl Fn() -> L) {
    for wanted in [
        record("large", 1, 3_000_000),
        record("large", 2, 4_000_000),
        record("large", 3, 10),
    ] {
        reopen().remember(&wanted).await.unwrap();
        let memory = loaded(reopen).await;
        let found = memory
            .records
            .iter()
            .find(|record| record.head.tenant == wanted.head.tenant);
        assert!(found == Some(&wanted), "generation {}", wanted.head.generation);
    }
}

async fn forgetting_keeps_the_term<L: Ledger>(reopen: &impl Fn() -> L) {
    for tenant in ["a", "b", "c", "large", "never-there"] {
        let tenant = TenantId::new(tenant).unwrap();
        reopen().forget(&tenant, Term(9)).await.unwrap();
    }
    reopen()
        .forget(&TenantId::new("a").unwrap(), Term(3))
        .await
        .unwrap();
    let memory = loaded(reopen).await;
    assert_eq!(memory.records, []);
    assert_eq!(memory.term, Term(9));
}

async fn the_breakers_memory_is_kept_beside_the_tenants<L: Ledger>(reopen: &impl Fn() -> L) {
    assert_eq!(loaded(reopen).await.breaker, BreakerMemory::default());
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut wanted = BreakerMemory::default();
    for second in 1..=3 {
        wanted.gone.push(Gone {
            uid: Uid::new(format!("u{second}")).unwrap(),
            at: at(second),
        });
        wanted.tripped_at = (second == 3).then(|| at(second));
        reopen().keep_breaker(&wanted).await.unwrap();
        reopen().remember(&record("a", 1, 0)).await.unwrap();
        assert_eq!(loaded(reopen).await.breaker, wanted);
    }
    reopen()
        .forget(&TenantId::new("a").unwrap(), Term(9))
        .await
        .unwrap();
    assert_eq!(loaded(reopen).await.breaker, wanted);
    let released = BreakerMemory {
        released_at: Some(at(4)),
        ..BreakerMemory::default()
    };
    reopen().keep_breaker(&released).await.unwrap();
    assert_eq!(loaded(reopen).await.breaker, released);
}
