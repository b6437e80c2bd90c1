//! A hub for the command line's tests: the API's services over mTLS on loopback, with everything in memory and no decisions.
//!
//! It knows as much of the API as the command line asks for; what a hub decides is tested where it is decided.

mod clusters;
mod organisations;
mod run;
mod tenants;
mod tiers;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use berth_proto::v1::{
    self, bundle_service_server::BundleServiceServer, cluster_service_server::ClusterServiceServer,
    join_token_service_server::JoinTokenServiceServer, operation_service_server::OperationServiceServer,
    organisation_service_server::OrganisationServiceServer, tenant_service_server::TenantServiceServer,
    tier_service_server::TierServiceServer,
};
use berth_wire::context::Context;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tokio::sync::watch;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// Runs the program without any hub.
pub(crate) async fn berth_alone(arguments: &[&str]) -> run::Ran {
    run::run(run::berth(arguments), "").await
}

/// What the hub holds; a watch, so that streams follow it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) tenants: BTreeMap<String, v1::Tenant>,
    pub(crate) tiers: BTreeMap<String, v1::Tier>,
    pub(crate) organisations: BTreeMap<String, v1::Organisation>,
    pub(crate) bundles: BTreeMap<String, v1::Bundle>,
    pub(crate) clusters: BTreeMap<String, v1::Cluster>,
    pub(crate) operations: BTreeMap<String, v1::Operation>,
    pub(crate) tokens: BTreeMap<String, v1::JoinToken>,
}

/// The services' common state.
#[derive(Clone)]
pub(crate) struct Shelves(Arc<watch::Sender<State>>);

/// A running hub. Gone when dropped.
pub(crate) struct Hub {
    state: Shelves,
    directory: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (context, tls) = credentials(format!("https://{address}"));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("context.yaml"), context.to_yaml().unwrap()).unwrap();
        let state = Shelves(Arc::new(watch::Sender::new(State::default())));
        let router = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(TenantServiceServer::new(state.clone()))
            .add_service(TierServiceServer::new(state.clone()))
            .add_service(OrganisationServiceServer::new(state.clone()))
            .add_service(BundleServiceServer::new(state.clone()))
            .add_service(ClusterServiceServer::new(state.clone()))
            .add_service(OperationServiceServer::new(state.clone()))
            .add_service(JoinTokenServiceServer::new(state.clone()));
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tokio::spawn(async move {
            router.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            state,
            directory,
            server,
        }
    }

    /// Changes what the hub holds, for every stream to see.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.0.send_modify(change);
    }

    pub(crate) fn state(&self) -> State {
        self.state.0.borrow().clone()
    }

    /// A file with `text` that lives as long as the hub.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn context(&self) -> PathBuf {
        self.directory.path().join("context.yaml")
    }
}

/// A time that reads `5d` for the next hours.
pub(crate) fn five_days_ago() -> prost_types::Timestamp {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    prost_types::Timestamp {
        seconds: i64::try_from(now).unwrap() - 5 * 86_400,
        nanos: 0,
    }
}

pub(crate) fn condition(kind: &str, status: &str, reason: &str, message: &str) -> v1::Condition {
    v1::Condition {
        r#type: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: Some(five_days_ago()),
        observed_generation: 1,
    }
}

/// A tenant on `eu-1`, ready or not.
pub(crate) fn tenant(id: &str, tier: &str, ready: bool) -> v1::Tenant {
    let (status, reason, message, health) = if ready {
        ("True", "Ready", "", "Healthy")
    } else {
        ("False", "Progressing", "waiting on Deployment web", "Progressing")
    };
    v1::Tenant {
        name: format!("tenants/{id}"),
        uid: format!("uid-{id}"),
        spec: Some(v1::TenantSpec {
            tier: tier.into(),
            environment: "production".into(),
            ..Default::default()
        }),
        status: Some(v1::TenantStatus {
            observed_generation: 1,
            conditions: vec![
                condition("Accepted", "True", "Accepted", ""),
                condition("Ready", status, reason, message),
            ],
            placement: Some(v1::Placement {
                isolation: "namespace".into(),
                cluster: "eu-1".into(),
                pool: String::new(),
            }),
            namespaces: vec![format!("t-{id}")],
            health: health.into(),
            ..Default::default()
        }),
        generation: 1,
        etag: "7".into(),
        create_time: Some(five_days_ago()),
        delete_time: None,
    }
}

fn credentials(server: String) -> (Context, ServerTlsConfig) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let sign = |purpose: ExtendedKeyUsagePurpose| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())];
        params.extended_key_usages = vec![purpose];
        (
            params.signed_by(&key, &issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    };
    let (server_pem, server_key) = sign(ExtendedKeyUsagePurpose::ServerAuth);
    let (certificate_pem, key_pem) = sign(ExtendedKeyUsagePurpose::ClientAuth);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server_pem, server_key))
        .client_ca_root(Certificate::from_pem(&ca_pem));
    (
        Context {
            server,
            servers: Vec::new(),
            ca_pem,
            certificate_pem,
            key_pem,
            ..Context::default()
        },
        tls,
    )
}
