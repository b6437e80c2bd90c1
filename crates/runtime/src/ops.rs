//! The operators' listener: `/livez`, `/readyz` and `/metrics`, plain HTTP.
//!
//! Whether the process is well is asked here and nowhere else; who may ask is the network's business, so nothing secret is served.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{CONTENT_TYPE, Metrics},
    readiness::Readiness,
};

#[derive(Clone)]
struct Ops {
    readiness: Readiness,
    metrics: Metrics,
}

/// The three routes, to which a process may add its own.
pub fn router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(serve_metrics))
        .with_state(Ops { readiness, metrics })
}

/// Serves `router` on `listener` until `cancel` fires. Requests under way are finished, idle connections are not waited for.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> std::io::Result<()> {
    let graceful = axum::serve(listener, router).with_graceful_shutdown(cancel.clone().cancelled_owned());
    let after_cancel = async {
        cancel.cancelled().await;
        // Every answer here is made at once; longer than this is a client that does not read.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    };
    tokio::select! {
        biased;
        served = graceful => served,
        () = after_cancel => Ok(()),
    }
}

async fn readyz(State(ops): State<Ops>) -> Response {
    let pending = ops.readiness.pending();
    if pending.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for: {}\n", pending.join(", ")),
    )
        .into_response()
}

async fn serve_metrics(State(ops): State<Ops>) -> Response {
    match ops.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot write the metrics: {error}\n"),
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_names_who_is_awaited_and_livez_does_not_care() {
        let readiness = Readiness::new();
        let router = router(readiness.clone(), Metrics::new("test"));
        let guard = readiness.guard("store");
        assert_eq!(
            ask(&router, "/readyz").await,
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for: store\n".into())
        );
        assert_eq!(ask(&router, "/livez").await.0, StatusCode::OK);
        drop(guard);
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_served_in_openmetrics_text() {
        let metrics = Metrics::new("berth");
        crate::memory::register(&metrics);
        let (status, text) = ask(&router(Readiness::new(), metrics), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("berth_process_resident_memory_bytes "), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn serving_ends_when_cancelled_even_with_an_idle_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let server = tokio::spawn(serve(
            listener,
            router(Readiness::new(), Metrics::new("test")),
            cancel.clone(),
        ));
        let _idle = tokio::net::TcpStream::connect(address).await.unwrap();
        cancel.cancel();
        server.await.unwrap().unwrap();
    }
}
