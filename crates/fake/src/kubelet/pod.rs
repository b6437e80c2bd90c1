//! From a pod template to something that can be started: files, environment, arguments, credentials.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use berth_model::label;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Container, EnvVar, PodSpec, PodTemplateSpec, Secret, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};

use super::{AGENT, Launch, Options, PodIdentity, TOKEN_RENEWAL, text, volumes};
use crate::access::{Access, Credentials};

const TOKEN_FILE: &str = "token";
const KUBECONFIG: &str = "kubeconfig";

/// Why a pod cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The template asks for something this kubelet does not play.
    #[error("{what} is not played here")]
    NotPlayed {
        /// What.
        what: String,
    },
    /// Something the template names is not there.
    #[error("{what} is not there")]
    Missing {
        /// What.
        what: String,
    },
    /// A file.
    #[error("{doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The cluster's API.
    #[error("{doing}")]
    Api {
        /// What was tried.
        doing: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
}

impl PodError {
    pub(super) fn api(doing: String, source: kube::Error) -> Self {
        Self::Api {
            doing,
            source: Box::new(source),
        }
    }
}

fn dir(options: &Options, number: u64) -> PathBuf {
    options.dir.join(format!("{AGENT}-{number}"))
}

fn account(spec: &PodSpec) -> &str {
    spec.service_account_name.as_deref().unwrap_or("default")
}

/// Writes the pod's files and says how it is started.
pub(super) async fn prepare(
    options: &Options,
    template: &PodTemplateSpec,
    number: u64,
) -> Result<Launch, PodError> {
    let spec = template.spec.as_ref().ok_or_else(|| PodError::Missing {
        what: "the pod's spec".into(),
    })?;
    let [container] = spec.containers.as_slice() else {
        return Err(PodError::NotPlayed {
            what: "a pod of several containers".into(),
        });
    };
    if spec.init_containers.as_ref().is_some_and(|all| !all.is_empty()) {
        return Err(PodError::NotPlayed {
            what: "an init container".into(),
        });
    }
    let home = dir(options, number);
    discard_others(options, &home);
    let places = write_volumes(options, spec, container, &home).await?;
    let mut env = environment(&options.client.0, container, spec, number).await?;
    for value in env.values_mut() {
        *value = text::relocate(value, &places);
    }
    let further = container
        .command
        .iter()
        .flatten()
        .skip(1)
        .chain(container.args.iter().flatten());
    let args = further
        .map(|arg| text::relocate(&text::expand(arg, &env), &places))
        .collect();
    let kubeconfig = credentials(options, spec, &home).await?;
    env.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
    Ok(Launch {
        args,
        env,
        dir: home,
        kubeconfig,
    })
}

/// Writes what the container mounts; where each mount path is.
async fn write_volumes(
    options: &Options,
    spec: &PodSpec,
    container: &Container,
    home: &Path,
) -> Result<BTreeMap<String, String>, PodError> {
    volumes::make(home)?;
    let mut places = BTreeMap::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = spec
            .volumes
            .iter()
            .flatten()
            .find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| PodError::Missing {
            what: format!("volume {}", mount.name),
        })?;
        let place = home.join("volumes").join(&mount.name);
        volumes::write(
            &options.client.0,
            label::AGENT_NAMESPACE,
            account(spec),
            volume,
            &place,
        )
        .await?;
        let place = mount
            .sub_path
            .as_ref()
            .map_or(place.clone(), |path| place.join(path));
        places.insert(
            mount.mount_path.trim_end_matches('/').to_owned(),
            place.display().to_string(),
        );
    }
    Ok(places)
}

/// The disks of former pods. What cannot be removed is left lying: nothing reads it again.
fn discard_others(options: &Options, home: &Path) {
    let Ok(entries) = std::fs::read_dir(&options.dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let of_a_pod = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(AGENT));
        if of_a_pod
            && path != home
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::warn!(%error, dir = %path.display(), "the files of a deleted pod are still there");
        }
    }
}

async fn environment(
    client: &Client,
    container: &Container,
    spec: &PodSpec,
    number: u64,
) -> Result<BTreeMap<String, String>, PodError> {
    if container.env_from.as_ref().is_some_and(|all| !all.is_empty()) {
        return Err(PodError::NotPlayed {
            what: "envFrom".into(),
        });
    }
    let mut env = BTreeMap::new();
    for var in container.env.iter().flatten() {
        if let Some(value) = variable(client, var, spec, number).await? {
            let value = text::expand(&value, &env);
            env.insert(var.name.clone(), value);
        }
    }
    Ok(env)
}

