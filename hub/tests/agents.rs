//! What agents and those who pretend to be some get from a hub, over the wire: a hub in this process, and agents of a few lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use berth_hub::{Options, Running, options::StoreChoice};
use berth_identity::{Credential, certificate, key, peer, recovery::Statement, tls};
use berth_proto::{
    agent::{
        self, JoinRequest, LinkRequest, RecoverRequest, RenewRequest,
        agent_service_client::AgentServiceClient, link_request::Message as Said, link_response,
    },
    v1::{
        self, cluster_service_client::ClusterServiceClient, hub_service_client::HubServiceClient,
        join_token_service_client::JoinTokenServiceClient,
    },
};
use berth_runtime::CancellationToken;
use berth_wire::context::Context;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use zeroize::Zeroizing;

struct Hub {
    directory: tempfile::TempDir,
    running: Running,
    cancel: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

/// An agent of a few lines.
#[derive(Clone)]
struct Agent {
    credential: Credential,
    ca_pem: String,
}

type Heard = Streaming<agent::LinkResponse>;

impl Hub {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(directory: tempfile::TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options {
            data_dir: directory.path().join("data"),
            store: StoreChoice::Sled,
            advertise_api: None,
            advertise_agents: None,
            listen: free,
            agent_listen: free,
            ops_listen: free,
            config: None,
            log_format: berth_hub::LogFormat::Text,
            log: String::new(),
        };
        let cancel = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let token = cancel.clone();
        let ended = tokio::spawn(async move {
            let started = |running: &Running| drop(tell.send(running.clone()));
            berth_hub::run(options, token, started).await.unwrap();
        });
        Self {
            directory,
            running: told.await.unwrap(),
            cancel,
            ended,
        }
    }

    async fn stop(self) -> tempfile::TempDir {
        self.cancel.cancel();
        self.ended.await.unwrap();
        self.directory
    }

    fn api(&self) -> Channel {
        let text = std::fs::read_to_string(&self.running.admin_context).unwrap();
        let context = Context::parse(&text).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&context.ca_pem))
            .identity(Identity::from_pem(&context.certificate_pem, &context.key_pem));
        let endpoint = Endpoint::from_shared(context.server.clone()).unwrap();
        endpoint.tls_config(tls).unwrap().connect_lazy()
    }

    fn clusters(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.api())
    }

    fn hubs(&self) -> HubServiceClient<Channel> {
        HubServiceClient::new(self.api())
    }

    async fn token(&self, cluster: &str, rejoin: bool) -> Result<v1::CreateJoinTokenResponse, Status> {
        let request = v1::CreateJoinTokenRequest {
            cluster: cluster.into(),
            rejoin,
            ..v1::CreateJoinTokenRequest::default()
        };
        let mut tokens = JoinTokenServiceClient::new(self.api());
        tokens
            .create_join_token(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn dial(&self, config: rustls::ClientConfig) -> std::io::Result<AgentServiceClient<Channel>> {
        let url: http::Uri = self.running.agent_urls[0].parse().unwrap();
        let tcp = TcpStream::connect((url.host().unwrap(), url.port_u16().unwrap())).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config))
            .connect(name, tcp)
            .await?;
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: http::Uri| {
            let taken = stream.take().ok_or_else(|| std::io::Error::other("dialled once"));
            std::future::ready(taken)
        });
        let endpoint = Endpoint::from_static("http://hub").origin(url);
        let channel = endpoint.connect_with_connector(connector).await;
        Ok(AgentServiceClient::new(channel.map_err(std::io::Error::other)?))
    }

    async fn stranger(&self, pins: &str) -> AgentServiceClient<Channel> {
        let pins: berth_identity::CaPins = pins.parse().unwrap();
        self.dial(tls::joining_client(pins).unwrap()).await.unwrap()
    }

    /// A certificate for `key_pem` by a token of `cluster`, in the Kubernetes cluster `uid`.
    async fn join(
        &self,
        made: &v1::CreateJoinTokenResponse,
        key_pem: &str,
        uid: &str,
    ) -> Result<Agent, Status> {
        let csr_der = key::signing_request(key_pem).unwrap();
        self.join_with(made, csr_der, key_pem, uid).await
    }

    async fn join_with(
        &self,
        made: &v1::CreateJoinTokenResponse,
        csr_der: Vec<u8>,
        key_pem: &str,
        uid: &str,
    ) -> Result<Agent, Status> {
        let request = JoinRequest {
            token: made.token.clone(),
            csr_der,
            kubernetes_uid: uid.into(),
            agent_version: "test".into(),
        };
        let answer = self
            .stranger(&made.ca_pin)
            .await
            .join(request)
            .await?
            .into_inner();
        Ok(Agent {
            credential: Credential {
                certificate_pem: answer.certificate_pem,
                key_pem: Zeroizing::new(key_pem.to_owned()),
            },
            ca_pem: answer.ca_pem,
        })
    }

    async fn joined(&self, cluster: &str) -> Agent {
        let made = self.token(cluster, false).await.unwrap();
        let uid = format!("uid-of-{cluster}");
        self.join(&made, &key::generate().unwrap(), &uid).await.unwrap()
    }

    async fn line(&self, agent: &Agent) -> AgentServiceClient<Channel> {
        let config = tls::client(&agent.ca_pem, &agent.credential).unwrap();
        self.dial(config).await.unwrap()
    }

    /// A session, after Welcome.
    async fn link(
        &self,
        agent: &Agent,
        hello: agent::Hello,
    ) -> Result<(mpsc::Sender<LinkRequest>, Heard), Status> {
        let (say, said) = mpsc::channel(16);
        say.send(message(Said::Hello(hello))).await.unwrap();
        let mut line = self.line(agent).await;
        let mut heard = line.link(ReceiverStream::new(said)).await?.into_inner();
        match heard.message().await?.unwrap().message.unwrap() {
            link_response::Message::Welcome(_) => Ok((say, heard)),
            other => panic!("{other:?}"),
        }
    }

    async fn recover(&self, agent: &Agent, change: impl FnOnce(&mut RecoverRequest)) -> Result<(), Status> {
        let mut line = self
            .dial(tls::anonymous_client(&agent.ca_pem).unwrap())
            .await
            .unwrap();
        let challenge = line
            .challenge(agent::ChallengeRequest {})
            .await?
            .into_inner()
            .challenge;
        let request = proof(agent, challenge, change);
        let again = request.clone();
        let answer = line.recover(request).await?.into_inner();
        assert!(key::belongs_to(
            &agent.credential.key_pem,
            &answer.certificate_pem
        ));
        let replayed = line.recover(again).await.unwrap_err();
        assert_eq!(replayed.code(), Code::Aborted, "a proof is good once");
        Ok(())
    }
}

