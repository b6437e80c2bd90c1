//! The token webhook a real kube-apiserver asks, over TLS with a certificate authority of its own.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Inner, authenticate, backend::BoxError, http as listener};

const LARGEST_BODY: usize = 64 * 1024;

/// Where the webhook is and who vouches for it.
#[derive(Debug)]
pub(super) struct Identity {
    address: SocketAddr,
    pub(super) ca_pem: String,
}

impl Identity {
    pub(super) fn new(address: SocketAddr) -> Result<(Self, TlsAcceptor), BoxError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "fake-eks");
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.ip().to_string()])?
            .signed_by(&key, &issuer)?
            .der()
            .clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Ok((Self { address, ca_pem }, TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) fn url(&self, cluster: &str) -> String {
        format!("https://{}/clusters/{cluster}/token-review", self.address)
    }
}

pub(super) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, inner: Arc<Inner>) {
    loop {
        let accepted = tokio::select! {
            () = inner.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (shared, stop, acceptor) = (inner.clone(), inner.stop.clone(), acceptor.clone());
        inner.tasks.spawn(async move {
            let conversation = async {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                listener::connection(stream, |request| review(shared.clone(), request)).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = conversation => {}
            }
        });
    }
}

async fn review(inner: Arc<Inner>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let segments: Vec<&str> = head.uri.path().split('/').collect();
    let body = Limited::new(body, LARGEST_BODY).collect().await;
    let asked: Option<Value> = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let (status, answer) = match (&segments[..], asked) {
        (["", "clusters", cluster, "token-review"], Some(asked)) if asked["kind"] == "TokenReview" => {
            let token = asked["spec"]["token"].as_str().unwrap_or_default();
            let found = authenticate::user(&inner, cluster, token);
            (200, judgement(found))
        }
        _ => (
            400,
            json!({"message": "a TokenReview of authentication.k8s.io/v1 is expected"}),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn judgement(found: Option<authenticate::User>) -> Value {
    let status = match found {
        Some(user) => json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups}}),
        None => {
            json!({"authenticated": false, "error": "no valid EKS token of someone admitted to this cluster"})
        }
    };
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
}
