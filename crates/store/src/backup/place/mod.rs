//! Where backups are kept: named blobs that are written whole or not at all.

#[cfg(feature = "s3")]
mod bucket;
mod directory;

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::directory::Directory;
use super::BackupError;

/// A place for named blobs. Names are paths such as `chains/a/manifest.json`.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync + 'static {
    /// How people name it, without credentials.
    fn name(&self) -> String;

    /// Writes a blob, in place of one of the same name. When this returns it is there as a whole and stays; until then the one before is.
    ///
    /// # Errors
    /// [`BackupError::Place`].
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BackupError>;

    /// Reads a blob; none when there is none.
    ///
    /// # Errors
    /// [`BackupError::Place`].
    async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError>;

    /// The names of all blobs below a folder, in order.
    ///
    /// # Errors
    /// [`BackupError::Place`].
    async fn list(&self, folder: &str) -> Result<Vec<String>, BackupError>;

    /// Takes a blob away; one that is not there is no error.
    ///
    /// # Errors
    /// [`BackupError::Place`].
    async fn delete(&self, name: &str) -> Result<(), BackupError>;
}

/// Which place, as it is written: a path, `file:///DIR`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine, or what is mounted there.
    Directory(PathBuf),
    /// A bucket of S3 or of something that speaks like it.
    Bucket {
        /// Its name.
        bucket: String,
        /// What all names in it begin with.
        prefix: String,
        /// Of the server, when it is not AWS.
        endpoint: Option<String>,
        /// Where it is.
        region: Option<String>,
    },
}

/// Whatever says how to reach a bucket and who asks: the settings that AWS tools read from the environment, `AWS_ACCESS_KEY_ID`,
/// `AWS_WEB_IDENTITY_TOKEN_FILE` and so on. None at all means the machine's own role.
#[derive(Clone, Default)]
pub struct Access(Vec<(String, String)>);

impl Access {
    /// Takes those of the settings that are for AWS.
    pub fn from_settings(settings: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(
            settings
                .into_iter()
                .filter(|(name, _)| name.starts_with("AWS_"))
                .collect(),
        )
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl std::str::FromStr for Location {
    type Err = BackupError;

    fn from_str(text: &str) -> Result<Self, BackupError> {
        let refuse = |problem: &str| {
            Err(BackupError::Location {
                location: text.to_owned(),
                problem: problem.to_owned(),
            })
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() {
                refuse("it is empty")
            } else {
                Ok(Self::Directory(text.into()))
            };
        };
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Directory(rest.into())),
            "file" => refuse("a file URL has three slashes, file:///DIR"),
            "s3" => {
                let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
                let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
                if bucket.is_empty() {
                    return refuse("it names no bucket");
                }
                let (mut endpoint, mut region) = (None, None);
                for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                    match pair.split_once('=') {
                        Some(("endpoint", url))
                            if url.starts_with("http://") || url.starts_with("https://") =>
                        {
                            endpoint = Some(url.to_owned());
                        }
                        Some(("endpoint", _)) => return refuse("endpoint is no http:// or https:// URL"),
                        Some(("region", name)) => region = Some(name.to_owned()),
                        _ => return refuse("it takes endpoint=URL and region=NAME"),
                    }
                }
                Ok(Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                    endpoint,
                    region,
                })
            }
            _ => refuse("only file:// and s3:// are known"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "{}", dir.display()),
            Self::Bucket { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Location {
    /// The place, ready to be asked. Nothing is asked yet.
    ///
    /// # Errors
    /// [`BackupError::Location`] when it cannot be used as it is written.
    pub fn open(&self, access: &Access) -> Result<Arc<dyn Place>, BackupError> {
        match self {
            Self::Directory(dir) => Ok(Arc::new(Directory::new(dir))),
            #[cfg(feature = "s3")]
            Self::Bucket { .. } => Ok(Arc::new(bucket::Bucket::open(self, &access.0)?)),
            #[cfg(not(feature = "s3"))]
            Self::Bucket { .. } => {
                let _ = access;
                Err(BackupError::Location {
                    location: self.to_string(),
                    problem: "this build has no S3".into(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_or_one_of_two_urls() {
        let bucket = |prefix: &str, endpoint: Option<&str>, region: Option<&str>| Location::Bucket {
            bucket: "b".into(),
            prefix: prefix.into(),
            endpoint: endpoint.map(Into::into),
            region: region.map(Into::into),
        };
        for (text, location) in [
            ("/var/backups", Location::Directory("/var/backups".into())),
            ("backups", Location::Directory("backups".into())),
            ("file:///var/backups", Location::Directory("/var/backups".into())),
            ("s3://b", bucket("", None, None)),
            ("s3://b/x/y/", bucket("x/y", None, None)),
            (
                "s3://b/x?endpoint=http://127.0.0.1:9000&region=eu-west-1",
                bucket("x", Some("http://127.0.0.1:9000"), Some("eu-west-1")),
            ),
        ] {
            assert_eq!(text.parse::<Location>().unwrap(), location, "{text}");
        }
        for wrong in [
            "",
            "file://x",
            "s3://",
            "s3:///x",
            "s3://b?endpoint=x",
            "s3://b?colour=red",
            "gs://b",
        ] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let access = Access::from_settings([
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
        ]);
        assert_eq!(format!("{access:?}"), "[\"AWS_SECRET_ACCESS_KEY\"]");
    }
}
