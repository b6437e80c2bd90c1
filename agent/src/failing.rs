//! A cluster that an agent can be made to die at: before and after every request that writes, those of its ledger among them. Only
//! with the feature `failpoints`, for tests; what is asked and answered passes through as it is.

use berth_runtime::failpoint;
use http::{Method, Request};
use kube::{Client, client::Body};

/// The same client with a point on each side of every write.
pub(crate) fn client(inner: Client) -> Client {
    let namespace = inner.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            let what = writes(&request).then(|| format!("{} {}", request.method(), request.uri().path()));
            if let Some(what) = &what {
                failpoint::pass(|| format!("before API: {what}"));
            }
            let answer = inner.send(request).await;
            if let Some(what) = &what {
                failpoint::pass(|| format!("after API: {what}"));
            }
            answer
        }
    });
    Client::new(service, namespace)
}

/// Whether the request leaves something behind. The Lease is left out: it is written by the clock, not by what there is to do.
fn writes(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    let asked = ["/leases/", "reviews", "/token"];
    request.method() != Method::GET
        && !path.ends_with("/leases")
        && !asked.iter().any(|part| path.contains(part))
        && !request
            .uri()
            .query()
            .is_some_and(|query| query.contains("dryRun"))
}
