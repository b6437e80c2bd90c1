//! Histories to doctor.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::time::Duration;

use berth_model::{
    ClusterName, Digest, Generation, Revision, Tenant, TenantId, TenantSpec, Term, TierName, Uid,
};
use berth_sim::{
    check::{self, End},
    history::{Acknowledged, Event, Said, Shown},
};
use berth_store::{Change, Key};
use berth_wire::record::{self, TenantRecord};

pub(crate) fn tenant() -> TenantId {
    TenantId::new("ada").unwrap()
}

pub(crate) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

/// A version of the tenant's record, as the store took it.
pub(crate) fn wrote(generation: u64, deleting: bool) -> Event {
    wrote_at(1, generation, deleting)
}

/// The same, at a revision.
pub(crate) fn wrote_at(at: u64, generation: u64, deleting: bool) -> Event {
    let record = Tenant {
        id: tenant(),
        uid: Uid::new("uid-1").unwrap(),
        generation: Generation(generation),
        revision: Revision(0),
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        deleting_since: deleting.then(|| "2026-01-01T00:00:00Z".parse().unwrap()),
        spec: TenantSpec::of_tier(TierName::new("free").unwrap()),
    };
    let value = record::encode_tenant(&TenantRecord {
        tenant: record,
        request_ids: Vec::new(),
    });
    change_at(at, Some(value))
}

pub(crate) fn change(put: Option<Vec<u8>>) -> Event {
    change_at(1, put)
}

fn change_at(at: u64, put: Option<Vec<u8>>) -> Event {
    Event::Wrote {
        hub: "hub-1#1".into(),
        revision: Revision(at),
        changes: vec![Change {
            revision: Revision(at),
            key: Key::new("tenants/ada").unwrap(),
            put: put.map(Into::into),
            last: true,
        }],
    }
}

pub(crate) fn acknowledged(what: &'static str, generation: u64) -> Event {
    Event::Answered {
        call: 1,
        done: Some(Acknowledged {
            what,
            tenant: tenant(),
            uid: Uid::new("uid-1").unwrap(),
            generation: Generation(generation),
            mark: String::new(),
        }),
        why: String::new(),
    }
}

pub(crate) fn commanded(hub: &str, term: u64, nonce: u64) -> Event {
    Event::Commanded {
        hub: hub.into(),
        connection: 1,
        cluster: cluster("eu-1"),
        said: Said {
            what: "assign",
            tenant: tenant(),
            uid: "uid-1".into(),
            generation: 1,
            term: Term(term),
            nonce,
        },
        held_by: Vec::new(),
    }
}

pub(crate) fn accepted(nonce: u64) -> Event {
    Event::Accepted {
        agent: "eu-1#1".into(),
        cluster: cluster("eu-1"),
        connection: 1,
        nonce,
    }
}

pub(crate) fn kube(at: &str, verb: &str, path: &str) -> Event {
    Event::Kube {
        cluster: cluster(at),
        agent: format!("{at}#1"),
        verb: verb.into(),
        path: path.into(),
        status: 200,
        uid: "uid-1".into(),
        changed: true,
    }
}

pub(crate) fn shown(health: &str, text: &str, claimed: u64, truly: u64) -> Event {
    Event::Shown(Shown {
        hub: "hub-1#1".into(),
        tenant: tenant(),
        cluster: Some(cluster("eu-1")),
        health: health.into(),
        text: text.into(),
        claimed_age: Some(Duration::from_secs(claimed)),
        true_age: Some(Duration::from_secs(truly)),
        suspicious_for: Duration::from_secs(7),
    })
}

pub(crate) fn remembered(term: u64) -> Event {
    Event::Remembered {
        cluster: cluster("eu-1"),
        tenant: tenant(),
        uid: Uid::new("uid-1").unwrap(),
        generation: Generation(1),
        digest: Digest::new("0".repeat(64)).unwrap(),
        term: Term(term),
    }
}

/// Which rules a history breaks; one second passes between two events, and the rest begins after all but the last `resting`.
pub(crate) fn broken(events: Vec<Event>, end: &End, resting: usize) -> Vec<&'static str> {
    let active = events.len() - resting;
    let events: Vec<(Duration, Event)> = (0..).map(Duration::from_secs).zip(events).collect();
    let rest = Duration::from_millis(u64::try_from(active).unwrap() * 1000 - 500);
    let mut rules: Vec<&'static str> = check::all(&events, end, rest)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    rules.dedup();
    rules
}

pub(crate) fn settled() -> End {
    End {
        uids: ["uid-1".to_owned()].into(),
        ..End::default()
    }
}

pub(crate) fn breaks(rule: &'static str, events: Vec<Event>) {
    assert_eq!(broken(events, &settled(), 0), [rule]);
}

pub(crate) const NAMESPACE: &str = "/api/v1/namespaces/t-ada";

/// Nothing is wrong with it.
pub(crate) fn fine(events: Vec<Event>) {
    assert_eq!(broken(events, &settled(), 0), Vec::<&str>::new());
}
