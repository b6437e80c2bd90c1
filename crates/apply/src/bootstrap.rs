//! Bringing the agent into a cluster from outside: the few calls a hub makes into a cluster it had made, before the agent is there.

use std::time::Duration;

use http::Request;
use kube::{
    Client, Config,
    api::{Api, ApiResource, DynamicObject, Patch, PatchParams},
    config::{
        AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
    },
};
use serde_json::Value;

/// Field manager of the agent's own manifest.
const MANAGER: &str = "berth-bootstrap";
const DEADLINE: Duration = Duration::from_secs(15);

/// Why the agent could not be brought in.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The address, the certificate authority or the credential cannot be used.
    #[error("address {endpoint}")]
    Address {
        /// Which.
        endpoint: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server refused or did not answer.
    #[error("{operation}: {message}")]
    Call {
        /// What was tried.
        operation: String,
        /// What it said.
        message: String,
    },
}

/// A client for the API at `endpoint` with a short-lived bearer token.
///
/// # Errors
/// When the address or the certificate authority cannot be used.
pub async fn client(endpoint: &str, ca_pem: &str, bearer_token: &str) -> Result<Client, BootstrapError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    const NAME: &str = "cluster";
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| BootstrapError::Address {
        endpoint: endpoint.to_owned(),
        source,
    };
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster {
            name: NAME.into(),
            cluster: Some(Cluster {
                server: Some(endpoint.to_owned()),
                certificate_authority_data: Some(STANDARD.encode(ca_pem)),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.into(),
            auth_info: Some(AuthInfo {
                token: Some(bearer_token.to_owned().into()),
                ..AuthInfo::default()
            }),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.into(),
            context: Some(Context {
                cluster: NAME.into(),
                user: Some(NAME.into()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(NAME.into()),
        ..Kubeconfig::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| wrong(Box::new(error)))?;
    config.connect_timeout = Some(DEADLINE);
    config.read_timeout = Some(DEADLINE);
    Client::try_from(config).map_err(|error| wrong(Box::new(error)))
}

/// Whether the cluster can change pods at admission without a webhook.
///
/// # Errors
/// When the API server does not answer.
pub async fn serves_mutating_admission_policy(client: &Client) -> Result<bool, BootstrapError> {
    let operation = "discover admissionregistration.k8s.io/v1";
    let request = Request::get("/apis/admissionregistration.k8s.io/v1")
        .body(Vec::new())
        .map_err(|error| called(operation, &error))?;
    let found: Value = within(client.request(request))
        .await
        .map_err(|message| BootstrapError::Call {
            operation: operation.into(),
            message,
        })?;
    let resources = found["resources"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(resources
        .iter()
        .any(|resource| resource["name"] == "mutatingadmissionpolicies"))
}

/// Applies `objects` in order by server-side apply. Repeating it changes nothing.
///
/// # Errors
/// Names the first object that was not taken.
pub async fn apply(client: &Client, objects: &[Value]) -> Result<(), BootstrapError> {
    for object in objects {
        let mut object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|error| called("read an object", &error))?;
        let (types, name) = (
            object.types.clone().unwrap_or_default(),
            object.metadata.name.clone().unwrap_or_default(),
        );
        let what = format!("apply {} {name}", types.kind);
        let gvk = (&types).try_into().map_err(|error| called(&what, &error))?;
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        object.metadata.managed_fields = None;
        let params = PatchParams::apply(MANAGER).force();
        within(api.patch(&name, &params, &Patch::Apply(&object)))
            .await
            .map_err(|message| BootstrapError::Call {
                operation: what,
                message,
            })?;
    }
    Ok(())
}

fn called(operation: &str, error: &dyn std::error::Error) -> BootstrapError {
    BootstrapError::Call {
        operation: operation.to_owned(),
        message: error.to_string(),
    }
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}
