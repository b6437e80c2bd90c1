//! OperationService: operations are read off their tenants and never stored apart.

use std::time::Duration;

use berth_control::registry::Shown;
use berth_model::{Generation, Tenant, TenantId, operation::OperationVerb};
use berth_proto::v1::{self, operation_service_server::OperationService};
use berth_wire::{names, time};
use tonic::{Code, Request, Response, Status};

use super::{
    Api,
    error::{invalid, refused, status},
    paging,
    tenant::{operation, parse_operation},
};
use crate::calls::Access;

const USUAL_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The service.
pub struct Operations(pub Api);

#[tonic::async_trait]
impl OperationService for Operations {
    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let operation = self.current(&request.into_inner().name).await?;
        Ok(Response::new(v1::GetOperationResponse {
            operation: Some(operation),
        }))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let own = |tenant: &Tenant| access.sees("operations.list", tenant);
        let shown: Option<Shown<'_, Tenant>> = (!access.sees_all("operations.list")).then_some(&own);
        let listed = self
            .0
            .registry
            .tenants(paging::after(&request.page_token), size, shown)
            .await
            .map_err(status)?;
        let operations = listed
            .items
            .iter()
            .map(|tenant| operation(tenant, self.0.board.get(&tenant.id).as_ref()))
            .filter(|operation| !operation.done || operation.error.is_some())
            .collect();
        Ok(Response::new(v1::ListOperationsResponse {
            operations,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn wait_operation(
        &self,
        request: Request<v1::WaitOperationRequest>,
    ) -> Result<Response<v1::WaitOperationResponse>, Status> {
        let request = request.into_inner();
        let timeout = request
            .timeout
            .as_ref()
            .map_or(USUAL_WAIT, time::span_from_proto)
            .min(LONGEST_WAIT);
        let until = self.0.clock.monotonic() + timeout;
        let mut follow = self.0.board.follow();
        loop {
            follow.mark_unchanged();
            let leading = self.0.leading()?;
            let operation = self.current(&request.name).await?;
            let left = until.saturating_sub(self.0.clock.monotonic());
            if operation.done || left.is_zero() {
                return Ok(Response::new(v1::WaitOperationResponse {
                    operation: Some(operation),
                }));
            }
            tokio::select! {
                biased;
                () = leading.tenure.over() => return Err(refused(Code::Unavailable, "DRAINING", "the hub is ending; ask again")),
                changed = follow.changed() => {
                    if changed.is_err() {
                        return Err(refused(Code::Unavailable, "DRAINING", "the hub is ending; ask again"));
                    }
                }
                () = self.0.clock.sleep(left) => {}
            }
        }
    }
}

impl Operations {
    /// The operation now. One whose tenant is gone has ended well; one of an earlier generation has been replaced.
    async fn current(&self, name: &str) -> Result<v1::Operation, Status> {
        let id = names::parse_operation("name", name).map_err(|v| invalid(vec![v]))?;
        let Some((tenant_id, verb, generation)) = parse_operation(id) else {
            return Err(refused(
                Code::NotFound,
                "NOT_FOUND",
                format!("operation {id:?} does not exist"),
            ));
        };
        match self.0.registry.tenant(&tenant_id).await {
            Ok(tenant) if tenant.generation == Generation(generation.0) => {
                Ok(operation(&tenant, self.0.board.get(&tenant_id).as_ref()))
            }
            Ok(tenant) if tenant.generation > Generation(generation.0) => Ok(replaced(id, &tenant_id, verb)),
            Ok(_) => Err(refused(
                Code::NotFound,
                "NOT_FOUND",
                format!("operation {id:?} does not exist"),
            )),
            Err(berth_control::RegistryError::NotFound { .. }) if verb == OperationVerb::Delete => {
                Ok(ended(id, &tenant_id, verb))
            }
            Err(error) => Err(status(error)),
        }
    }
}

fn ended(id: &str, tenant: &TenantId, verb: OperationVerb) -> v1::Operation {
    v1::Operation {
        name: names::operation(id),
        target: names::tenant(tenant),
        verb: verb.as_str().into(),
        done: true,
        ..v1::Operation::default()
    }
}

fn replaced(id: &str, tenant: &TenantId, verb: OperationVerb) -> v1::Operation {
    let error = v1::OperationError {
        reason: "Replaced".into(),
        message: "the tenant has been changed again since".into(),
    };
    v1::Operation {
        error: Some(error),
        ..ended(id, tenant, verb)
    }
}
