//! ApiKeyService.

use std::{sync::Arc, time::Duration};

use berth_identity::Caller;
use berth_model::{Violation, id::is_dns_label};
use berth_proto::v1::{self, api_key_service_server::ApiKeyService};
use berth_wire::{api::api_key_to_proto, names, time};
use tonic::{Request, Response, Status};
use tracing::info;

use super::{
    Api,
    error::{invalid, status},
    paging,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const USUAL_TTL: Duration = DAY.saturating_mul(90);
const LONGEST_TTL: Duration = DAY.saturating_mul(365);
const LONGEST_DESCRIPTION: usize = 256;

/// The service.
pub struct ApiKeys(pub Api);

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<Response<v1::CreateApiKeyResponse>, Status> {
        let creator = request
            .extensions()
            .get::<Arc<Caller>>()
            .map(|caller| caller.principal.to_string())
            .unwrap_or_default();
        let request = request.into_inner();
        let ttl = checked(&request).map_err(invalid)?;
        let name = &request.api_key_id;
        let made = self
            .0
            .registry
            .create_api_key(name, ttl, &request.description, &creator)
            .await
            .map_err(status)?;
        info!(%name, %creator, expires = %made.record.expires_at, "an API key was made");
        Ok(Response::new(v1::CreateApiKeyResponse {
            api_key: Some(api_key_to_proto(name, &made.record)),
            key: made.key.expose().to_string(),
        }))
    }

    async fn get_api_key(
        &self,
        request: Request<v1::GetApiKeyRequest>,
    ) -> Result<Response<v1::GetApiKeyResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_api_key("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let record = self.0.registry.api_key(name).await.map_err(status)?;
        Ok(Response::new(v1::GetApiKeyResponse {
            api_key: Some(api_key_to_proto(name, &record)),
        }))
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<Response<v1::ListApiKeysResponse>, Status> {
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let listed = self
            .0
            .registry
            .api_keys(paging::after(&request.page_token), size)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListApiKeysResponse {
            api_keys: listed
                .items
                .iter()
                .map(|(name, record)| api_key_to_proto(name, record))
                .collect(),
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn delete_api_key(
        &self,
        request: Request<v1::DeleteApiKeyRequest>,
    ) -> Result<Response<v1::DeleteApiKeyResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_api_key("name", &request.name).map_err(|v| invalid(vec![v]))?;
        self.0.registry.delete_api_key(name).await.map_err(status)?;
        info!(%name, "an API key was taken back");
        Ok(Response::new(v1::DeleteApiKeyResponse {}))
    }
}

/// How long the key is to work; every fault at once.
fn checked(request: &v1::CreateApiKeyRequest) -> Result<Duration, Vec<Violation>> {
    let mut violations = Vec::new();
    if !is_dns_label(&request.api_key_id) {
        violations.push(Violation::new(
            "api_key_id",
            format!("{:?} is no name of a machine account", request.api_key_id),
            "use lower-case letters, digits and '-', at most 63",
        ));
    }
    let ttl = request.ttl.as_ref().map_or(USUAL_TTL, time::span_from_proto);
    if ttl < Duration::from_secs(1) || ttl > LONGEST_TTL {
        violations.push(Violation::new(
            "ttl",
            format!("{}s is out of range", ttl.as_secs()),
            "at least one second, at most 365 days; make a new key before the old one expires",
        ));
    }
    let description = &request.description;
    if description.chars().count() > LONGEST_DESCRIPTION || description.chars().any(char::is_control) {
        violations.push(Violation::new(
            "description",
            "is too long or has control characters",
            "write one line of at most 256 characters",
        ));
    }
    if violations.is_empty() {
        Ok(ttl)
    } else {
        Err(violations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_works_for_90_days_unless_asked_otherwise_and_never_for_more_than_a_year() {
        let request = |ttl: Option<u64>| v1::CreateApiKeyRequest {
            api_key_id: "ci".into(),
            ttl: ttl.map(|days| time::span_to_proto(DAY * u32::try_from(days).unwrap())),
            description: String::new(),
        };
        assert_eq!(checked(&request(None)), Ok(DAY * 90));
        assert_eq!(checked(&request(Some(365))), Ok(DAY * 365));
        for days in [0, 366] {
            assert!(checked(&request(Some(days))).is_err(), "{days}");
        }
    }

    #[test]
    fn every_fault_of_a_request_is_told_at_once() {
        let faults = checked(&v1::CreateApiKeyRequest {
            api_key_id: "CI!".into(),
            ttl: Some(time::span_to_proto(DAY * 1000)),
            description: "a\u{1b}[2J".into(),
        })
        .unwrap_err();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["api_key_id", "ttl", "description"]);
    }
}
