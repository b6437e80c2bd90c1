//! A hub in this process, and callers with client certificates of their own.

use std::{net::SocketAddr, time::Duration};

use berth_hub::{Options, Running, options::StoreChoice};
use berth_identity::Authority;
use berth_model::{FleetId, Timestamp};
use berth_proto::v1::{
    self, access_service_client::AccessServiceClient, hub_service_client::HubServiceClient,
    organisation_service_client::OrganisationServiceClient, tenant_service_client::TenantServiceClient,
};
use berth_runtime::{CancellationToken, Clock as _, SystemClock};
use berth_wire::context::Context;
use bytes::{Buf as _, BufMut as _};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// A running hub.
pub(crate) struct Hub {
    directory: tempfile::TempDir,
    running: Running,
    cancel: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
    fleet: FleetId,
}

/// Somebody who calls it.
#[derive(Clone)]
pub(crate) struct Caller {
    channel: Channel,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
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
            let started = |running: &Running| {
                let _ = tell.send(running.clone());
            };
            berth_hub::run(options, token, started).await.unwrap();
        });
        let running = told.await.unwrap();
        let mut hub = Self {
            directory,
            running,
            cancel,
            ended,
            fleet: FleetId::new("unknown").unwrap(),
        };
        let asked = hub.admin().hubs().get_hub(v1::GetHubRequest {}).await.unwrap();
        hub.fleet = FleetId::new(asked.into_inner().hub.unwrap().fleet).unwrap();
        hub
    }

    /// The credential that needs no binding.
    pub(crate) fn admin(&self) -> Caller {
        let text = std::fs::read_to_string(&self.running.admin_context).unwrap();
        caller(&Context::parse(&text).unwrap())
    }

    /// `certificate:NAME`.
    pub(crate) fn user(&self, name: &str) -> Caller {
        let now: Timestamp = SystemClock::new().now();
        let authority = Authority::load_or_create(&self.directory.path().join("data/ca"), now).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let credential = authority.issue_client(&self.fleet, name, now, day).unwrap();
        caller(&Context {
            server: self.running.api_url.clone(),
            servers: Vec::new(),
            ca_pem: authority.certificate_pem().to_owned(),
            certificate_pem: credential.certificate_pem,
            key_pem: credential.key_pem.to_string(),
        })
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.ended.await.unwrap();
    }
}

fn caller(context: &Context) -> Caller {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&context.ca_pem))
        .identity(Identity::from_pem(&context.certificate_pem, &context.key_pem));
    let endpoint = Endpoint::from_shared(context.server.clone()).unwrap();
    Caller {
        channel: endpoint.tls_config(tls).unwrap().connect_lazy(),
    }
}

impl Caller {
    pub(crate) fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn hubs(&self) -> HubServiceClient<Channel> {
        HubServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel.clone())
    }

    pub(crate) fn organisations(&self) -> OrganisationServiceClient<Channel> {
        OrganisationServiceClient::new(self.channel.clone())
    }

    /// Any call, unary or not, up to its first message.
    pub(crate) async fn call(&self, path: &str, request: Vec<u8>) -> Result<(), Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = path.parse().unwrap();
        let answer = grpc.server_streaming(Request::new(request), path, Raw).await?;
        answer.into_inner().message().await.map(drop)
    }
}

/// Messages as the bytes they are.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// A role binding of `role` for these subjects.
pub(crate) async fn bind(
    by: &Caller,
    name: &str,
    role: &str,
    subjects: &[&str],
    scope: v1::role_scope::Scope,
) {
    let request = binding(name, role, subjects, scope);
    by.access().create_role_binding(request).await.unwrap();
}

pub(crate) fn binding(
    name: &str,
    role: &str,
    subjects: &[&str],
    scope: v1::role_scope::Scope,
) -> v1::CreateRoleBindingRequest {
    v1::CreateRoleBindingRequest {
        role_binding_id: name.into(),
        role_binding: Some(v1::RoleBinding {
            spec: Some(v1::RoleBindingSpec {
                role: role.into(),
                subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
                scope: Some(v1::RoleScope { scope: Some(scope) }),
            }),
            ..Default::default()
        }),
        validate_only: false,
    }
}

pub(crate) fn fleet() -> v1::role_scope::Scope {
    v1::role_scope::Scope::Fleet(v1::WholeFleet {})
}

pub(crate) fn only(ids: &[&str]) -> v1::role_scope::Scope {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    v1::role_scope::Scope::Tenants(v1::TenantIds { ids })
}

pub(crate) fn of_organisation(name: &str) -> v1::role_scope::Scope {
    v1::role_scope::Scope::Selector(v1::TenantSelector {
        organisation: name.into(),
        ..Default::default()
    })
}

/// A tenant of an organisation that may be none.
pub(crate) fn tenant(id: &str, organisation: &str) -> v1::CreateTenantRequest {
    v1::CreateTenantRequest {
        tenant_id: id.into(),
        tenant: Some(v1::Tenant {
            spec: Some(v1::TenantSpec {
                tier: "free".into(),
                owner: Some(v1::Owner {
                    organisation: organisation.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Whether the refusal is one of authorization.
pub(crate) fn denied(status: &Status) -> bool {
    status.code() == tonic::Code::PermissionDenied
        && berth_wire::status::reason(status).as_deref() == Some("NOT_ALLOWED")
}
