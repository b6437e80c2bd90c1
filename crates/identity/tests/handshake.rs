//! Who gets through a handshake, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::{sync::Arc, time::Duration};

use berth_identity::{
    AGENT_LIFETIME, Authority, CaPin, Connection, Credential, Incoming, IncomingOptions, Peer, PeerInfo, key,
    tls::{self, ServerCertificate, clients::ClientTrust},
};
use berth_model::{ClusterName, FleetId, Timestamp, Uid};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;

#[expect(
    clippy::disallowed_methods,
    reason = "the TLS library checks validity by the machine's clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn fleet() -> FleetId {
    FleetId::new("f1").unwrap()
}

struct Hub {
    _dir: tempfile::TempDir,
    authority: Authority,
    certificate: ServerCertificate,
}

fn uid() -> Uid {
    Uid::new("0b6e3c2a-7d6f-4c0e-9a55-0a2f4b0d7c11").unwrap()
}

impl Hub {
    fn trust(&self) -> ClientTrust {
        ClientTrust::new(&self.authority.trust().pem).unwrap()
    }

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), now()).unwrap();
        let certificate = ServerCertificate::new(&server(&authority, now())).unwrap();
        Self {
            _dir: dir,
            authority,
            certificate,
        }
    }

    async fn link(&self) -> Incoming {
        let config = tls::agent_server(&self.trust(), self.certificate.clone()).unwrap();
        listen(config, IncomingOptions::new(fleet())).await
    }

    async fn api(&self) -> Incoming {
        let config = tls::api_server(&self.trust(), self.certificate.clone()).unwrap();
        listen(config, IncomingOptions::new(fleet())).await
    }

    fn agent(&self, cluster: &str, at: Timestamp) -> ClientConfig {
        let key_pem = key::generate().unwrap();
        let csr = key::signing_request(&key_pem).unwrap();
        let cluster = ClusterName::new(cluster).unwrap();
        let issued = self
            .authority
            .issue_agent(&fleet(), (&cluster, &uid()), &csr, at, AGENT_LIFETIME)
            .unwrap();
        let credential = Credential {
            certificate_pem: issued.certificate_pem,
            key_pem,
        };
        tls::client(&self.authority.certificate_pem(), &credential).unwrap()
    }
}

fn server(authority: &Authority, at: Timestamp) -> Credential {
    authority
        .issue_server(&["localhost".into()], at, AGENT_LIFETIME)
        .unwrap()
}

async fn listen(config: Arc<rustls::ServerConfig>, options: IncomingOptions) -> Incoming {
    Incoming::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), config, options)
}

/// The client says a word when it believes it is in, and hears it back when the server thinks so too.
async fn knock(incoming: &mut Incoming, config: ClientConfig) -> Result<PeerInfo, std::io::Error> {
    let address = incoming.local_addr().unwrap();
    let client = async move {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        stream.write_all(b"x").await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok::<_, std::io::Error>(())
    };
    let echo = async {
        let mut connection: Connection = incoming.next().await.unwrap().unwrap();
        let mut byte = [0];
        connection.read_exact(&mut byte).await?;
        connection.write_all(&byte).await?;
        connection.flush().await?;
        Ok::<_, std::io::Error>(connection.info().clone())
    };
    tokio::try_join!(client, echo).map(|((), info)| info)
}

#[tokio::test]
async fn a_joining_agent_gets_through_without_certificate_when_the_pin_is_right() {
    let hub = Hub::new();
    let mut link = hub.link().await;
    let info = knock(&mut link, tls::joining_client(hub.authority.pin()).unwrap())
        .await
        .unwrap();
    assert_eq!(info.peer, None);
}

#[tokio::test]
async fn a_joining_agent_with_another_pin_refuses_the_hub() {
    let hub = Hub::new();
    let other: CaPin = Hub::new().authority.pin();
    let error = knock(&mut hub.link().await, tls::joining_client(other).unwrap())
        .await
        .unwrap_err();
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
        .unwrap();
    assert!(tls::is_pin_mismatch(inner), "{inner}");
}

