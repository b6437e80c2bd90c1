//! The hub, as this program speaks to it: gRPC over TLS with a certificate or a token, every answer within a time limit, lists page by page.

mod bearer;
mod leader;
mod wire;

use std::{future::Future, time::Duration};

use berth_proto::v1::{
    self, access_service_client::AccessServiceClient, api_key_service_client::ApiKeyServiceClient,
    audit_service_client::AuditServiceClient, bundle_service_client::BundleServiceClient,
    cluster_service_client::ClusterServiceClient, evidence_service_client::EvidenceServiceClient,
    join_token_service_client::JoinTokenServiceClient, login_service_client::LoginServiceClient,
    operation_service_client::OperationServiceClient, organisation_service_client::OrganisationServiceClient,
    tenant_service_client::TenantServiceClient, tier_service_client::TierServiceClient,
};
use hyper_util::client::legacy::connect::HttpConnector;
use tonic::{
    Response, Status,
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    context::Loaded,
    exit::{Exit, Failure},
};

pub(crate) use bearer::Bearer;
use wire::Place;
pub(crate) use wire::Wire;

/// Tenants come with their status; a full page of them is far under this.
const LARGEST_ANSWER: usize = 64 << 20;
const PAGE: i32 = 500;
/// How long nothing comes before a hub is asked whether it is there, and how long it has to answer that.
const SILENCE: Duration = Duration::from_secs(5);

/// A hub.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    channel: Wire,
    bearer: Bearer,
    timeout: Duration,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(&self) -> $client<Wire> {
            $client::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
        }
    )*};
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $client:ident.$rpc:ident($request:ident) -> $items:ident: $item:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(&self) -> Result<Vec<v1::$item>, Failure> {
            let mut all = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = v1::$request { page_size: PAGE, page_token };
                let page = self.ask(stringify!($items), self.$client().$rpc(request)).await?;
                all.extend(page.$items);
                if page.next_page_token.is_empty() {
                    return Ok(all);
                }
                page_token = page.next_page_token;
            }
        }
    )*};
}

impl Hub {
    /// Speaks to the hub of `context` alone; connects when something is asked.
    pub(crate) fn new(loaded: &Loaded, timeout: Duration) -> Result<Self, Failure> {
        let place = Place::at(loaded, &loaded.context.server, timeout)?;
        Ok(Self::over(
            loaded,
            Wire::new(loaded, timeout, place, false),
            timeout,
        ))
    }

    fn over(loaded: &Loaded, wire: Wire, timeout: Duration) -> Self {
        Self {
            channel: wire,
            bearer: loaded.bearer.clone(),
            timeout,
        }
    }

    /// The hub that is spoken to: another one when the lead has gone there.
    pub(crate) fn server(&self) -> String {
        self.channel.server()
    }

