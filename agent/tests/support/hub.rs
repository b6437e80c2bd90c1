//! A hub of a few lines: signs with a real authority, over real TLS and gRPC; what it says in a session the test decides.

#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use berth_identity::{
    AGENT_LIFETIME, Authority, CaPin, Connection, Incoming, IncomingOptions, JoinToken, Peer, PeerInfo,
    recovery::{Challenges, Statement},
    tls::{ServerCertificate, agent_server, clients::ClientTrust},
};
use berth_model::{ClusterName, FleetId, Timestamp, Uid};
use berth_proto::agent::{
    self, ChallengeRequest, ChallengeResponse, JoinRequest, JoinResponse, LinkRequest, LinkResponse,
    RecoverRequest, RecoverResponse, RenewRequest, RenewResponse,
    agent_service_server::{AgentService, AgentServiceServer},
    link_request::Message as FromAgent,
    link_response::Message as ToAgent,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::server::Connected};

const PATIENCE: Duration = Duration::from_secs(30);

#[expect(
    clippy::disallowed_methods,
    reason = "the TLS library checks validity by the machine's clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn uid() -> Uid {
    Uid::new("uid-of-eu-1").unwrap()
}

fn fleet() -> FleetId {
    FleetId::new("test").unwrap()
}

/// What outlives a restart of the hub.
pub(crate) struct Fleet {
    _dir: tempfile::TempDir,
    authority: Authority,
    certificate: ServerCertificate,
    trust: ClientTrust,
    challenges: Challenges,
    token: Mutex<Option<JoinToken>>,
    pub(crate) joins: AtomicUsize,
    /// The last public key that was signed, as its certificate's hash.
    pub(crate) signed: Mutex<Option<String>>,
    /// The last certificate that was issued.
    pub(crate) issued: Mutex<Option<String>>,
    pub(crate) lifetime: Mutex<Duration>,
    pub(crate) renewals: AtomicUsize,
    /// Answers to renewals wait while somebody has this.
    pub(crate) answering: tokio::sync::Mutex<()>,
    pub(crate) recoveries: AtomicUsize,
    /// Why agents cannot prove themselves again.
    pub(crate) revoked: Mutex<bool>,
}

impl Fleet {
    pub(crate) fn new() -> Arc<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), now()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = authority.issue_server(&names, now(), AGENT_LIFETIME).unwrap();
        Arc::new(Self {
            _dir: dir,
            certificate: ServerCertificate::new(&server).unwrap(),
            trust: ClientTrust::new(&authority.trust().pem).unwrap(),
            challenges: Challenges::new().unwrap(),
            authority,
            token: Mutex::default(),
            joins: AtomicUsize::default(),
            signed: Mutex::default(),
            issued: Mutex::default(),
            lifetime: Mutex::new(AGENT_LIFETIME),
            renewals: AtomicUsize::default(),
            answering: tokio::sync::Mutex::default(),
            recoveries: AtomicUsize::default(),
            revoked: Mutex::default(),
        })
    }

    pub(crate) fn pin(&self) -> CaPin {
        self.authority.pin()
    }

    /// A token that is good once.
    pub(crate) fn token(&self) -> String {
        let token = JoinToken::generate().unwrap();
        let text = token.expose().to_string();
        *self.token.lock().unwrap() = Some(token);
        text
    }

    /// Has the authority changed, and shows and trusts what follows.
    pub(crate) fn rotate(&self, step: impl FnOnce(&Authority)) -> String {
        step(&self.authority);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = self
            .authority
            .issue_server(&names, now(), AGENT_LIFETIME)
            .unwrap();
        let trust = self.authority.trust();
        self.trust.replace(&trust.pem).unwrap();
        self.certificate.replace(&server).unwrap();
        trust.pem
    }

    fn issue(&self, csr: &[u8]) -> Result<String, Status> {
        let cluster = ClusterName::new("eu-1").unwrap();
        let lifetime = *self.lifetime.lock().unwrap();
        let issued = self
            .authority
            .issue_agent(&fleet(), (&cluster, &uid()), csr, now(), lifetime);
        let issued = issued.map_err(|e| Status::invalid_argument(e.to_string()))?;
        *self.signed.lock().unwrap() = Some(issued.key_sha256);
        *self.issued.lock().unwrap() = Some(issued.certificate_pem.clone());
        Ok(issued.certificate_pem)
    }
}

/// A running hub. Dropping it closes its listener and every connection.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    server: JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Hub {
    pub(crate) async fn start(fleet: &Arc<Fleet>) -> Self {
        Self::start_at(fleet, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(fleet: &Arc<Fleet>, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = agent_server(&fleet.trust, fleet.certificate.clone()).unwrap();
        let incoming =
            Incoming::new(listener, tls, IncomingOptions::new(self::fleet())).map(|c| c.map(Accepted));
        let (told, sessions) = mpsc::channel(16);
        let service = AgentServiceServer::new(Service {
            fleet: fleet.clone(),
            sessions: told,
        });
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming);
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            sessions,
            server,
        }
    }

    /// Ends it; when this returns its address is free.
    pub(crate) async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Whether no agent has opened a session that was not looked at.
    pub(crate) fn nobody_waits(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(crate) fn url(&self) -> http::Uri {
        format!("https://{}", self.address).parse().unwrap()
    }

    /// The next session that an agent opens, with its Hello.
    pub(crate) async fn session(&mut self) -> (Session, agent::Hello) {
        let opened = tokio::time::timeout(PATIENCE, self.sessions.recv()).await;
        let mut session = opened.expect("no agent came in time").unwrap();
        match session.hear().await {
            Some(FromAgent::Hello(hello)) => (session, hello),
            other => panic!("not Hello: {other:?}"),
        }
    }
}