#[tokio::test]
async fn showing_the_pinned_authority_beside_a_certificate_of_another_does_not_help() {
    let (hub, evil) = (Hub::new(), Hub::new());
    let forged = server(&evil.authority, now());
    let leaf = forged
        .certificate_pem
        .split_inclusive("-----END CERTIFICATE-----\n")
        .next()
        .unwrap()
        .to_owned();
    let chain = format!("{leaf}{}", &hub.authority.certificate_pem());
    evil.certificate
        .replace(&Credential {
            certificate_pem: chain,
            key_pem: forged.key_pem,
        })
        .unwrap();
    assert!(
        knock(
            &mut evil.link().await,
            tls::joining_client(hub.authority.pin()).unwrap()
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn the_agent_of_a_cluster_is_known_by_its_certificate() {
    let hub = Hub::new();
    let mut link = hub.link().await;
    for cluster in ["a", "b"] {
        let info = knock(&mut link, hub.agent(cluster, now())).await.unwrap();
        assert!(matches!(info.peer, Some(Peer::Agent { cluster: name, .. }) if name.as_str() == cluster));
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_either_side() {
    let hub = Hub::new();
    let long_ago = now() - AGENT_LIFETIME - Duration::from_secs(3600);
    assert!(
        knock(&mut hub.link().await, hub.agent("a", long_ago))
            .await
            .is_err()
    );
    hub.certificate
        .replace(&server(&hub.authority, long_ago))
        .unwrap();
    assert!(knock(&mut hub.link().await, hub.agent("a", now())).await.is_err());
    assert!(
        knock(
            &mut hub.link().await,
            tls::joining_client(hub.authority.pin()).unwrap()
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn a_replaced_server_certificate_is_shown_to_the_next_client() {
    let hub = Hub::new();
    let mut link = hub.link().await;
    hub.certificate
        .replace(
            &hub.authority
                .issue_server(&["elsewhere".into()], now(), AGENT_LIFETIME)
                .unwrap(),
        )
        .unwrap();
    assert!(knock(&mut link, hub.agent("a", now())).await.is_err());
    hub.certificate.replace(&server(&hub.authority, now())).unwrap();
    assert!(knock(&mut link, hub.agent("a", now())).await.is_ok());
}

#[tokio::test]
async fn the_api_knows_who_shows_a_certificate_of_this_authority_and_takes_none_of_another() {
    let (hub, other) = (Hub::new(), Hub::new());
    let mut api = hub.api().await;
    // Who shows none needs another credential, which is looked at call by call.
    let nobody = knock(&mut api, tls::joining_client(hub.authority.pin()).unwrap()).await;
    assert_eq!(nobody.unwrap().peer, None);
    let foreign = other
        .authority
        .issue_client(&fleet(), "admin", now(), AGENT_LIFETIME)
        .unwrap();
    assert!(
        knock(
            &mut api,
            tls::client(&hub.authority.certificate_pem(), &foreign).unwrap()
        )
        .await
        .is_err()
    );
    let admin = hub
        .authority
        .issue_client(&fleet(), "admin", now(), AGENT_LIFETIME)
        .unwrap();
    let info = knock(
        &mut api,
        tls::client(&hub.authority.certificate_pem(), &admin).unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(info.peer, Some(Peer::User { name: "admin".into() }));
}

#[tokio::test]
async fn an_agents_certificate_cannot_serve() {
    let hub = Hub::new();
    let key_pem = key::generate().unwrap();
    let csr = key::signing_request(&key_pem).unwrap();
    let cluster = ClusterName::new("localhost").unwrap();
    let issued = hub
        .authority
        .issue_agent(&fleet(), (&cluster, &uid()), &csr, now(), AGENT_LIFETIME)
        .unwrap();
    let chain = format!("{}{}", issued.certificate_pem, &hub.authority.certificate_pem());
    hub.certificate
        .replace(&Credential {
            certificate_pem: chain,
            key_pem,
        })
        .unwrap();
    assert!(knock(&mut hub.link().await, hub.agent("a", now())).await.is_err());
}

#[tokio::test]
async fn a_silent_client_does_not_hold_up_the_next_and_is_dropped_in_the_end() {
    let hub = Hub::new();
    let config = tls::agent_server(&hub.trust(), hub.certificate.clone()).unwrap();
    let options = IncomingOptions {
        handshake_timeout: Duration::from_millis(300),
        ..IncomingOptions::new(fleet())
    };
    let mut incoming = listen(config, options).await;
    let mut silent = TcpStream::connect(incoming.local_addr().unwrap()).await.unwrap();
    knock(&mut incoming, hub.agent("a", now())).await.unwrap();
    let dropped = async { silent.read(&mut [0; 8]).await };
    tokio::select! {
        _ = incoming.next() => panic!("the silent client became a connection"),
        read = dropped => assert!(matches!(read, Ok(0) | Err(_))),
    }
}

#[tokio::test]
async fn further_clients_wait_when_all_slots_are_taken() {
    let hub = Hub::new();
    let config = tls::agent_server(&hub.trust(), hub.certificate.clone()).unwrap();
    let options = IncomingOptions {
        handshake_timeout: Duration::from_millis(200),
        concurrent_handshakes: 1,
        ..IncomingOptions::new(fleet())
    };
    let mut incoming = listen(config, options).await;
    let _silent = TcpStream::connect(incoming.local_addr().unwrap()).await.unwrap();
    assert!(knock(&mut incoming, hub.agent("a", now())).await.is_ok());
}

#[tokio::test]
async fn what_is_trusted_changes_under_a_listener_and_no_resumed_session_gets_around_it() {
    let (hub, next) = (Hub::new(), Hub::new());
    let trust = hub.trust();
    let config = tls::agent_server(&trust, hub.certificate.clone()).unwrap();
    let mut link = listen(config, IncomingOptions::new(fleet())).await;
    let old = hub.agent("eu-1", now());
    let new = next.agent("eu-1", now());
    // One that trusts this server, with the certificate of the other authority.
    let both = |of: &Hub| {
        let key_pem = key::generate().unwrap();
        let csr = key::signing_request(&key_pem).unwrap();
        let cluster = ClusterName::new("eu-1").unwrap();
        let issued = of
            .authority
            .issue_agent(&fleet(), (&cluster, &uid()), &csr, now(), AGENT_LIFETIME)
            .unwrap();
        let credential = Credential {
            certificate_pem: issued.certificate_pem,
            key_pem,
        };
        let trusted = format!(
            "{}{}",
            hub.authority.certificate_pem(),
            next.authority.certificate_pem()
        );
        tls::client(&trusted, &credential).unwrap()
    };
    assert!(knock(&mut link, old.clone()).await.is_ok());
    assert!(knock(&mut link, both(&next)).await.is_err());
    assert!(knock(&mut link, new.clone()).await.is_err(), "another server");

    let two = format!(
        "{}{}",
        hub.authority.certificate_pem(),
        next.authority.certificate_pem()
    );
    trust.replace(&two).unwrap();
    assert!(knock(&mut link, old.clone()).await.is_ok());
    assert!(knock(&mut link, both(&next)).await.is_ok());

    trust.replace(&next.authority.certificate_pem()).unwrap();
    assert!(
        knock(&mut link, old).await.is_err(),
        "the configuration with which it was let in before"
    );
    assert!(knock(&mut link, both(&next)).await.is_ok());
    hub.certificate.replace(&server(&next.authority, now())).unwrap();
    assert!(knock(&mut link, new).await.is_ok());
    assert!(trust.replace("nothing").is_err());
}

#[tokio::test]
async fn a_certificate_from_outside_is_shown_to_those_who_ask_for_its_names() {
    let (hub, outside) = (Hub::new(), Hub::new());
    let credential = outside
        .authority
        .issue_server(&["localhost".to_owned()], now(), AGENT_LIFETIME)
        .unwrap();
    let mut link = hub.link().await;
    let pinned = |hub: &Hub| tls::joining_client(hub.authority.pin()).unwrap();
    assert!(knock(&mut link, pinned(&hub)).await.is_ok());

    let names = hub.certificate.show_outside(&credential).unwrap();
    assert_eq!(names, ["localhost"]);
    assert!(knock(&mut link, pinned(&outside)).await.is_ok());
    assert!(knock(&mut link, pinned(&hub)).await.is_err());

    let elsewhere = outside
        .authority
        .issue_server(&["berth.example.com".to_owned()], now(), AGENT_LIFETIME)
        .unwrap();
    hub.certificate.show_outside(&elsewhere).unwrap();
    assert!(knock(&mut link, pinned(&hub)).await.is_ok());
    let nameless = outside
        .authority
        .issue_server(&["127.0.0.1".to_owned()], now(), AGENT_LIFETIME)
        .unwrap();
    assert!(hub.certificate.show_outside(&nameless).is_err());
}
