//! Dials a hub: TCP, TLS by our own configuration, HTTP/2. Addresses are tried in turn.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use berth_identity::tls;
use berth_proto::agent::agent_service_client::AgentServiceClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Why a hub could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Its authority is not the one expected.
    #[error("its certificate is not from the expected certificate authority")]
    OtherAuthority,
    /// TCP, or another fault of TLS.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer.
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    Slow,
    /// HTTP/2.
    #[error("{0}")]
    Http(#[from] tonic::transport::Error),
}

/// The hub's addresses. Clones share whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Hubs {
    addresses: Arc<Vec<Uri>>,
    turn: Arc<AtomicUsize>,
}

impl Hubs {
    /// There must be at least one, which the command line sees to.
    pub(crate) fn new(addresses: Vec<Uri>) -> Self {
        Self {
            addresses: Arc::new(addresses),
            turn: Arc::default(),
        }
    }

    /// The address whose turn it is; the next call gives the one after it.
    pub(crate) fn next(&self) -> Uri {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.addresses
            .get(turn % self.addresses.len().max(1))
            .cloned()
            .unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.addresses.len()
    }

    /// Gives `leader` the next turn when it is one of the addresses. A hub cannot send agents elsewhere.
    pub(crate) fn prefer(&self, leader: &str) {
        if let Some(at) = self.addresses.iter().position(|address| same(address, leader)) {
            self.turn.store(at, Ordering::Relaxed);
        }
    }

    /// Connects now, so that a failure is told apart from the call's.
    pub(crate) async fn dial(
        &self,
        address: &Uri,
        config: Arc<ClientConfig>,
    ) -> Result<AgentServiceClient<Channel>, ConnectError> {
        let tls = tokio::time::timeout(CONNECT_TIMEOUT, handshake(address, config));
        let stream = tls.await.map_err(|_| ConnectError::Slow)??;
        // The connection is made; tonic is handed it once and must dial again through us.
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: Uri| {
            let taken = stream
                .take()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            std::future::ready(taken)
        });
        // TLS is ours, so tonic sees plain HTTP/2; the origin stays the hub's.
        let authority = address.authority().map_or("hub", |authority| authority.as_str());
        let channel = Endpoint::from_shared(format!("http://{authority}"))?
            .origin(address.clone())
            .user_agent(concat!("berth-agent/", env!("CARGO_PKG_VERSION")))?
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await?;
        Ok(AgentServiceClient::new(channel))
    }
}

async fn handshake(address: &Uri, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, ConnectError> {
    let host = address
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = address.port_u16().unwrap_or(443);
    let name =
        ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let tcp = TcpStream::connect((host, port)).await?;
    // Messages are small and awaited.
    tcp.set_nodelay(true)?;
    TlsConnector::from(config)
        .connect(name, tcp)
        .await
        .map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if inner.is_some_and(tls::is_pin_mismatch) {
                ConnectError::OtherAuthority
            } else {
                ConnectError::Io(error)
            }
        })
}

fn same(address: &Uri, text: &str) -> bool {
    text.parse::<Uri>()
        .is_ok_and(|other| other.host() == address.host() && other.port_u16() == address.port_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_in_turn_and_a_known_leader_goes_first() {
        let hubs = Hubs::new(
            ["https://a:1", "https://b:1", "https://c:1"]
                .map(|u| u.parse().unwrap())
                .to_vec(),
        );
        let next = || hubs.next().host().unwrap_or_default().to_owned();
        assert_eq!([next(), next(), next(), next()], ["a", "b", "c", "a"]);
        hubs.prefer("https://c:1");
        assert_eq!(hubs.next().host(), Some("c"));
        hubs.prefer("https://elsewhere:1");
        assert_eq!(hubs.next().host(), Some("a"));
    }
}