    /// Looks for the hub that leads before the next call, where there are several; a call would find out too, but only when the hub
    /// that led answers or is seen to be away.
    pub(crate) async fn look_again(&self) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.channel.look_again()).await {
            Ok(looked) => looked,
            // The call itself waits on, and says why it cannot go.
            Err(_) => Ok(()),
        }
    }

    clients! {
        /// Tenants.
        tenants: TenantServiceClient;
        /// Tiers.
        tiers: TierServiceClient;
        /// Organisations.
        organisations: OrganisationServiceClient;
        /// Bundles.
        bundles: BundleServiceClient;
        /// Clusters.
        clusters: ClusterServiceClient;
        /// Operations.
        operations: OperationServiceClient;
        /// Evidence of isolation.
        evidences: EvidenceServiceClient;
        /// Signing in.
        logins: LoginServiceClient;
        /// API keys.
        api_keys: ApiKeyServiceClient;
        /// Join tokens.
        tokens: JoinTokenServiceClient;
        /// The audit log.
        audit: AuditServiceClient;
        /// Who may do what.
        access: AccessServiceClient;
    }

    lists! {
        /// All tiers.
        list_tiers: tiers.list_tiers(ListTiersRequest) -> tiers: Tier;
        /// All organisations.
        list_organisations: organisations.list_organisations(ListOrganisationsRequest) -> organisations: Organisation;
        /// All bundle versions, without manifests.
        list_bundles: bundles.list_bundles(ListBundlesRequest) -> bundles: Bundle;
        /// All clusters.
        list_clusters: clusters.list_clusters(ListClustersRequest) -> clusters: Cluster;
        /// Operations that go on or failed.
        list_operations: operations.list_operations(ListOperationsRequest) -> operations: Operation;
        /// The latest evidence of all tenants, without probes.
        list_evidence: evidences.list_evidence(ListEvidenceRequest) -> evidence: Evidence;
        /// All API keys.
        list_api_keys: api_keys.list_api_keys(ListApiKeysRequest) -> api_keys: ApiKey;
        /// The role bindings within reach.
        list_role_bindings: access.list_role_bindings(ListRoleBindingsRequest) -> role_bindings: RoleBinding;
        /// Tokens that can be used.
        list_tokens: tokens.list_join_tokens(ListJoinTokensRequest) -> join_tokens: JoinToken;
    }

    /// All tenants that `filter` takes.
    pub(crate) async fn list_tenants(&self, filter: &str) -> Result<Vec<v1::Tenant>, Failure> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListTenantsRequest {
                page_size: PAGE,
                page_token,
                filter: filter.to_owned(),
            };
            let page = self.ask("tenants", self.tenants().list_tenants(request)).await?;
            all.extend(page.tenants);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = page.next_page_token;
        }
    }

    /// One tenant.
    pub(crate) async fn tenant(&self, name: &str) -> Result<v1::Tenant, Failure> {
        let subject = format!("tenant/{name}");
        let request = v1::GetTenantRequest {
            name: format!("tenants/{name}"),
        };
        let answer = self.ask(&subject, self.tenants().get_tenant(request)).await?;
        answer.tenant.ok_or_else(|| empty(&subject))
    }

    /// One tier.
    pub(crate) async fn tier(&self, name: &str) -> Result<v1::Tier, Failure> {
        let subject = format!("tier/{name}");
        let request = v1::GetTierRequest {
            name: format!("tiers/{name}"),
        };
        let answer = self.ask(&subject, self.tiers().get_tier(request)).await?;
        answer.tier.ok_or_else(|| empty(&subject))
    }

    /// One organisation.
    pub(crate) async fn organisation(&self, name: &str) -> Result<v1::Organisation, Failure> {
        let subject = format!("organisation/{name}");
        let request = v1::GetOrganisationRequest {
            name: format!("organisations/{name}"),
        };
        let answer = self
            .ask(&subject, self.organisations().get_organisation(request))
            .await?;
        answer.organisation.ok_or_else(|| empty(&subject))
    }

    /// One role binding.
    pub(crate) async fn role_binding(&self, name: &str) -> Result<v1::RoleBinding, Failure> {
        let subject = format!("rolebinding/{name}");
        let request = v1::GetRoleBindingRequest {
            name: format!("roleBindings/{name}"),
        };
        let answer = self
            .ask(&subject, self.access().get_role_binding(request))
            .await?;
        answer.role_binding.ok_or_else(|| empty(&subject))
    }

    /// All roles.
    pub(crate) async fn list_roles(&self) -> Result<Vec<v1::Role>, Failure> {
        let request = v1::ListRolesRequest {};
        let answer = self.ask("roles", self.access().list_roles(request)).await?;
        Ok(answer.roles)
    }

    /// One bundle version, with its manifests.
    pub(crate) async fn bundle(&self, name: &str, version: &str) -> Result<v1::Bundle, Failure> {
        let subject = format!("bundle/{name}@{version}");
        let request = v1::GetBundleRequest {
            name: format!("bundles/{name}/versions/{version}"),
        };
        let answer = self.ask(&subject, self.bundles().get_bundle(request)).await?;
        answer.bundle.ok_or_else(|| empty(&subject))
    }

    /// One cluster.
    pub(crate) async fn cluster(&self, name: &str) -> Result<v1::Cluster, Failure> {
        let subject = format!("cluster/{name}");
        let request = v1::GetClusterRequest {
            name: format!("clusters/{name}"),
        };
        let answer = self.ask(&subject, self.clusters().get_cluster(request)).await?;
        answer.cluster.ok_or_else(|| empty(&subject))
    }

    /// The evidence of one tenant.
    pub(crate) async fn evidence(&self, tenant: &str) -> Result<v1::Evidence, Failure> {
        let subject = format!("evidence/{tenant}");
        let request = v1::GetEvidenceRequest {
            name: format!("tenants/{tenant}/evidence"),
        };
        let answer = self.ask(&subject, self.evidences().get_evidence(request)).await?;
        answer.evidence.ok_or_else(|| empty(&subject))
    }

    /// One API key.
    pub(crate) async fn api_key(&self, name: &str) -> Result<v1::ApiKey, Failure> {
        let subject = format!("apikey/{name}");
        let request = v1::GetApiKeyRequest {
            name: format!("apiKeys/{name}"),
        };
        let answer = self.ask(&subject, self.api_keys().get_api_key(request)).await?;
        answer.api_key.ok_or_else(|| empty(&subject))
    }

    /// One operation.
    pub(crate) async fn operation(&self, name: &str) -> Result<v1::Operation, Failure> {
        let subject = format!("operation/{name}");
        let request = v1::GetOperationRequest {
            name: format!("operations/{name}"),
        };
        let answer = self
            .ask(&subject, self.operations().get_operation(request))
            .await?;
        answer.operation.ok_or_else(|| empty(&subject))
    }

    /// Waits for an answer about `subject`, for the request's time limit at most.
    pub(crate) async fn ask<T>(
        &self,
        subject: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        self.bearer.fresh().await?;
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer
                .map(Response::into_inner)
                .map_err(|status| Failure::of(subject, &status)),
            Err(_) => {
                let refused = self.channel.refused();
                let late = refused.unwrap_or_else(|| Status::deadline_exceeded("no answer"));
                Err(Failure::of(subject, &late))
            }
        }
    }
}