/// The hub's end of a session.
pub(crate) struct Session {
    heard: Streaming<LinkRequest>,
    say: mpsc::Sender<Result<LinkResponse, Status>>,
}

impl Session {
    pub(crate) async fn say(&self, message: ToAgent) {
        self.say
            .send(Ok(LinkResponse {
                message: Some(message),
            }))
            .await
            .unwrap();
    }

    pub(crate) async fn welcome(&self, term: u64) {
        let heartbeat_interval = Some(prost_types::Duration {
            seconds: 0,
            nanos: 500_000_000,
        });
        self.say(ToAgent::Welcome(agent::Welcome {
            session: "s".into(),
            term,
            protocol: 1,
            heartbeat_interval,
            ping_interval: None,
            number: 0,
        }))
        .await;
    }

    /// Lets the agent know that the hub is there, for as long as the session goes on.
    pub(crate) fn ping(&self) {
        let say = self.say.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(3));
            loop {
                ticks.tick().await;
                let message = Some(ToAgent::Ping(agent::Ping::default()));
                if say.send(Ok(LinkResponse { message })).await.is_err() {
                    return;
                }
            }
        });
    }

    /// What the agent says next; `None` when it has closed the stream.
    pub(crate) async fn hear(&mut self) -> Option<FromAgent> {
        let message = tokio::time::timeout(PATIENCE, self.heard.message())
            .await
            .expect("the agent says nothing");
        message.ok().flatten().and_then(|message| message.message)
    }

    /// Passes over messages until `pick` takes one.
    pub(crate) async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(FromAgent) -> Option<T>) -> T {
        let search = async {
            loop {
                let Some(message) = self.hear().await else {
                    panic!("the stream ended before {what}")
                };
                if let Some(found) = pick(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"))
    }
}

struct Service {
    fleet: Arc<Fleet>,
    sessions: mpsc::Sender<Session>,
}

fn is_agent<T>(request: &Request<T>) -> Result<(), Status> {
    match request
        .extensions()
        .get::<PeerInfo>()
        .and_then(|info| info.peer.as_ref())
    {
        Some(Peer::Agent { .. }) => Ok(()),
        _ => Err(Status::unauthenticated("no agent")),
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let request = request.into_inner();
        let shown: JoinToken = request
            .token
            .parse()
            .map_err(|_| Status::permission_denied("no token"))?;
        let good = self.fleet.token.lock().unwrap().take();
        if !good.is_some_and(|token| token.id() == shown.id() && token.secret_hash().admits(&shown)) {
            return Err(Status::permission_denied("the token was used before"));
        }
        let certificate_pem = self.fleet.issue(&request.csr_der)?;
        self.fleet.joins.fetch_add(1, Ordering::SeqCst);
        let ca_pem = self.fleet.authority.trust().pem;
        Ok(Response::new(JoinResponse {
            certificate_pem,
            ca_pem,
            cluster: "eu-1".into(),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        is_agent(&request)?;
        let certificate_pem = self.fleet.issue(&request.into_inner().csr_der)?;
        let ca_pem = self.fleet.authority.trust().pem;
        self.fleet.renewals.fetch_add(1, Ordering::SeqCst);
        drop(self.fleet.answering.lock().await);
        Ok(Response::new(RenewResponse {
            certificate_pem,
            ca_pem,
        }))
    }

    async fn challenge(&self, _: Request<ChallengeRequest>) -> Result<Response<ChallengeResponse>, Status> {
        let challenge = self.fleet.challenges.give(now()).unwrap();
        Ok(Response::new(ChallengeResponse { challenge }))
    }

    async fn recover(&self, request: Request<RecoverRequest>) -> Result<Response<RecoverResponse>, Status> {
        let request = request.into_inner();
        if *self.fleet.revoked.lock().unwrap() {
            return Err(Status::permission_denied("the cluster was revoked"));
        }
        let statement = Statement {
            fleet: &fleet(),
            uid: &uid(),
            challenge: &request.challenge,
            csr_der: &request.csr_der,
        };
        assert!(statement.is_signed(&request.signature).unwrap());
        assert_eq!(request.cluster_uid, "uid-of-eu-1");
        let challenge = self.fleet.challenges.spend(&request.challenge, now());
        challenge.map_err(|error| Status::aborted(error.to_string()))?;
        let signed_before = self.fleet.signed.lock().unwrap().clone();
        let certificate_pem = self.fleet.issue(&request.csr_der)?;
        assert_eq!(
            *self.fleet.signed.lock().unwrap(),
            signed_before,
            "the key that joined"
        );
        self.fleet.recoveries.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(RecoverResponse {
            certificate_pem,
            ca_pem: self.fleet.authority.trust().pem,
        }))
    }

    type LinkStream = ReceiverStream<Result<LinkResponse, Status>>;

    async fn link(
        &self,
        request: Request<Streaming<LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        is_agent(&request)?;
        let (say, said) = mpsc::channel(64);
        let session = Session {
            heard: request.into_inner(),
            say,
        };
        self.sessions
            .send(session)
            .await
            .map_err(|_| Status::unavailable("ending"))?;
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

/// A connection as tonic wants it.
struct Accepted(Connection);

impl Connected for Accepted {
    type ConnectInfo = PeerInfo;
    fn connect_info(&self) -> PeerInfo {
        self.0.info().clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