fn proof(agent: &Agent, challenge: Vec<u8>, change: impl FnOnce(&mut RecoverRequest)) -> RecoverRequest {
    let der = certificate::first(&agent.credential.certificate_pem).unwrap();
    let (fleet, uid) = peer::cluster_of(&der).unwrap();
    let csr_der = key::signing_request(&agent.credential.key_pem).unwrap();
    let statement = Statement {
        fleet: &fleet,
        uid: &uid,
        challenge: &challenge,
        csr_der: &csr_der,
    };
    let cluster = certificate::common_name(&der).unwrap();
    let mut request = RecoverRequest {
        kubernetes_uid: format!("uid-of-{cluster}"),
        cluster,
        cluster_uid: uid.to_string(),
        signature: statement.sign(&agent.credential.key_pem).unwrap(),
        challenge,
        csr_der,
    };
    change(&mut request);
    request
}

fn message(message: Said) -> LinkRequest {
    LinkRequest {
        message: Some(message),
    }
}

fn hello() -> agent::Hello {
    agent::Hello {
        protocol: 1,
        agent_version: "test".into(),
        ..agent::Hello::default()
    }
}

fn reason(status: &Status) -> String {
    berth_wire::status::reason(status).unwrap_or_default()
}

/// Everything until the stream ends, and how it ends.
async fn end(heard: &mut Heard) -> (Vec<link_response::Message>, Option<Status>) {
    let mut all = Vec::new();
    let reading = async {
        loop {
            match heard.message().await {
                Ok(Some(message)) => all.extend(message.message),
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), reading).await;
    let ended = ended.expect("the stream should have ended");
    (all, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_signing_request_only_a_p256_key_is_taken_and_nothing_else() {
    let hub = Hub::start().await;
    let made = hub.token("eu-1", false).await.unwrap();
    let request =
        |params: CertificateParams, pair: &KeyPair| params.serialize_request(pair).unwrap().der().to_vec();
    let plain = KeyPair::generate().unwrap();
    let good = request(CertificateParams::default(), &plain);
    let weak = include_bytes!("csr/rsa-1024.der").to_vec();
    let small = include_bytes!("csr/p224.der").to_vec();
    let giant = include_bytes!("csr/rsa-8192.der").to_vec();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (what, csr) in [
        ("nothing", Vec::new()),
        ("junk", b"junk".to_vec()),
        ("trailing garbage", [good.as_slice(), b"garbage"].concat()),
        ("a signature of another", flipped),
        ("RSA 1024", weak),
        ("P-224", small),
        ("RSA 8192", giant),
        ("P-384", request(CertificateParams::default(), &p384)),
        ("Ed25519", request(CertificateParams::default(), &ed25519)),
        ("far too much", vec![0x30; 100_000]),
    ] {
        let refused = hub
            .join_with(&made, csr, &plain.serialize_pem(), "uid-of-eu-1")
            .await;
        let refused = refused.map(drop).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused:?}");
    }
    // The token was not used up by any of them. What else a request asks for is passed over.
    let mut greedy = CertificateParams::new(vec!["hub.example".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy
        .subject_alt_names
        .push(SanType::URI("spiffe://other/user/admin".try_into().unwrap()));
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "us-1");
    let csr = request(greedy, &plain);
    let agent = hub
        .join_with(&made, csr, &plain.serialize_pem(), "uid-of-eu-1")
        .await
        .unwrap();
    let der = certificate::first(&agent.credential.certificate_pem).unwrap();
    assert_eq!(certificate::common_name(&der).as_deref(), Some("eu-1"));
    let name = v1::GetClusterRequest {
        name: "clusters/eu-1".into(),
    };
    let cluster = hub
        .clusters()
        .get_cluster(name)
        .await
        .unwrap()
        .into_inner()
        .cluster
        .unwrap();
    assert_eq!(peer::cluster_of(&der).unwrap().1.as_str(), cluster.uid);
    let validity = certificate::validity(&agent.credential.certificate_pem).unwrap();
    let hours = (validity.not_after.as_second() - validity.not_before.as_second()) / 3600;
    assert!(hours <= 24, "{hours}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_cluster_is_cut_off_and_refused_everywhere_also_after_a_restart() {
    let hub = Hub::start().await;
    let agent = hub.joined("eu-1").await;
    let (say, mut heard) = hub.link(&agent, hello()).await.unwrap();
    let mut line = hub.line(&agent).await;
    let renewal = || RenewRequest {
        csr_der: key::signing_request(&agent.credential.key_pem).unwrap(),
    };
    line.renew(renewal()).await.unwrap();
    hub.recover(&agent, |_| {}).await.unwrap();

    let request = v1::RevokeClusterRequest {
        name: "clusters/eu-1".into(),
        reason: "stolen".into(),
    };
    let revoked = hub.clusters().revoke_cluster(request).await.unwrap().into_inner();
    assert!(revoked.session_cut);
    let cut = tokio::time::timeout(Duration::from_secs(60), end(&mut heard));
    let (said, _) = cut.await.expect("the stream is cut");
    assert!(
        matches!(said.last(), Some(link_response::Message::Goodbye(goodbye)) if goodbye.reason == "Refused")
    );
    drop(say);

    let directory = hub.stop().await;
    let hub = Hub::start_in(directory).await;
    let refused = hub.link(&agent, hello()).await.map(drop).unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "REVOKED")
    );
    let refused = hub.line(&agent).await.renew(renewal()).await.unwrap_err();
    assert_eq!(reason(&refused), "REVOKED");
    let refused = hub.recover(&agent, |_| {}).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "REVOKED")
    );

    let made = hub.token("eu-1", true).await.unwrap();
    let same = hub.join(&made, &agent.credential.key_pem, "uid-of-eu-1").await;
    assert_eq!(reason(&same.map(drop).unwrap_err()), "KEY_REVOKED");
    let back = hub
        .join(&made, &key::generate().unwrap(), "uid-of-eu-1")
        .await
        .unwrap();
    assert!(hub.link(&back, hello()).await.is_ok());
    let refused = hub.recover(&agent, |_| {}).await.unwrap_err();
    assert_eq!(reason(&refused), "KEY_REPLACED");
    hub.stop().await;
}

