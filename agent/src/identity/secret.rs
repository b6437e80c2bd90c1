//! The Secret that holds an identity. Knows its fields, and nothing of hubs.

use std::{collections::BTreeMap, fmt};

use berth_identity::Credential;
use berth_model::{ClusterName, label};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use zeroize::Zeroizing;

use super::Identity;
use crate::error::{Error, status_code};

const KEY: &str = "tls.key";
const CERTIFICATE: &str = "tls.crt";
const AUTHORITY: &str = "ca.crt";
const CLUSTER: &str = "cluster";
const KUBERNETES_UID: &str = "kubernetes-uid";
/// The public part of the join token that was used.
const TOKEN: &str = "joined-by";

/// What the Secret holds: a key from the start, the rest once joined.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key_pem: Zeroizing<String>,
    pub(crate) kubernetes_uid: String,
    pub(crate) identity: Option<Identity>,
    /// The join token that it was got by, its public part; none where nobody wrote it down.
    pub(crate) joined_by: Option<String>,
}

/// The Secret, by its API.
#[derive(Clone)]
pub(crate) struct IdentitySecret {
    api: Api<Secret>,
    namespace: String,
}

impl fmt::Debug for IdentitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for IdentitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, label::AGENT_IDENTITY_SECRET)
    }
}

impl IdentitySecret {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    fn object(&self) -> String {
        format!("Secret {self}")
    }

    pub(crate) async fn read(&self) -> Result<Option<Kept>, Error> {
        let secret = self.api.get_opt(label::AGENT_IDENTITY_SECRET).await;
        secret
            .map_err(Error::kubernetes("read", self.object()))?
            .map(|secret| self.decode(secret))
            .transpose()
    }

    /// Creates it with a key; when somebody was faster, gives what they wrote.
    pub(crate) async fn create(&self, kept: &Kept) -> Result<Kept, Error> {
        let text = |value: &str| ByteString(value.as_bytes().to_vec());
        let data = BTreeMap::from([
            (KEY.to_owned(), text(&kept.key_pem)),
            (KUBERNETES_UID.to_owned(), text(&kept.kubernetes_uid)),
        ]);
        let labels = BTreeMap::from([(label::MANAGED_BY.to_owned(), label::MANAGED_BY_BERTH.to_owned())]);
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(label::AGENT_IDENTITY_SECRET.into()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".into()),
            data: Some(data),
            ..Secret::default()
        };
        let parameters = PostParams {
            field_manager: Some(label::MANAGER_AGENT.into()),
            ..PostParams::default()
        };
        match self.api.create(&parameters, &secret).await {
            Ok(created) => self.decode(created),
            Err(error) if status_code(&error) == Some(409) => {
                let found = self.read().await?;
                found.ok_or_else(|| self.damaged("it appears and disappears"))
            }
            Err(error) => Err(Error::kubernetes("create", self.object())(error)),
        }
    }

    /// Adds what the hub signed; key and uid stay as they are.
    pub(crate) async fn write(&self, identity: &Identity) -> Result<(), Error> {
        self.add(json!({
            CERTIFICATE: identity.credential.certificate_pem,
            AUTHORITY: identity.ca_pem,
            CLUSTER: identity.cluster.as_str(),
        }))
        .await
    }

    /// Adds what the hub signed for the join token with that public part.
    pub(crate) async fn write_joined(&self, identity: &Identity, token: &str) -> Result<(), Error> {
        self.add(json!({
            CERTIFICATE: identity.credential.certificate_pem,
            AUTHORITY: identity.ca_pem,
            CLUSTER: identity.cluster.as_str(),
            TOKEN: token,
        }))
        .await
    }

    async fn add(&self, fields: serde_json::Value) -> Result<(), Error> {
        let patch = json!({ "stringData": fields });
        let parameters = PatchParams {
            field_manager: Some(label::MANAGER_AGENT.into()),
            ..PatchParams::default()
        };
        let written = self
            .api
            .patch(label::AGENT_IDENTITY_SECRET, &parameters, &Patch::Merge(&patch))
            .await;
        written
            .map(drop)
            .map_err(Error::kubernetes("write", self.object()))
    }

    /// Removes the Secret that the join token came in. One that is not there, or not this agent's to remove, is no trouble.
    pub(crate) async fn delete_token(&self) {
        let deleted = self
            .api
            .delete(label::AGENT_TOKEN_SECRET, &DeleteParams::default())
            .await;
        match deleted {
            Ok(_) => tracing::info!(
                secret = label::AGENT_TOKEN_SECRET,
                "the join token is used up, and its Secret deleted"
            ),
            Err(error) if status_code(&error) == Some(404) => {}
            Err(error) => tracing::warn!(
                secret = label::AGENT_TOKEN_SECRET,
                %error,
                "the join token is used up, but its Secret cannot be deleted; apply the agent's manifest, or delete it"
            ),
        }
    }

    fn decode(&self, secret: Secret) -> Result<Kept, Error> {
        let mut data = secret.data.unwrap_or_default();
        let mut take = |field: &str| -> Result<Option<String>, Error> {
            let text = data
                .remove(field)
                .map(|bytes| String::from_utf8(bytes.0))
                .transpose();
            text.map_err(|_| self.damaged(&format!("{field} is not text")))
        };
        let required = |field: &str, value: Option<String>| {
            value
                .filter(|v| !v.is_empty())
                .ok_or_else(|| self.damaged(&format!("{field} is missing")))
        };
        let key_pem = Zeroizing::new(required(KEY, take(KEY)?)?);
        let kubernetes_uid = required(KUBERNETES_UID, take(KUBERNETES_UID)?)?;
        let identity = match (take(CERTIFICATE)?, take(AUTHORITY)?, take(CLUSTER)?) {
            (None, None, None) => None,
            (certificate, authority, cluster) => {
                let cluster = required(CLUSTER, cluster)?;
                Some(Identity {
                    cluster: ClusterName::new(cluster).map_err(|e| self.damaged(&e.to_string()))?,
                    credential: Credential {
                        certificate_pem: required(CERTIFICATE, certificate)?,
                        key_pem: key_pem.clone(),
                    },
                    ca_pem: required(AUTHORITY, authority)?,
                    kubernetes_uid: kubernetes_uid.clone(),
                })
            }
        };
        let joined_by = take(TOKEN)?;
        Ok(Kept {
            key_pem,
            kubernetes_uid,
            identity,
            joined_by,
        })
    }

    fn damaged(&self, problem: &str) -> Error {
        Error::DamagedIdentity {
            secret: self.to_string(),
            problem: problem.to_owned(),
        }
    }
}
