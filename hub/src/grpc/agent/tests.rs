//! Sessions below TLS, on a clock that moves when it is told to.

use std::{sync::Arc, time::Duration};

use berth_control::{
    Registry, Sessions,
    registry::{Joining, TokenSpec},
};
use berth_model::{ClusterName, StorePoint, Term};
use berth_proto::agent::{self, LinkRequest, LinkResponse, link_request, link_response};
use berth_runtime::{CancellationToken, Clock, ManualClock};
use berth_store::{Candidate, MemoryStore, Store};
use berth_wire::{link, time};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Ends, Following, Shown};
use crate::lead::Lead;

const KEY: &str = "key";

fn said(message: link_request::Message) -> Result<LinkRequest, Status> {
    Ok(LinkRequest {
        message: Some(message),
    })
}

fn hello(unreachable_hub: &str) -> Result<LinkRequest, Status> {
    said(link_request::Message::Hello(agent::Hello {
        protocol: 1,
        unreachable_hub: unreachable_hub.to_owned(),
        facts: Some(berth_proto::v1::ClusterFacts {
            kubernetes_uid: "kube-system".to_owned(),
            ..berth_proto::v1::ClusterFacts::default()
        }),
        ..agent::Hello::default()
    }))
}

/// What the hub says next, while its clock is moved on to the next thing it waits for.
async fn next(
    messages: &mut mpsc::Receiver<Result<LinkResponse, Status>>,
    clock: &ManualClock,
    step: Duration,
) -> link_response::Message {
    loop {
        if let Ok(message) = messages.try_recv() {
            return message.unwrap().message.unwrap();
        }
        clock.advance(step);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

fn clock() -> ManualClock {
    ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn a_heartbeat_is_as_old_as_what_it_answers_however_long_it_was_on_its_way() {
    let clock = clock();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let registry = Registry::new(store.clone(), shared.clone());
    let sessions = Sessions::new(shared.clone());
    sessions.came_to(StorePoint {
        term: Term(1),
        revision: berth_model::Revision(40),
        incarnation: 9,
        ..StorePoint::default()
    });
    let cluster = ClusterName::new("eu-1").unwrap();
    let token = registry
        .create_token(TokenSpec::new(cluster.clone(), Duration::from_secs(600)))
        .await
        .unwrap();
    registry
        .redeem(Joining {
            token: &token.token.expose(),
            key_sha256: KEY,
            kubernetes_uid: "kube-system",
            remote: None,
        })
        .await
        .unwrap();
    let ends = Ends {
        registry,
        sessions: sessions.clone(),
        clock: shared,
        store,
        term: Term(1),
    };
    let shown = Shown {
        cluster: cluster.clone(),
        uid: None,
        key_sha256: KEY.to_owned(),
        certificate: Arc::default(),
        issuer_pin: String::new(),
    };
    let (say, incoming) = mpsc::channel(8);
    say.send(hello("")).await.unwrap();
    let mut messages = ends.begin(shown, ReceiverStream::new(incoming)).await.unwrap();
    let link_response::Message::Welcome(welcome) = next(&mut messages, &clock, Duration::ZERO).await else {
        panic!("no welcome");
    };
    let began = clock.now();
    let mut last = welcome.number;
    // Two more signs of life: six seconds.
    while last < welcome.number + 2 {
        if let link_response::Message::Ping(ping) = next(&mut messages, &clock, Duration::from_secs(1)).await
        {
            let told = ping.told.as_ref().map(link::store_point_from_proto).unwrap();
            assert_eq!(told.revision, berth_model::Revision(40));
            last = ping.number;
        }
    }
    let heartbeat = |answers| {
        said(link_request::Message::Heartbeat(agent::Heartbeat {
            api_age: Some(time::span_to_proto(Duration::from_secs(1))),
            answers,
            ..agent::Heartbeat::default()
        }))
    };
    let evidence = async || {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let at = sessions.evidence_at(&cluster)?;
        Some(at.as_second() - began.as_second())
    };
    say.send(heartbeat(last + 1)).await.unwrap();
    assert_eq!(evidence().await, None, "nobody answers what was not said");
    // It was said in answer to Welcome, and its evidence was a second old then.
    say.send(heartbeat(welcome.number)).await.unwrap();
    assert_eq!(evidence().await, Some(-1));
    let now = clock.now().as_second() - began.as_second();
    say.send(heartbeat(last)).await.unwrap();
    assert_eq!(evidence().await, Some(now - 1));
}

fn candidate(id: &str) -> Candidate {
    Candidate {
        id: id.to_owned(),
        api_url: format!("https://{id}:1"),
        agent_url: format!("https://{id}:2"),
    }
}

#[tokio::test]
async fn an_agent_that_lost_the_leader_is_kept_until_another_leads() {
    let clock = clock();
    let leader = watch::Sender::new(Some(candidate("lost")));
    let following = || Following {
        lead: Lead::new(candidate("me"), leader.subscribe()),
        clock: Arc::new(clock.clone()),
        ending: CancellationToken::new(),
    };
    let begin = async |unreachable_hub: &str| {
        let (say, incoming) = mpsc::channel(8);
        say.send(hello(unreachable_hub)).await.unwrap();
        (say, following().begin(ReceiverStream::new(incoming)))
    };
    let goodbye = |message| match message {
        link_response::Message::Goodbye(goodbye) => (
            goodbye.leader,
            goodbye
                .retry_after
                .as_ref()
                .map(time::span_from_proto)
                .unwrap_or_default(),
        ),
        other => panic!("{other:?}"),
    };
    let second = Duration::from_secs(1);
    // Whoever has not lost it is sent there at once.
    let (_say, mut messages) = begin("https://another:2/").await;
    let farewell = next(&mut messages, &clock, Duration::ZERO).await;
    assert_eq!(goodbye(farewell), ("https://lost:2".to_owned(), Duration::ZERO));

    let (_say, mut messages) = begin("https://LOST:2/").await;
    let kept = next(&mut messages, &clock, second).await;
    assert!(
        matches!(kept, link_response::Message::Ping(_)),
        "it hears that the hub is there: {kept:?}"
    );
    leader.send_replace(Some(candidate("next")));
    let farewell = next(&mut messages, &clock, second / 4).await;
    assert_eq!(goodbye(farewell), ("https://next:2".to_owned(), Duration::ZERO));

    // Not for ever: the agent may be cut off from the leader, and the leader be well.
    leader.send_replace(Some(candidate("lost")));
    let (_say, mut messages) = begin("https://lost:2").await;
    let mut pings = 0;
    let farewell = loop {
        match next(&mut messages, &clock, second).await {
            link_response::Message::Ping(_) => pings += 1,
            other => break other,
        }
    };
    assert_eq!(goodbye(farewell), ("https://lost:2".to_owned(), second));
    assert!((5..8).contains(&pings), "{pings}");
}