/// The value of a variable; none for an optional one whose source is not there.
async fn variable(
    client: &Client,
    var: &EnvVar,
    spec: &PodSpec,
    number: u64,
) -> Result<Option<String>, PodError> {
    let Some(from) = &var.value_from else {
        return Ok(Some(var.value.clone().unwrap_or_default()));
    };
    if let Some(field) = &from.field_ref {
        return Ok(Some(match field.field_path.as_str() {
            "metadata.name" => format!("{AGENT}-{number}"),
            "metadata.namespace" => label::AGENT_NAMESPACE.to_owned(),
            "spec.serviceAccountName" => account(spec).to_owned(),
            "spec.nodeName" => "played".to_owned(),
            "status.podIP" | "status.hostIP" => "127.0.0.1".to_owned(),
            path => {
                return Err(PodError::NotPlayed {
                    what: format!("field {path} of variable {}", var.name),
                });
            }
        }));
    }
    let (what, value, optional) = if let Some(key) = &from.secret_key_ref {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), label::AGENT_NAMESPACE);
        let what = format!("key {} of Secret {}", key.key, key.name);
        let found = secrets
            .get_opt(&key.name)
            .await
            .map_err(|e| PodError::api(format!("read {what}"), e))?;
        let value = found.and_then(|secret| secret.data?.remove(&key.key));
        (
            what,
            value.map(|value| String::from_utf8_lossy(&value.0).into_owned()),
            key.optional,
        )
    } else if let Some(key) = &from.config_map_key_ref {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), label::AGENT_NAMESPACE);
        let what = format!("key {} of ConfigMap {}", key.key, key.name);
        let found = maps
            .get_opt(&key.name)
            .await
            .map_err(|e| PodError::api(format!("read {what}"), e))?;
        (
            what,
            found.and_then(|map| map.data?.remove(&key.key)),
            key.optional,
        )
    } else {
        return Err(PodError::NotPlayed {
            what: format!("the source of variable {}", var.name),
        });
    };
    match value {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None => Err(PodError::Missing { what }),
    }
}

/// A token of the namespace's service account `account`.
pub(super) async fn mint(
    client: &Client,
    namespace: &str,
    account: &str,
    audience: Option<&str>,
) -> Result<String, PodError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let doing = || format!("ask for a token of service account {account}");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audience.map(str::to_owned).into_iter().collect(),
            expiration_seconds: i64::try_from(TOKEN_RENEWAL.as_secs() * 2).ok(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .map_err(|e| PodError::api(doing(), e))?;
    answer
        .status
        .map(|status| status.token)
        .ok_or_else(|| PodError::Missing { what: doing() })
}

/// Writes the kubeconfig and what it names.
async fn credentials(options: &Options, spec: &PodSpec, home: &Path) -> Result<PathBuf, PodError> {
    let access = &options.access;
    let config = match options.identity {
        PodIdentity::Administrator => access.kubeconfig(&options.cluster),
        PodIdentity::ServiceAccount => {
            let token = mint(&options.client.0, label::AGENT_NAMESPACE, account(spec), None).await?;
            volumes::put(home, TOKEN_FILE, token.as_bytes())?;
            let marked = Access {
                credentials: Credentials::Token("-".to_owned()),
                ..access.clone()
            };
            let file = format!("    tokenFile: {}\n", home.join(TOKEN_FILE).display());
            marked
                .kubeconfig(&options.cluster)
                .replace("    token: -\n", &file)
        }
    };
    volumes::put(home, KUBECONFIG, config.as_bytes())?;
    Ok(home.join(KUBECONFIG))
}

/// Writes tokens, Secrets and ConfigMaps of a running pod anew, as a kubelet does from time to time.
pub(super) async fn refresh(
    options: &Options,
    template: &PodTemplateSpec,
    number: u64,
) -> Result<(), PodError> {
    let Some(spec) = &template.spec else { return Ok(()) };
    let home = dir(options, number);
    for container in &spec.containers {
        write_volumes(options, spec, container, &home).await?;
    }
    credentials(options, spec, &home).await.map(drop)
}
