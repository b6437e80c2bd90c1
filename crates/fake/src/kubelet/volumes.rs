//! A pod's volumes as directories: Secrets, ConfigMaps, service account tokens, scratch space.

use std::{collections::BTreeMap, fs, path::Path};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, KeyToPath, Secret, Volume},
};
use kube::{Api, Client};

use super::pod::{PodError, mint};

/// Writes one volume into `dir`.
pub(super) async fn write(
    client: &Client,
    namespace: &str,
    account: &str,
    volume: &Volume,
    dir: &Path,
) -> Result<(), PodError> {
    make(dir)?;
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        return secret(
            client,
            namespace,
            name,
            source.optional,
            source.items.as_deref(),
            dir,
        )
        .await;
    }
    if let Some(source) = &volume.config_map {
        return config_map(
            client,
            namespace,
            &source.name,
            source.optional,
            source.items.as_deref(),
            dir,
        )
        .await;
    }
    if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            if let Some(token) = &source.service_account_token {
                let value = mint(client, namespace, account, token.audience.as_deref()).await?;
                put(dir, &token.path, value.as_bytes())?;
            } else if let Some(it) = &source.secret {
                secret(client, namespace, &it.name, it.optional, it.items.as_deref(), dir).await?;
            } else if let Some(it) = &source.config_map {
                config_map(client, namespace, &it.name, it.optional, it.items.as_deref(), dir).await?;
            } else {
                return Err(unplayed(volume));
            }
        }
        return Ok(());
    }
    if volume.empty_dir.is_some() {
        Ok(())
    } else {
        Err(unplayed(volume))
    }
}

fn unplayed(volume: &Volume) -> PodError {
    PodError::NotPlayed {
        what: format!("volume {}: its kind", volume.name),
    }
}

async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    dir: &Path,
) -> Result<(), PodError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets
        .get_opt(name)
        .await
        .map_err(|e| PodError::api(format!("read Secret {name}"), e))?;
    let data = found.map(|secret| secret.data.unwrap_or_default());
    files(&format!("Secret {name}"), data, optional, items, dir)
}

async fn config_map(
    client: &Client,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    dir: &Path,
) -> Result<(), PodError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = maps
        .get_opt(name)
        .await
        .map_err(|e| PodError::api(format!("read ConfigMap {name}"), e))?;
    let data = found.map(|map| {
        let texts = map.data.unwrap_or_default().into_iter();
        let texts = texts.map(|(key, text)| (key, ByteString(text.into_bytes())));
        texts.chain(map.binary_data.unwrap_or_default()).collect()
    });
    files(&format!("ConfigMap {name}"), data, optional, items, dir)
}

fn files(
    object: &str,
    data: Option<BTreeMap<String, ByteString>>,
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    dir: &Path,
) -> Result<(), PodError> {
    let Some(data) = data else {
        return if optional == Some(true) {
            Ok(())
        } else {
            Err(PodError::Missing {
                what: object.to_owned(),
            })
        };
    };
    match items {
        None => data.iter().try_for_each(|(key, value)| put(dir, key, &value.0)),
        Some(items) => items.iter().try_for_each(|item| match data.get(&item.key) {
            Some(value) => put(dir, &item.path, &value.0),
            None if optional == Some(true) => Ok(()),
            None => Err(PodError::Missing {
                what: format!("key {} of {object}", item.key),
            }),
        }),
    }
}

pub(super) fn make(dir: &Path) -> Result<(), PodError> {
    fs::create_dir_all(dir).map_err(|source| PodError::Io {
        doing: format!("make {}", dir.display()),
        source,
    })
}

/// Writes a file below `dir`, readable by its owner only; a path that leaves `dir` is refused.
pub(super) fn put(dir: &Path, path: &str, bytes: &[u8]) -> Result<(), PodError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(PodError::NotPlayed {
            what: format!("path {path}, which leaves its volume,"),
        });
    }
    let file = dir.join(path);
    make(file.parent().unwrap_or(dir))?;
    let fresh = file.with_added_extension("new");
    let write = || {
        use std::io::Write as _;
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?
            .write_all(bytes)?;
        fs::rename(&fresh, &file)
    };
    write().map_err(|source| PodError::Io {
        doing: format!("write {}", file.display()),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Option<BTreeMap<String, ByteString>> {
        Some(BTreeMap::from([("token".to_owned(), ByteString(b"t0".to_vec()))]))
    }

    #[test]
    fn a_secrets_keys_become_files() {
        let dir = tempfile::tempdir().unwrap();
        files("Secret s", data(), None, None, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("token")).unwrap(), b"t0");
        let item = KeyToPath {
            key: "token".into(),
            path: "deep/er".into(),
            mode: None,
        };
        files("Secret s", data(), None, Some(&[item]), dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("deep/er")).unwrap(), b"t0");
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let dir = tempfile::tempdir().unwrap();
        assert!(files("Secret s", None, Some(true), None, dir.path()).is_ok());
        let missing = files("Secret s", None, None, None, dir.path()).unwrap_err();
        assert_eq!(missing.to_string(), "Secret s is not there");
    }

    #[test]
    fn a_path_cannot_leave_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x", "/etc/x", "a/../../x"] {
            assert!(put(dir.path(), path, b"").is_err(), "{path}");
        }
    }
}
