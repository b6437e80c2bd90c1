//! A hub in this process, reached over real sockets.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use berth_hub::{LogFormat, Options, Running, options::StoreChoice};
use berth_identity::{AGENT_LIFETIME, Authority, Credential, tls};
use berth_model::{FleetId, Timestamp};
use berth_proto::v1::{
    self, hub_service_client::HubServiceClient, tenant_service_client::TenantServiceClient,
};
use berth_runtime::CancellationToken;
use h2::client::SendRequest;
use http::Uri;
use prost::Message;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// No test waits longer for anything.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Hub {
    dir: tempfile::TempDir,
    running: Running,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), berth_hub::HubError>>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the TLS library checks validity by the machine's clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("https://").unwrap().parse().unwrap()
}

impl Hub {
    pub(crate) async fn start(config: &Value) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let dir = tempfile::tempdir().unwrap();
        let file: PathBuf = dir.path().join("config.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            data_dir: dir.path().join("data"),
            store: StoreChoice::Sled,
            advertise_api: None,
            advertise_agents: None,
            listen: any,
            agent_listen: any,
            ops_listen: any,
            config: Some(file),
            log_format: LogFormat::Text,
            log: "info".into(),
        };
        let cancel = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(berth_hub::run(
            options,
            cancel.clone(),
            move |running: &Running| {
                let _ = tell.send(running.clone());
            },
        ));
        let running = told.await.expect("the hub runs");
        Self {
            dir,
            running,
            cancel,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        drop(self.end().await);
    }

    /// Stops it and leaves its files.
    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
        self.dir
    }

    pub(crate) fn api(&self) -> SocketAddr {
        address(&self.running.api_url)
    }

    pub(crate) fn agents(&self) -> SocketAddr {
        address(&self.running.agent_urls[0])
    }

    fn context(&self) -> berth_wire::context::Context {
        let text = std::fs::read_to_string(&self.running.admin_context).unwrap();
        berth_wire::context::Context::parse(&text).unwrap()
    }

    /// A client certificate of that name, as the hub's own authority issues it.
    pub(crate) async fn credential(&self, name: &str) -> Credential {
        let authority = Authority::load_or_create(&self.dir.path().join("data/ca"), now()).unwrap();
        let mut hubs = HubServiceClient::new(self.channel(&self.admin()));
        let answer = hubs.get_hub(v1::GetHubRequest {}).await.unwrap().into_inner();
        let fleet = FleetId::new(answer.hub.unwrap().fleet).unwrap();
        authority
            .issue_client(&fleet, name, now(), AGENT_LIFETIME)
            .unwrap()
    }

    pub(crate) fn admin(&self) -> Credential {
        let context = self.context();
        Credential {
            certificate_pem: context.certificate_pem,
            key_pem: context.key_pem.to_string().into(),
        }
    }

    pub(crate) fn channel(&self, credential: &Credential) -> Channel {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.context().ca_pem))
            .identity(Identity::from_pem(
                &credential.certificate_pem,
                &credential.key_pem,
            ));
        Endpoint::from_shared(self.running.api_url.clone())
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect_lazy()
    }

    pub(crate) fn tenants(&self, credential: &Credential) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel(credential))
    }

    /// A socket from an address of loopback to another.
    pub(crate) async fn socket(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
        socket.connect(to).await
    }

    /// The same with TLS, as `credential`.
    pub(crate) async fn dial(
        &self,
        from: &str,
        to: SocketAddr,
        credential: &Credential,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = Self::socket(from, to).await?;
        let config = tls::client(&self.context().ca_pem, credential).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), tcp)
            .await
    }

    /// HTTP/2 as `builder` speaks it, with nothing of gRPC; the task ends with the connection.
    pub(crate) async fn http2(
        &self,
        from: &str,
        builder: h2::client::Builder,
    ) -> (SendRequest<bytes::Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let stream = self.dial(from, self.api(), &self.admin()).await.unwrap();
        let (send, connection) = builder.handshake(stream).await.unwrap();
        let task = tokio::spawn(connection);
        (send.ready().await.unwrap(), task)
    }

    /// The metric's value, such as `berth_hub_limited_total{...}`.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.running.ops).await.unwrap();
        let ask = "GET /metrics HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    pub(crate) async fn limited(&self, limit: &str) -> u64 {
        self.metric(&format!(
            "berth_hub_limited_total{{listener=\"api\",limit=\"{limit}\"}}"
        ))
        .await
    }

    /// Whether a call of the admin is answered.
    pub(crate) async fn answers(&self) -> bool {
        let call = v1::ListTenantsRequest::default();
        self.tenants(&self.admin()).list_tenants(call).await.is_ok()
    }
}

/// A gRPC request of HTTP/2.
pub(crate) fn request(path: &str) -> http::Request<()> {
    let uri: Uri = format!("https://localhost{path}").parse().unwrap();
    http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A message in its frame.
pub(crate) fn framed(message: &impl Message) -> bytes::Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), &message].concat().into()
}

/// Waits until it is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}
