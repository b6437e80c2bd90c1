//! A bucket of S3, or of what speaks like it: each blob an object.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};

use super::{BackupError, Location, Place};

#[derive(Debug)]
pub(super) struct Bucket {
    location: Location,
    prefix: String,
    client: AmazonS3,
}

impl Bucket {
    pub(super) fn open(location: &Location, access: &[(String, String)]) -> Result<Self, BackupError> {
        let refuse = |problem: String| BackupError::Location {
            location: location.to_string(),
            problem,
        };
        let Location::Bucket {
            bucket,
            prefix,
            endpoint,
            region,
        } = location
        else {
            return Err(refuse("it is no bucket".into()));
        };
        let mut builder = AmazonS3Builder::new();
        for (name, value) in access {
            // There are settings for other tools among them.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        builder = builder.with_bucket_name(bucket);
        if let Some(endpoint) = endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        Ok(Self {
            location: location.clone(),
            prefix: prefix.clone(),
            client: builder.build().map_err(|error| refuse(error.to_string()))?,
        })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    fn failed(&self, operation: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> BackupError {
        let (name, place) = (name.to_owned(), self.name());
        move |source| BackupError::Place {
            operation,
            name,
            place,
            source: source.into(),
        }
    }
}

#[async_trait]
impl Place for Bucket {
    fn name(&self) -> String {
        self.location.to_string()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        let put = self.client.put(&self.path(name), bytes.into()).await;
        put.map(drop).map_err(self.failed("write", name))
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError> {
        let got = match self.client.get(&self.path(name)).await {
            Ok(got) => got.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        got.map(Some).map_err(self.failed("read", name))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, BackupError> {
        let objects: Vec<_> = self
            .client
            .list(Some(&self.path(folder)))
            .try_collect()
            .await
            .map_err(self.failed("list", folder))?;
        let prefix = self.path("");
        let mut names: Vec<String> = objects
            .iter()
            .filter_map(|object| {
                let parts: Vec<_> = object.location.prefix_match(&prefix)?.collect();
                Some(parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/"))
            })
            .collect();
        names.sort();
        Ok(names)
    }

    async fn delete(&self, name: &str) -> Result<(), BackupError> {
        match self.client.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", name)(error)),
        }
    }
}