/// Every message that an agent can say, each about a cluster or a tenant that is not its own where it names one.
fn foreign(kind: &str) -> Option<Said> {
    let facts = Some(v1::ClusterFacts {
        kubernetes_uid: "uid-of-us-1".into(),
        ..v1::ClusterFacts::default()
    });
    Some(match kind {
        "hello" => Said::Hello(agent::Hello { facts, ..hello() }),
        "facts" => Said::Facts(agent::FactsReport { facts }),
        // These name no cluster: they are about what was said in this session, about the agent itself, or about tenants, which are nobody
        // else's here.
        "held" | "heartbeat" | "ack" | "nack" | "reply" | "trust_kept" | "report" | "evidence" => {
            return None;
        }
        other => panic!("say what comes of {other} about another cluster"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_of_another_cluster_is_refused_whatever_it_says() {
    let hub = Hub::start().await;
    let (agent, other) = (hub.joined("eu-1").await, hub.joined("us-1").await);
    let set = prost_types::FileDescriptorSet::decode(berth_proto::DESCRIPTORS).unwrap();
    let file = set
        .file
        .iter()
        .find(|file| file.package() == "berth.agent.v1")
        .unwrap();
    let request = file
        .message_type
        .iter()
        .find(|message| message.name() == "LinkRequest")
        .unwrap();
    let kinds: BTreeSet<&str> = request.field.iter().map(|field| field.name()).collect();
    assert!(kinds.len() >= 10);
    let mut tried = 0;
    for kind in kinds {
        let Some(said) = foreign(kind) else { continue };
        let refused = if let Said::Hello(hello) = said {
            hub.link(&agent, hello).await.map(drop).unwrap_err()
        } else {
            let (say, mut heard) = hub.link(&agent, hello()).await.unwrap();
            say.send(message(said)).await.unwrap();
            end(&mut heard).await.1.unwrap()
        };
        assert_eq!(refused.code(), Code::PermissionDenied, "{kind}: {refused:?}");
        assert_eq!(reason(&refused), "OTHER_KUBERNETES", "{kind}");
        tried += 1;
    }
    assert_eq!(tried, 2);

    // And the calls beside the session.
    let calls: BTreeSet<&str> = file.service[0]
        .method
        .iter()
        .map(|method| method.name())
        .collect();
    assert_eq!(
        calls,
        BTreeSet::from(["Challenge", "Join", "Link", "Recover", "Renew"])
    );
    let csr_der = key::signing_request(&other.credential.key_pem).unwrap();
    let refused = hub
        .line(&agent)
        .await
        .renew(RenewRequest { csr_der })
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "OTHER_KEY")
    );
    let uid = peer::cluster_of(&certificate::first(&other.credential.certificate_pem).unwrap())
        .unwrap()
        .1;
    for (change, expected) in [
        (
            Box::new(|r: &mut RecoverRequest| r.cluster = "us-1".into())
                as Box<dyn FnOnce(&mut RecoverRequest)>,
            "OTHER_CLUSTER",
        ),
        (
            Box::new(move |r: &mut RecoverRequest| r.cluster_uid = uid.to_string()),
            "BAD_PROOF",
        ),
        (
            Box::new(|r: &mut RecoverRequest| r.kubernetes_uid = "uid-of-us-1".into()),
            "OTHER_KUBERNETES",
        ),
        (
            Box::new(|r: &mut RecoverRequest| {
                r.csr_der = key::signing_request(&key::generate().unwrap()).unwrap()
            }),
            "BAD_PROOF",
        ),
        (
            Box::new(|r: &mut RecoverRequest| r.signature.clear()),
            "BAD_PROOF",
        ),
    ] {
        let refused = hub.recover(&agent, change).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::PermissionDenied, expected)
        );
    }
    let made = hub.token("ap-1", false).await.unwrap();
    let refused = hub.join(&made, &key::generate().unwrap(), "uid-of-us-1").await;
    assert_eq!(reason(&refused.map(drop).unwrap_err()), "CLUSTER_KNOWN");
    // Without a certificate there is no session and no renewal.
    let mut stranger = hub.stranger(&made.ca_pin).await;
    let nobody = stranger.renew(RenewRequest::default()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_claims_another_hub_stops_the_hub_only_until_its_cluster_is_revoked() {
    let hub = Hub::start().await;
    let liar = hub.joined("eu-1").await;
    let lie = agent::Hello {
        highest_term: 99,
        ..hello()
    };
    let (_say, _heard) = hub.link(&liar, lie).await.unwrap();
    let standing = async |wanted: &str| {
        let ask = async || {
            let answer = hub.hubs().get_hub(v1::GetHubRequest {}).await.unwrap();
            answer.into_inner().hub.unwrap()
        };
        let reached = async {
            loop {
                let hub = ask().await;
                if hub.standing == wanted {
                    return hub;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .unwrap_or_else(|_| panic!("the hub is never {wanted}"))
    };
    let fenced = standing("fenced").await;
    assert!(
        fenced.message.contains("cluster eu-1 has accepted term 99"),
        "{fenced:?}"
    );
    let refused = hub.token("eu-2", false).await.unwrap_err();
    assert_eq!(reason(&refused), "FENCED", "{refused:?}");
    let request = v1::RevokeClusterRequest {
        name: "clusters/eu-1".into(),
        ..v1::RevokeClusterRequest::default()
    };
    hub.clusters().revoke_cluster(request).await.unwrap();
    standing("acting").await;
    hub.token("eu-2", false).await.unwrap();
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_rolled_over_only_as_fast_as_agents_go_along() {
    let hub = Hub::start().await;
    let mut agent = hub.joined("eu-1").await;
    let early = hub.token("eu-2", false).await.unwrap();
    let rotate = async |step: &str, force: bool| {
        let request = v1::RotateAuthorityRequest {
            step: step.into(),
            force,
        };
        let answer = hub.hubs().rotate_authority(request).await?;
        Ok::<_, Status>(answer.into_inner().authority.unwrap())
    };
    let first = hub.running.ca_pin.clone();
    let said = agent::Hello {
        trusted_pins: vec![first.clone()],
        ..hello()
    };
    let (say, mut heard) = hub.link(&agent, said).await.unwrap();
    let begun = rotate("begin", false).await.unwrap();
    assert_eq!(
        (begun.stage.as_str(), begun.pin.as_str()),
        ("announced", first.as_str())
    );
    assert_eq!((begun.clusters, begun.trusting, begun.using_current), (1, 0, 1));
    assert_eq!(begun.waiting_for, ["clusters/eu-1"]);
    let refused = rotate("finish", false).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "AGENTS_NOT_READY")
    );

    // The live link tells; the agent says that it has understood.
    let told = async {
        loop {
            if let Some(link_response::Message::Trust(trust)) =
                heard.message().await.unwrap().unwrap().message
            {
                return trust.ca_pem;
            }
        }
    };
    agent.ca_pem = tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    let pins = vec![begun.pin.clone(), begun.next_pin.clone()];
    say.send(message(Said::TrustKept(agent::TrustKept { pins })))
        .await
        .unwrap();
    let ready = async {
        let ask = || async {
            let mut hubs = hub.hubs();
            hubs.get_authority(v1::GetAuthorityRequest {})
                .await
                .unwrap()
                .into_inner()
                .authority
                .unwrap()
        };
        while ask().await.trusting == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready)
        .await
        .unwrap();
    // Whoever joins by a token of before would refuse the next authority.
    let refused = rotate("finish", false).await.unwrap_err();
    assert_eq!(reason(&refused), "TOKENS_WITHOUT_PIN", "{refused:?}");
    hub.join(&early, &key::generate().unwrap(), "uid-of-eu-2")
        .await
        .unwrap();
    let late = hub.token("eu-3", false).await.unwrap();
    assert_eq!(late.ca_pin, format!("{},{}", begun.pin, begun.next_pin));
    let refused = rotate("finish", false).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        "AGENTS_NOT_READY",
        "eu-2 has joined and was never heard"
    );
    let switched = rotate("finish", true).await.unwrap();
    assert_eq!(
        (switched.stage.as_str(), &switched.pin),
        ("switched", &begun.next_pin)
    );
    // Pins of before and after let in whoever has both; the old certificate is good until it is renewed.
    hub.join(&late, &key::generate().unwrap(), "uid-of-eu-3")
        .await
        .unwrap();
    let refused = rotate("retire", false).await.unwrap_err();
    assert_eq!(reason(&refused), "AGENTS_NOT_READY");
    let csr_der = key::signing_request(&agent.credential.key_pem).unwrap();
    let renewed = hub
        .line(&agent)
        .await
        .renew(RenewRequest { csr_der })
        .await
        .unwrap()
        .into_inner();
    let old = agent.clone();
    agent.credential.certificate_pem = renewed.certificate_pem;
    let retired = rotate("retire", true).await.unwrap();
    assert_eq!(
        (retired.stage.as_str(), &retired.pin),
        ("single", &begun.next_pin)
    );
    let config = tls::client(&old.ca_pem, &old.credential).unwrap();
    // TLS 1.3: a client hears only after its own handshake that its certificate is refused.
    let shut_out = match hub.dial(config).await {
        Err(_) => true,
        Ok(mut line) => line.challenge(agent::ChallengeRequest {}).await.is_err(),
    };
    assert!(shut_out, "the old certificate still opens something");
    assert!(hub.link(&agent, hello()).await.is_ok());

    let directory = hub.stop().await;
    let hub = Hub::start_in(directory).await;
    assert_eq!(hub.running.ca_pin, begun.next_pin);
    assert!(hub.link(&agent, hello()).await.is_ok());
    hub.stop().await;
}
