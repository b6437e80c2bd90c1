//! What strangers and callers may take of a hub, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use std::time::Duration;

use berth_proto::v1;
use bytes::Bytes;
use serde_json::json;
use support::{Hub, LONG, framed, request, until};
use tokio::io::AsyncReadExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const LIST: &str = "/berth.v1.TenantService/ListTenants";
const WATCH: &str = "/berth.v1.TenantService/WatchTenants";

/// The limit that a refusal names, and how long to wait.
fn limit(status: &Status) -> (String, Duration) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "LIMIT");
    let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    (info.metadata["limit"].clone(), retry)
}

fn closed(read: std::io::Result<usize>) -> bool {
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_often_is_told_when_to_call_again_and_others_call_on() {
    let hub = Hub::start(&json!({"limits": {"callsPerSecond": 1, "callsBurst": 5}})).await;
    let mut tenants = hub.tenants(&hub.credential("busy").await);
    let mut refused = None;
    for _ in 0..50 {
        match tenants.list_tenants(v1::ListTenantsRequest::default()).await {
            Err(status) if status.code() == Code::ResourceExhausted => {
                refused = Some(status);
                break;
            }
            _ => {}
        }
    }
    let (limit, wait) = limit(&refused.expect("fifty calls at once are refused"));
    assert_eq!(limit, "calls_per_caller");
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
    assert!(hub.limited("calls_per_caller").await >= 1);
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_calls_too_often_is_refused_before_anybody_asks_who_calls() {
    let limits = json!({"addressCallsPerSecond": 1, "addressCallsBurst": 3});
    let hub = Hub::start(&json!({"limits": limits})).await;
    let (send, _connection) = hub.http2("127.0.0.2", h2::client::Builder::new()).await;
    let mut last = String::new();
    for _ in 0..5 {
        let mut send = send.clone().ready().await.unwrap();
        let (answer, mut body) = send
            .send_request(request("/berth.v1.Nothing/Here"), false)
            .unwrap();
        body.send_data(Bytes::new(), true).unwrap();
        let answer = answer.await.unwrap();
        last = answer.headers()["grpc-status"].to_str().unwrap().to_owned();
    }
    assert_eq!(last, "8", "RESOURCE_EXHAUSTED");
    assert!(hub.limited("calls_per_address").await >= 2);
    assert!(hub.answers().await, "another address calls on");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_refused_before_it_is_read_whole() {
    let hub = Hub::start(&json!({"limits": {"messageBytes": 65536}})).await;
    let request = v1::CreateTenantRequest {
        tenant_id: "x".repeat(100_000),
        ..v1::CreateTenantRequest::default()
    };
    let status = hub
        .tenants(&hub.admin())
        .create_tenant(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("65536 bytes"), "{status:?}");
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_have_a_bound() {
    let hub = Hub::start(&json!({"limits": {"headerBytes": 4096}})).await;
    let (send, _connection) = hub.http2("127.0.0.2", h2::client::Builder::new()).await;
    let mut large = request(LIST);
    large
        .headers_mut()
        .insert("x-large", "a".repeat(8000).parse().unwrap());
    let mut send = send.ready().await.unwrap();
    let (answer, mut body) = send.send_request(large, false).unwrap();
    let _ = body.send_data(framed(&v1::ListTenantsRequest::default()), true);
    // 431 Request Header Fields Too Large, or the stream is reset.
    assert!(!answer.await.is_ok_and(|answer| answer.status() == 200));
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_no_more_calls_at_once_than_it_may() {
    let api = json!({
        "connections": 100, "connectionsPerAddress": 100, "newConnectionsPerSecond": 100,
        "newConnectionsBurst": 100, "streamsPerConnection": 3,
    });
    let hub = Hub::start(&json!({"limits": {"api": api}})).await;
    // Who keeps to the rules is told the number; who does not is refused.
    let builder = h2::client::Builder::new().initial_max_send_streams(10).clone();
    let (send, _connection) = hub.http2("127.0.0.2", builder).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut send = send.clone().ready().await.unwrap();
        open.push(send.send_request(request(WATCH), false).unwrap());
    }
    let most = until("the hub's settings are here", async || {
        (send.current_max_send_streams() == 3).then_some(3)
    });
    assert_eq!(most.await, 3);
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_no_more_connections_than_it_may_and_the_others_get_in() {
    let api = json!({
        "connections": 1000, "connectionsPerAddress": 20, "newConnectionsPerSecond": 1000,
        "newConnectionsBurst": 1000, "streamsPerConnection": 10,
    });
    let hub = Hub::start(&json!({"limits": {"api": api}})).await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(Hub::socket("127.0.0.2", hub.api()).await.unwrap());
    }
    until("all beyond the limit are closed", async || {
        (hub.limited("connections_per_address").await >= 180).then_some(())
    })
    .await;
    assert!(hub.answers().await);
    assert!(hub.dial("127.0.0.2", hub.api(), &hub.admin()).await.is_err());
    // They leave, and there is room again.
    drop(sockets);
    until("there is room again", async || {
        hub.dial("127.0.0.2", hub.api(), &hub.admin()).await.ok()
    })
    .await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_sockets_of_many_addresses_on_both_listeners_do_not_keep_calls_from_being_answered() {
    let hub = Hub::start(&json!({"limits": {"handshakeSeconds": 2}})).await;
    let mut sockets = Vec::new();
    for host in 2..10 {
        for _ in 0..25 {
            let from = format!("127.0.0.{host}");
            sockets.push(Hub::socket(&from, hub.api()).await.unwrap());
            sockets.push(Hub::socket(&from, hub.agents()).await.unwrap());
        }
    }
    assert!(hub.answers().await);
    for mut socket in sockets {
        assert!(closed(
            tokio::time::timeout(LONG, socket.read(&mut [0; 1]))
                .await
                .unwrap()
        ));
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_call_and_one_that_is_not_used_any_more_are_closed() {
    let hub = Hub::start(&json!({"limits": {"firstCallSeconds": 1, "idleSeconds": 1}})).await;
    let mut silent = hub.dial("127.0.0.2", hub.api(), &hub.admin()).await.unwrap();
    let mut bytes = Vec::new();
    // The hub's settings come, and then the end.
    let ended = tokio::time::timeout(LONG, silent.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert!(hub.limited("first_call").await >= 1);

    let (mut send, connection) = hub.http2("127.0.0.2", h2::client::Builder::new()).await;
    let (answer, mut body) = send.send_request(request(LIST), false).unwrap();
    body.send_data(framed(&v1::ListTenantsRequest::default()), true)
        .unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert!(
        tokio::time::timeout(LONG, connection).await.is_ok(),
        "the idle connection stays open"
    );
    assert!(hub.limited("idle").await >= 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_message_never_comes_is_given_up() {
    let hub = Hub::start(&json!({"limits": {"messageSeconds": 1}})).await;
    let (mut send, _connection) = hub.http2("127.0.0.2", h2::client::Builder::new()).await;
    let (answer, _body) = send.send_request(request(LIST), false).unwrap();
    let answer = tokio::time::timeout(LONG, answer).await.unwrap().unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection_and_calls_go_on() {
    let hub = Hub::start(&json!({})).await;
    let (send, connection) = hub.http2("127.0.0.2", h2::client::Builder::new()).await;
    let flood = async {
        for _ in 0..100_000 {
            let Ok(mut send) = send.clone().ready().await else {
                return;
            };
            let Ok((answer, mut body)) = send.send_request(request(LIST), false) else {
                return;
            };
            body.send_reset(h2::Reason::CANCEL);
            drop((answer, body));
        }
    };
    let ended = tokio::select! {
        ended = connection => ended.unwrap(),
        () = async { flood.await; std::future::pending().await } => unreachable!(),
        () = tokio::time::sleep(LONG) => panic!("the hub takes a hundred thousand resets"),
    };
    // ENHANCE_YOUR_CALM, or the socket is closed before the client has read that.
    let error = ended.expect_err("the connection is ended");
    assert!(
        error.is_io() || error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM),
        "{error}"
    );
    assert!(hub.answers().await);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_opens_no_more_watches_than_it_may() {
    let hub = Hub::start(&json!({"limits": {"watchesPerCaller": 2}})).await;
    let mut tenants = hub.tenants(&hub.admin());
    let watch = v1::WatchTenantsRequest::default;
    let first = tenants.watch_tenants(watch()).await.unwrap();
    let _second = tenants.watch_tenants(watch()).await.unwrap();
    let (limit, wait) = limit(&tenants.watch_tenants(watch()).await.unwrap_err());
    assert_eq!(limit, "watches_per_caller");
    assert!(wait > Duration::ZERO);
    assert_eq!(hub.metric("berth_hub_watches").await, 2);
    // Calls go on, and so does watching when another has ended.
    assert!(hub.answers().await);
    drop(first);
    until("the place is free", async || {
        tenants.watch_tenants(watch()).await.ok()
    })
    .await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_its_watch_loses_it_with_a_word_and_then_its_connection() {
    let hub = Hub::start(&json!({"limits": {"slowReaderSeconds": 1}})).await;
    let mut tenants = hub.tenants(&hub.admin());
    let mut number = 0;
    let mut news = async || {
        number += 1;
        let spec = v1::TenantSpec {
            tier: "free".into(),
            ..v1::TenantSpec::default()
        };
        let tenant = v1::Tenant {
            spec: Some(spec),
            ..v1::Tenant::default()
        };
        let request = v1::CreateTenantRequest {
            tenant_id: format!("n{number}"),
            tenant: Some(tenant),
            ..v1::CreateTenantRequest::default()
        };
        tenants.create_tenant(request).await.unwrap();
    };
    news().await;
    let builder = h2::client::Builder::new().initial_window_size(10).clone();
    // Two who read nothing; one of them reads on after it was given up.
    let mut answers = Vec::new();
    for _ in 0..2 {
        let (mut send, connection) = hub.http2("127.0.0.2", builder.clone()).await;
        let (answer, mut body) = send.send_request(request(WATCH), false).unwrap();
        body.send_data(framed(&v1::WatchTenantsRequest::default()), true)
            .unwrap();
        answers.push((send, answer.await.unwrap().into_body(), connection));
    }
    until("both are given up", async || {
        news().await;
        (hub.limited("slow_reader").await == 2).then_some(())
    })
    .await;
    assert_eq!(hub.metric("berth_hub_watches").await, 0);
    let (_send, mut late, _connection) = answers.pop().unwrap();
    while let Some(data) = late.data().await {
        late.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    let trailers = late
        .trailers()
        .await
        .unwrap()
        .expect("a stream that was given up says why");
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!(limit(&status).0, "slow_reader");
    for (_send, _body, connection) in answers {
        assert!(
            tokio::time::timeout(LONG, connection).await.is_ok(),
            "the connection stays open"
        );
    }
    assert!(hub.answers().await);
    hub.stop().await;
}
