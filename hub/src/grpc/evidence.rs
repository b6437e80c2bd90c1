//! EvidenceService.

use berth_control::{evidence::Kept, registry::Shown};
use berth_model::{ClusterName, Evidence, Tenant, TenantId, Timestamp};
use berth_proto::v1::{self, evidence_service_server::EvidenceService};
use berth_wire::{api, evidence::unpack, names, time};
use tonic::{Code, Request, Response, Status};

use super::{
    Api,
    error::{invalid, refused, status},
    paging,
};
use crate::calls::Access;

/// The service.
pub struct EvidenceOf(pub Api);

#[tonic::async_trait]
impl EvidenceService for EvidenceOf {
    async fn get_evidence(
        &self,
        request: Request<v1::GetEvidenceRequest>,
    ) -> Result<Response<v1::GetEvidenceResponse>, Status> {
        let id = names::parse_evidence("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let tenant = self.0.registry.tenant(&id).await.map_err(status)?;
        let Some(known) = self.of(&tenant).await? else {
            return Err(refused(
                Code::NotFound,
                "NOT_PROBED",
                format!("the walls of tenant {id} have not been probed yet"),
            ));
        };
        Ok(Response::new(v1::GetEvidenceResponse {
            evidence: Some(known.shown(&id, true)),
        }))
    }

    async fn list_evidence(
        &self,
        request: Request<v1::ListEvidenceRequest>,
    ) -> Result<Response<v1::ListEvidenceResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let after = paging::after(&request.page_token);
        let own = |tenant: &Tenant| access.sees("evidence.list", tenant);
        let shown: Option<Shown<'_, Tenant>> = (!access.sees_all("evidence.list")).then_some(&own);
        let listed = self.0.registry.tenants(after, size, shown);
        let listed = listed.await.map_err(status)?;
        let mut evidence = Vec::new();
        for tenant in listed.items {
            let known = self.of(&tenant).await?;
            evidence.extend(known.map(|known| known.shown(&tenant.id, false)));
        }
        Ok(Response::new(v1::ListEvidenceResponse {
            evidence,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn probe_tenant(
        &self,
        request: Request<v1::ProbeTenantRequest>,
    ) -> Result<Response<v1::ProbeTenantResponse>, Status> {
        let id = names::parse_tenant("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let tenant = self.0.registry.tenant(&id).await.map_err(status)?;
        let Some(cluster) = self.cluster_of(&id) else {
            return Err(refused(
                Code::FailedPrecondition,
                "NOT_PLACED",
                format!("tenant {id} has no place yet; ask berth explain {id}"),
            ));
        };
        let Some(outbox) = self.0.sessions.outbox(&cluster) else {
            return Err(refused(
                Code::FailedPrecondition,
                "AGENT_AWAY",
                format!("the agent of cluster {cluster} is not connected; try again when it is"),
            ));
        };
        outbox.probe(id, tenant.uid);
        Ok(Response::new(v1::ProbeTenantResponse {}))
    }
}

/// What is known of a tenant's walls.
struct Known {
    evidence: Evidence,
    /// When the same was last found.
    probed_at: Timestamp,
    proof: v1::EvidenceProof,
}

impl EvidenceOf {
    fn cluster_of(&self, id: &TenantId) -> Option<ClusterName> {
        let placement = self.0.board.get(id)?.placement?;
        Some(placement.cluster().clone())
    }

    /// What is known of this very tenant, not of an earlier one of its name.
    async fn of(&self, tenant: &Tenant) -> Result<Option<Known>, Status> {
        let kept = self.0.registry.evidence(&tenant.id).await.map_err(status)?;
        let kept = kept.filter(|kept| kept.evidence.uid == tenant.uid);
        Ok(self
            .known(&tenant.id, kept)
            .filter(|known| known.evidence.uid == tenant.uid))
    }

    /// The latest of what is kept and what the agent has said since.
    fn known(&self, id: &TenantId, kept: Option<Kept>) -> Option<Known> {
        let cluster = self.cluster_of(id);
        let sessions = &self.0.sessions;
        let kept = kept.map(|kept| Known {
            proof: v1::EvidenceProof {
                statement: kept.statement,
                signature: kept.record.sealed.signature,
                certificate_pem: kept.record.certificate_pem,
                probe_time: Some(time::to_proto(kept.record.probed_at)),
            },
            probed_at: kept.record.probed_at,
            evidence: kept.evidence,
        });
        let unkept = cluster.as_ref().and_then(|cluster| sessions.unkept(cluster, id));
        if let Some((proven, at)) = unkept
            && let Ok(statement) = unpack(&proven.sealed.statement_zstd)
        {
            return Some(Known {
                evidence: proven.evidence.clone(),
                probed_at: at,
                proof: v1::EvidenceProof {
                    statement,
                    signature: proven.sealed.signature.clone(),
                    certificate_pem: proven.certificate_pem.clone(),
                    probe_time: Some(time::to_proto(at)),
                },
            });
        }
        let mut known = kept?;
        // The same was found again since, and not kept for being the same.
        let again = cluster.and_then(|cluster| sessions.probed(&cluster, id));
        if let Some(again) = again
            && (&again.uid, again.generation, &again.digest)
                == (
                    &known.evidence.uid,
                    known.evidence.generation,
                    &known.evidence.digest,
                )
        {
            known.probed_at = known.probed_at.max(again.at);
        }
        Some(known)
    }
}

impl Known {
    fn shown(self, id: &TenantId, whole: bool) -> v1::Evidence {
        let until = self.probed_at.checked_add(self.evidence.believed_for());
        let view = api::EvidenceView {
            probed_at: self.probed_at,
            believed_until: until.unwrap_or(Timestamp::MAX),
            proof: whole.then_some(self.proof),
        };
        api::evidence_to_proto(id, &self.evidence, view)
    }
}
