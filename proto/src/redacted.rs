//! What is shown of messages that hold a secret: everything else.

use std::fmt;

use crate::{
    agent::{ReviewToken, TokenMinted},
    v1::{CreateApiKeyResponse, IssueTenantCredentialResponse},
};

const REDACTED: &str = "[redacted]";

impl fmt::Debug for TokenMinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            token: _,
            expire_time,
        } = self;
        f.debug_struct("TokenMinted")
            .field("token", &REDACTED)
            .field("expire_time", expire_time)
            .finish()
    }
}

impl fmt::Debug for IssueTenantCredentialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            token: _,
            expire_time,
            api_url,
            api_ca_pem: _,
            namespaces,
            cluster,
            service_account,
        } = self;
        f.debug_struct("IssueTenantCredentialResponse")
            .field("token", &REDACTED)
            .field("expire_time", expire_time)
            .field("api_url", api_url)
            .field("namespaces", namespaces)
            .field("cluster", cluster)
            .field("service_account", service_account)
            .finish()
    }
}

impl fmt::Debug for CreateApiKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_key, key: _ } = self;
        f.debug_struct("CreateApiKeyResponse")
            .field("api_key", api_key)
            .field("key", &REDACTED)
            .finish()
    }
}

impl fmt::Debug for ReviewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: _, audience } = self;
        f.debug_struct("ReviewToken")
            .field("token", &REDACTED)
            .field("audience", audience)
            .finish()
    }
}