impl Place {
    /// `server`, a hub of the fleet.
    fn at(loaded: &Loaded, server: &str, timeout: Duration) -> Result<Self, Failure> {
        Ok(Self {
            server: server.to_owned(),
            channel: InterceptedService::new(connect(loaded, server, timeout)?, loaded.bearer.clone()),
        })
    }
}

/// A channel to `server` with the context's credentials; connects when something is asked.
fn connect(loaded: &Loaded, server: &str, timeout: Duration) -> Result<Channel, Failure> {
    let context = &loaded.context;
    let wrong = |error: tonic::transport::Error| {
        Failure::new(
            Exit::Invalid,
            format!("use the context for {server}: {}", innermost(&error)),
        )
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&context.ca_pem));
    if !context.key_pem.is_empty() {
        tls = tls.identity(Identity::from_pem(&context.certificate_pem, &context.key_pem));
    }
    // Handed to the endpoint, its time limit is one for TCP and TLS together; its own connector has none for TLS, and a hub that is
    // frozen takes connections all the same.
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    Ok(Endpoint::from_shared(server.to_owned())
        .map_err(wrong)?
        .tls_config(tls)
        .map_err(wrong)?
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        // A hub that does not move any more is left in time for another one to answer.
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .connect_with_connector_lazy(tcp))
}

/// A hub that answers without what was asked for is of another version.
pub(crate) fn empty(subject: &str) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("{subject}: the hub's answer is empty; hub and command line may be too far apart in version"),
    )
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
