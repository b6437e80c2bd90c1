//! What calls show besides, or instead of, a client certificate: `authorization: Bearer`. Never shown in `Debug`.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use berth_wire::context::Context;
use tonic::{Request, Status, metadata::MetadataValue, service::Interceptor};

use crate::{
    exit::Failure,
    login::{Keeper, Tokens},
};

/// Which cluster's ServiceAccount a token is of.
const CLUSTER_HEADER: &str = "x-berth-cluster";
/// The longest file that is read for a token.
const LONGEST: u64 = 16 * 1024;

/// Adds the credential to every call.
#[derive(Clone)]
pub(crate) struct Bearer(Arc<Source>);

enum Source {
    /// A certificate, or nothing at all.
    Nothing,
    /// From the environment.
    Given(String),
    /// Read for every call, since others write it anew.
    File { path: PathBuf, cluster: String },
    /// Somebody who has signed in.
    Person {
        keeper: Keeper,
        current: Mutex<Option<Tokens>>,
    },
}

impl Bearer {
    /// No token.
    pub(crate) fn nothing() -> Self {
        Self(Arc::new(Source::Nothing))
    }

    /// This one.
    pub(crate) fn given(token: String) -> Self {
        Self(Arc::new(Source::Given(token)))
    }

    /// What the context says; people's tokens are beside it.
    pub(crate) fn of(context: &Context, keeper: Option<Keeper>) -> Self {
        Self(Arc::new(match (&context.token_file, keeper) {
            (Some(path), _) => Source::File {
                path: path.clone(),
                cluster: context.token_cluster.clone(),
            },
            (None, Some(keeper)) => Source::Person {
                keeper,
                current: Mutex::default(),
            },
            (None, None) => Source::Nothing,
        }))
    }

    /// Makes sure that the token is good for the next call.
    ///
    /// # Errors
    /// Nobody has signed in, or the sign-in has ended.
    pub(crate) async fn fresh(&self) -> Result<(), Failure> {
        let Source::Person { keeper, current } = self.0.as_ref() else {
            return Ok(());
        };
        let known = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = keeper.good(known).await?;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }

    fn token(&self) -> Result<Option<(String, &str)>, Status> {
        Ok(match self.0.as_ref() {
            Source::Nothing => None,
            Source::Given(token) => Some((token.clone(), "")),
            Source::File { path, cluster } => {
                let text = read(path).map_err(|error| {
                    Status::unauthenticated(format!("read tokenFile {}: {error}", path.display()))
                })?;
                Some((text, cluster))
            }
            Source::Person { current, .. } => current
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map(|tokens| (tokens.id_token.clone(), "")),
        })
    }
}

fn read(path: &PathBuf) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let Some((token, cluster)) = self.token()? else {
            return Ok(request);
        };
        let unfit =
            |what: &str| Status::unauthenticated(format!("the {what} has characters that none can have"));
        let mut value =
            MetadataValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| unfit("token"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        if !cluster.is_empty() {
            let value = MetadataValue::try_from(cluster).map_err(|_| unfit("tokenCluster"))?;
            request.metadata_mut().insert(CLUSTER_HEADER, value);
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_ref() {
            Source::Nothing => "Bearer(nothing)",
            Source::Given(_) => "Bearer(given)",
            Source::File { .. } => "Bearer(file)",
            Source::Person { .. } => "Bearer(person)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_as_bearer_and_shown_nowhere() {
        let mut bearer = Bearer::given("PLANTED\n".into());
        let request = bearer.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer PLANTED");
        assert!(!format!("{bearer:?} {request:?}").contains("PLANTED"));
        let unfit = Bearer::given("PLANTED\u{7}".into())
            .call(Request::new(()))
            .unwrap_err();
        assert!(!format!("{unfit:?}").contains("PLANTED"));
    }

    #[test]
    fn a_token_file_is_read_for_every_call() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let context = Context {
            token_file: Some(path.clone()),
            token_cluster: "eu-1".into(),
            ..Context::default()
        };
        let mut bearer = Bearer::of(&context, None);
        assert!(
            bearer
                .call(Request::new(()))
                .unwrap_err()
                .message()
                .contains("tokenFile")
        );
        for token in ["one", "two"] {
            fs::write(&path, token).unwrap();
            let request = bearer.call(Request::new(())).unwrap();
            let sent = request.metadata().get("authorization").unwrap();
            assert_eq!(sent.to_str().unwrap(), format!("Bearer {token}"));
            assert_eq!(request.metadata().get(CLUSTER_HEADER).unwrap(), "eu-1");
        }
    }
}
