//! Bearer tokens that the API did not issue are judged by the webhook, and by nobody else.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::access::Credentials;

/// Answers TokenReviews: the token `good` is the user `visitor`.
async fn judge(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let mut review: Value = serde_json::from_slice(&body).expect("a TokenReview");
    assert_eq!(review["kind"], "TokenReview");
    review["status"] = match review["spec"]["token"].as_str() {
        Some("good") => {
            json!({"authenticated": true, "user": {"username": "visitor", "groups": ["guests"]}})
        }
        _ => json!({"authenticated": false}),
    };
    let response = http::Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(review.to_string())).expect("a response"))
}

async fn start_judge() -> TokenWebhook {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/judge", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("TLS");
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // The API closes idle connections as it likes.
                let _ = server
                    .serve_connection(TokioIo::new(stream), service_fn(judge))
                    .await;
            });
        }
    });
    TokenWebhook {
        url,
        ca_pem: cert.pem(),
    }
}

#[tokio::test]
async fn a_token_is_whoever_the_webhook_says_and_unknown_tokens_are_refused() {
    let options = Options {
        token_webhook: Some(start_judge().await),
        controller_manager: false,
        scheduler: false,
        kwok: false,
        ..Options::default()
    };
    let binaries = Binaries::find().expect("a control plane on this machine");
    let plane = ControlPlane::start(&binaries, options)
        .await
        .expect("the control plane starts");
    let ask = async |token: &str| {
        let access = Access {
            credentials: Credentials::Token(token.to_owned()),
            ..plane.access()
        };
        let reviews = Api::<SelfSubjectReview>::all(super::client(&access).await.expect("a client"));
        reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
    };
    let user = ask("good")
        .await
        .expect("an answer")
        .status
        .and_then(|status| status.user_info)
        .expect("a user");
    assert_eq!(user.username.as_deref(), Some("visitor"));
    assert!(user.groups.expect("groups").contains(&"guests".to_owned()));
    let refused = ask("bad").await.expect_err("refused");
    assert!(
        matches!(&refused, kube::Error::Api(status) if status.code == 401),
        "{refused}"
    );
    plane.stop().await;
}
