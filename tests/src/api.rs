//! The hub's gRPC API as its admin, with the questions tests ask again and again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use berth_model::Timestamp;
use berth_proto::v1;
use berth_proto::v1::bundle_service_client::BundleServiceClient;
use berth_proto::v1::cluster_service_client::ClusterServiceClient;
use berth_proto::v1::evidence_service_client::EvidenceServiceClient;
use berth_proto::v1::hub_service_client::HubServiceClient;
use berth_proto::v1::join_token_service_client::JoinTokenServiceClient;
use berth_proto::v1::tenant_service_client::TenantServiceClient;
use berth_proto::v1::tier_service_client::TierServiceClient;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::waiting::{LONG, within};

/// A connection to a hub; it comes back by itself when the hub does.
#[derive(Clone, Debug)]
pub struct Api {
    channel: Channel,
}

impl Api {
    /// Uses the context the hub wrote for its admin.
    ///
    /// # Errors
    /// The file cannot be read or is no context.
    pub fn open(context: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(context).with_context(|| format!("read {}", context.display()))?;
        let context = berth_wire::context::Context::parse(&text).context("read the admin's context")?;
        Self::of(context)
    }

    /// Uses a context; its server may be another hub of the same fleet.
    ///
    /// # Errors
    /// Its address or certificates cannot be used.
    pub fn of(context: berth_wire::context::Context) -> anyhow::Result<Self> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&context.ca_pem))
            .identity(Identity::from_pem(&context.certificate_pem, &context.key_pem));
        let endpoint = Endpoint::from_shared(context.server)
            .context("the hub's address")?
            .connect_timeout(Duration::from_secs(5))
            .tls_config(tls)
            .context("the hub's certificates")?;
        Ok(Self {
            channel: endpoint.connect_lazy(),
        })
    }

    /// The hub itself.
    #[must_use]
    pub fn hubs(&self) -> HubServiceClient<Channel> {
        HubServiceClient::new(self.channel.clone())
    }

    /// How the hub is.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn hub(&self) -> Result<v1::Hub, Status> {
        let answer = self.hubs().get_hub(v1::GetHubRequest {}).await?.into_inner();
        answer
            .hub
            .ok_or_else(|| Status::internal("an answer without a hub"))
    }

    /// Tenants.
    #[must_use]
    pub fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel.clone())
    }

    /// Tiers.
    #[must_use]
    pub fn tiers(&self) -> TierServiceClient<Channel> {
        TierServiceClient::new(self.channel.clone())
    }

    /// Bundles.
    #[must_use]
    pub fn bundles(&self) -> BundleServiceClient<Channel> {
        BundleServiceClient::new(self.channel.clone())
    }

    /// Clusters.
    #[must_use]
    pub fn clusters(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone())
    }

    /// Evidence of isolation.
    #[must_use]
    pub fn evidence(&self) -> EvidenceServiceClient<Channel> {
        EvidenceServiceClient::new(self.channel.clone())
    }

    /// Join tokens.
    #[must_use]
    pub fn tokens(&self) -> JoinTokenServiceClient<Channel> {
        JoinTokenServiceClient::new(self.channel.clone())
    }

    /// Creates a tenant.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn create(&self, id: &str, spec: v1::TenantSpec) -> Result<v1::Tenant, Status> {
        let request = v1::CreateTenantRequest {
            tenant_id: id.to_owned(),
            tenant: Some(v1::Tenant {
                spec: Some(spec),
                ..v1::Tenant::default()
            }),
            ..v1::CreateTenantRequest::default()
        };
        let answer = self.tenants().create_tenant(request).await?.into_inner();
        answer
            .tenant
            .ok_or_else(|| Status::internal("an answer without a tenant"))
    }

    /// Replaces a tenant's spec, whatever its etag.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn update(&self, id: &str, spec: v1::TenantSpec) -> Result<v1::Tenant, Status> {
        let tenant = v1::Tenant {
            name: format!("tenants/{id}"),
            spec: Some(spec),
            ..v1::Tenant::default()
        };
        let request = v1::UpdateTenantRequest {
            tenant: Some(tenant),
            ..v1::UpdateTenantRequest::default()
        };
        let answer = self.tenants().update_tenant(request).await?.into_inner();
        answer
            .tenant
            .ok_or_else(|| Status::internal("an answer without a tenant"))
    }

    /// One tenant.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn tenant(&self, id: &str) -> Result<v1::Tenant, Status> {
        let request = v1::GetTenantRequest {
            name: format!("tenants/{id}"),
        };
        let answer = self.tenants().get_tenant(request).await?.into_inner();
        answer
            .tenant
            .ok_or_else(|| Status::internal("an answer without a tenant"))
    }

    /// All tenants, page by page.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn list(&self) -> Result<Vec<v1::Tenant>, Status> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListTenantsRequest {
                page_token,
                ..v1::ListTenantsRequest::default()
            };
            let page = self.tenants().list_tenants(request).await?.into_inner();
            all.extend(page.tenants);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Asks for a tenant's deletion.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = v1::DeleteTenantRequest {
            name: format!("tenants/{id}"),
            ..v1::DeleteTenantRequest::default()
        };
        self.tenants().delete_tenant(request).await.map(drop)
    }

    /// Watches one tenant until it is as `wanted`.
    ///
    /// # Errors
    /// It is not within [`LONG`], or it goes away; how it was last is in the message.
    pub async fn until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&v1::Tenant) -> bool,
    ) -> anyhow::Result<v1::Tenant> {
        self.until_within(LONG, id, what, wanted).await
    }

    /// [`until`](Self::until) with a limit of one's own.
    ///
    /// # Errors
    /// It is not within `limit`, or it goes away.
    pub async fn until_within(
        &self,
        limit: Duration,
        id: &str,
        what: &str,
        wanted: impl Fn(&v1::Tenant) -> bool,
    ) -> anyhow::Result<v1::Tenant> {
        let mut last = None;
        let watched = tokio::time::timeout(limit, async {
            loop {
                let ended = self.watch(id, &wanted, &mut last).await;
                match ended {
                    Ok(tenant) => return tenant,
                    // The hub restarts under some tests; the watch is then begun anew.
                    Err(status) => {
                        last.get_or_insert_with(|| format!("{status:?}"));
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        match watched.await {
            Ok(Some(tenant)) => Ok(tenant),
            Ok(None) => bail!(
                "tenant {id} is gone, and not {what}; it was {}",
                last.unwrap_or_default()
            ),
            Err(_) => bail!(
                "tenant {id} is not {what} within {} s; it is {}",
                limit.as_secs(),
                last.unwrap_or_default()
            ),
        }
    }

    async fn watch(
        &self,
        id: &str,
        wanted: impl Fn(&v1::Tenant) -> bool,
        last: &mut Option<String>,
    ) -> Result<Option<v1::Tenant>, Status> {
        use v1::watch_tenants_response::Event;
        let request = v1::WatchTenantsRequest {
            name: format!("tenants/{id}"),
            ..v1::WatchTenantsRequest::default()
        };
        let mut events = self.tenants().watch_tenants(request).await?.into_inner();
        while let Some(answer) = events.message().await? {
            match answer.event {
                Some(Event::Upserted(tenant)) => {
                    if wanted(&tenant) {
                        return Ok(Some(tenant));
                    }
                    *last = Some(described(&tenant));
                }
                Some(Event::Deleted(_)) => return Ok(None),
                Some(Event::SnapshotEnd(_)) | None => {}
            }
        }
        Err(Status::unavailable("the watch has ended"))
    }

    /// Waits until a tenant's present generation is Ready.
    ///
    /// # Errors
    /// It is not within [`LONG`].
    pub async fn ready(&self, id: &str) -> anyhow::Result<v1::Tenant> {
        self.until(id, "Ready", is_ready).await
    }

    /// Waits until these tenants are Ready by evidence gathered after `since`. Fresher evidence of the same state is no event,
    /// so the tenants are listed again and again.
    ///
    /// # Errors
    /// They are not within [`LONG`].
    pub async fn resynced(&self, ids: &[String], since: Timestamp) -> anyhow::Result<()> {
        crate::waiting::until(LONG, "everything is known again", || async {
            let all = self.list().await?;
            let fresh = all
                .iter()
                .filter(|tenant| is_ready(tenant) && evidence(tenant) > since);
            let fresh: BTreeSet<&str> = fresh
                .map(|tenant| tenant.name.trim_start_matches("tenants/"))
                .collect();
            let stale = ids.iter().filter(|id| !fresh.contains(id.as_str())).count();
            ensure!(stale == 0, "{stale} of {} are not", ids.len());
            Ok(Some(()))
        })
        .await
    }

    /// Waits until a tenant is gone.
    ///
    /// # Errors
    /// It is not within [`LONG`].
    pub async fn gone(&self, id: &str) -> anyhow::Result<()> {
        within(LONG, &format!("tenant {id} goes"), async {
            crate::waiting::until(LONG, "gone", || async {
                match self.tenant(id).await {
                    Err(status) if status.code() == tonic::Code::NotFound => Ok(Some(())),
                    Err(status) => Err(status.into()),
                    Ok(tenant) => bail!("it is {}", described(&tenant)),
                }
            })
            .await
        })
        .await
    }

    /// Deletes a tenant and waits until it is gone.
    ///
    /// # Errors
    /// The hub refuses, or it does not go.
    pub async fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.delete(id)
            .await
            .with_context(|| format!("delete tenant {id}"))?;
        self.gone(id).await
    }

    /// One cluster; none when there is none.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn cluster(&self, name: &str) -> Result<Option<v1::Cluster>, Status> {
        let request = v1::GetClusterRequest {
            name: format!("clusters/{name}"),
        };
        match self.clusters().get_cluster(request).await {
            Ok(answer) => Ok(answer.into_inner().cluster),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Waits until a cluster's agent is connected and its facts show room for tenants.
    ///
    /// # Errors
    /// It is not within [`LONG`].
    pub async fn connected(&self, name: &str) -> anyhow::Result<v1::Cluster> {
        crate::waiting::until(LONG, &format!("cluster {name} is connected"), || async {
            let Some(cluster) = self.cluster(name).await? else {
                return Ok(None);
            };
            let status = cluster.status.clone().unwrap_or_default();
            let connected = truth(&status.conditions, "Connected") == "True";
            let room = status.facts.as_ref().is_some_and(|facts| facts.ready_nodes > 0);
            if connected && room {
                return Ok(Some(cluster));
            }
            bail!("it is {status:?}")
        })
        .await
    }

    /// Waits until a cluster's agent has answered the hub twice from now on: by then it was told how far the store is.
    ///
    /// # Errors
    /// It has not within [`LONG`].
    pub async fn told_again(&self, cluster: &str) -> anyhow::Result<()> {
        let evidence = || async {
            let cluster = self.cluster(cluster).await?.context("the cluster is there")?;
            anyhow::Ok(cluster.status.unwrap_or_default().evidence_time)
        };
        for _ in 0..2 {
            let before = evidence().await?;
            crate::waiting::until(LONG, "the agent answers", || async {
                Ok((evidence().await? != before).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn token(&self, cluster: &str) -> Result<v1::CreateJoinTokenResponse, Status> {
        let request = v1::CreateJoinTokenRequest {
            cluster: cluster.to_owned(),
            ..v1::CreateJoinTokenRequest::default()
        };
        self.token_for(request).await
    }

    /// Makes a join token as the request says.
    ///
    /// # Errors
    /// What the hub answers.
    pub async fn token_for(
        &self,
        request: v1::CreateJoinTokenRequest,
    ) -> Result<v1::CreateJoinTokenResponse, Status> {
        self.tokens()
            .create_join_token(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

/// The smallest spec: a tier.
#[must_use]
pub fn of_tier(tier: &str) -> v1::TenantSpec {
    v1::TenantSpec {
        tier: tier.to_owned(),
        ..v1::TenantSpec::default()
    }
}

/// `True`, `False` or `Unknown`; empty when there is no such condition.
#[must_use]
pub fn truth(conditions: &[v1::Condition], kind: &str) -> String {
    find(conditions, kind)
        .map(|condition| condition.status.clone())
        .unwrap_or_default()
}

fn find<'a>(conditions: &'a [v1::Condition], kind: &str) -> Option<&'a v1::Condition> {
    conditions.iter().find(|condition| condition.r#type == kind)
}

/// A tenant's condition; an empty one when it has none of that kind.
#[must_use]
pub fn condition(tenant: &v1::Tenant, kind: &str) -> v1::Condition {
    let conditions = tenant
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    find(conditions, kind).cloned().unwrap_or_default()
}

/// Whether the status speaks of the present generation and Ready is True.
#[must_use]
pub fn is_ready(tenant: &v1::Tenant) -> bool {
    let observed = tenant.status.as_ref().map(|status| status.observed_generation);
    observed == Some(tenant.generation) && condition(tenant, "Ready").status == "True"
}

/// The cluster a tenant is on; empty while it is nowhere.
#[must_use]
pub fn cluster_of(tenant: &v1::Tenant) -> String {
    let placement = tenant
        .status
        .as_ref()
        .and_then(|status| status.placement.as_ref());
    placement
        .map(|placement| placement.cluster.clone())
        .unwrap_or_default()
}

/// A tenant's state in one line.
#[must_use]
pub fn described(tenant: &v1::Tenant) -> String {
    let status = tenant.status.clone().unwrap_or_default();
    let conditions = status.conditions.iter();
    let conditions: Vec<String> = conditions
        .map(|it| format!("{}={} ({}: {})", it.r#type, it.status, it.reason, it.message))
        .collect();
    format!(
        "at generation {} (observed {}), health {}, {}",
        tenant.generation,
        status.observed_generation,
        status.health,
        conditions.join(", ")
    )
}

/// The moment a tenant's status is evidence of; the beginning of time when there is none.
#[must_use]
pub fn evidence(tenant: &v1::Tenant) -> Timestamp {
    let time = tenant.status.as_ref().and_then(|status| status.evidence_time);
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
        .unwrap_or(Timestamp::MIN)
}
