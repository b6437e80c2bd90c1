//! One EKS client per region, all with the same credentials and time limits.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_sdk_eks::Client;

use crate::config::EksConfig;

const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(15);
const OPERATION: Duration = Duration::from_secs(60);

/// Makes clients and knows the hub's credentials.
#[derive(Debug)]
pub(crate) struct Clients {
    shared: SdkConfig,
    endpoint_url: Option<String>,
    by_region: Mutex<HashMap<String, Client>>,
}

impl Clients {
    pub(crate) async fn new(config: &EksConfig) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(config.default_region.clone()))
            .timeout_config(limits)
            // The hub's loop comes back by itself, with its own jitter; retries under it would only hide how EKS fares.
            .retry_config(RetryConfig::disabled());
        if let Some(profile) = &config.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(fixed) = &config.credentials {
            loader = loader.credentials_provider(Credentials::new(
                &fixed.access_key_id,
                &fixed.secret_access_key,
                fixed.session_token.clone(),
                None,
                "hub configuration",
            ));
        }
        Self {
            shared: loader.load().await,
            endpoint_url: config.endpoint_url.clone(),
            by_region: Mutex::default(),
        }
    }

    pub(crate) fn region(&self, region: &str) -> Client {
        let mut clients = self.by_region.lock().unwrap_or_else(PoisonError::into_inner);
        clients
            .entry(region.to_owned())
            .or_insert_with(|| {
                let mut config =
                    aws_sdk_eks::config::Builder::from(&self.shared).region(Region::new(region.to_owned()));
                config.set_endpoint_url(self.endpoint_url.clone());
                Client::from_conf(config.build())
            })
            .clone()
    }

    pub(crate) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        match self.shared.credentials_provider() {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded("no credentials provider")),
        }
    }
}
