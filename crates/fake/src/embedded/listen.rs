//! The API behind TLS on a socket: handshakes, bearer tokens, HTTP. Everything else is the service's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::AUTHORIZATION;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::User;
use super::access::Identity;
use super::api::{Answer, Api};
use super::failure::{Error, Failure};
use super::service::{self, admin};
use crate::access::{Access, Credentials};

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Opens the listener and serves it until `stop`.
pub(super) async fn listen(
    api: &Arc<Api>,
    identity: &Identity,
    address: SocketAddr,
    stop: &CancellationToken,
) -> Result<Access, Error> {
    let listener = bind(identity, address).await?;
    let bound = listener
        .local_addr()
        .map_err(|source| Error::Listen { address, source })?;
    identity.keep_port(bound.port());
    let acceptor = TlsAcceptor::from(Arc::new(tls(identity, bound)?));
    let door = Arc::new(Door {
        api: api.clone(),
        token: identity.token.clone(),
    });
    tokio::spawn(accept(listener, acceptor, door, stop.clone()));
    Ok(Access {
        url: format!("https://{bound}"),
        ca_pem: identity.ca_pem.clone(),
        credentials: Credentials::Token(identity.token.clone()),
    })
}

async fn bind(identity: &Identity, address: SocketAddr) -> Result<TcpListener, Error> {
    if address.port() == 0
        && let Some(port) = identity.last_port()
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(address.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

fn tls(identity: &Identity, bound: SocketAddr) -> Result<rustls::ServerConfig, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Certificate {
        name: identity.name.clone(),
        source,
    };
    let (certificate, key) = identity.serving_certificate(bound.ip())?;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| failed(e.into()))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| failed(e.into()))?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate], key)
            })
            .map_err(|e| failed(e.into()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

struct Door {
    api: Arc<Api>,
    token: String,
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, door: Arc<Door>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let serve = serve(stream, acceptor.clone(), door.clone());
                let stop = stop.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, door: Arc<Door>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection keeps its delay");
    }
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("handshake took too long"),
    };
    let respond = hyper::service::service_fn(move |request: Request<Incoming>| {
        let door = door.clone();
        async move {
            Ok::<_, std::convert::Infallible>(match door.who(&request) {
                Some(user) => service::answer(&door.api, &user, request).await,
                None => Answer::failure(&Failure::unauthorized()).into_response(),
            })
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    if let Err(error) = server.serve_connection(TokioIo::new(stream), respond).await {
        tracing::debug!(%error, "connection ended");
    }
}

impl Door {
    fn who(&self, request: &Request<Incoming>) -> Option<User> {
        let header = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header.and_then(|v| v.strip_prefix("Bearer "));
        match token {
            Some(token) if token == self.token => Some(admin()),
            Some(token) => self.api.who(token),
            None => {
                let path = request.uri().path();
                let open = matches!(path, "/healthz" | "/livez" | "/readyz" | "/version");
                open.then(|| User {
                    name: "system:anonymous".into(),
                    groups: Vec::new(),
                })
            }
        }
    }
}
