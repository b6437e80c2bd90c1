//! One OpenID provider and its keys: fetched when they are needed, kept while the provider is away, fetched again when a token
//! names one that is not known, but no more often than [`GAP`], whoever sends such tokens.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_identity::oidc::{self, Discovery, KeySet, Person, Rejected, Rules};
use berth_runtime::Clock;
use tracing::{info, warn};

use super::fetch::{FetchError, Fetcher};
use crate::config::OidcProvider;

/// Between two fetches, whatever tokens say.
const GAP: Duration = Duration::from_secs(10);
/// Keys of that age are fetched again beside the calls that use them.
const FRESH: Duration = Duration::from_secs(3600);
/// Keys of that age are used no more: tokens of a provider that has been away so long have ended.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// Why a provider of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Its CA file cannot be read.
    #[error("read auth.oidc caFile {path}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is nothing to speak TLS with.
    #[error("speak TLS to the OpenID provider {issuer}: {problem}")]
    Tls {
        /// Which.
        issuer: String,
        /// What is wrong.
        problem: String,
    },
}

/// Why a token does not say who somebody is.
pub(super) enum NotVerified {
    /// It is not good.
    Rejected(Rejected),
    /// There are no keys to look at it with.
    NoKeys(String),
}

/// A provider.
pub(crate) struct Provider {
    config: OidcProvider,
    ca_pem: String,
    rules: Rules,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Held while something is fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: Arc<KeySet>,
    /// When the keys were fetched, by the monotonic clock.
    fetched: Option<Duration>,
    /// When fetching was last begun.
    tried: Option<Duration>,
    /// Why it failed last.
    problem: String,
}

impl Provider {
    pub(super) fn new(
        config: &OidcProvider,
        skew: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProviderError> {
        let ca_pem = match &config.ca_file {
            Some(path) => std::fs::read_to_string(path).map_err(|source| ProviderError::CaFile {
                path: path.clone(),
                source,
            })?,
            None => String::new(),
        };
        let fetcher = Fetcher::new(&config.issuer, &ca_pem).map_err(|problem| ProviderError::Tls {
            issuer: config.issuer.clone(),
            problem,
        })?;
        let rules = Rules {
            issuer: config.issuer.clone(),
            audiences: config.all_audiences(),
            username_claim: config.username_claim.clone(),
            username_prefix: config.username_prefix.clone(),
            groups_claim: config.groups_claim.clone(),
            groups_prefix: config.groups_prefix.clone(),
            skew,
        };
        Ok(Self {
            config: config.clone(),
            ca_pem,
            rules,
            fetcher,
            clock,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    pub(crate) const fn config(&self) -> &OidcProvider {
        &self.config
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn verify(self: &Arc<Self>, token: &str) -> Result<Person, NotVerified> {
        let verify = |keys: &KeySet| oidc::verify(token, keys, &self.rules, self.clock.now());
        let mut keys = self.usable();
        if keys.is_none() {
            self.refresh().await;
            keys = self.usable();
        } else if self.age().is_some_and(|age| age > FRESH) && !self.tried_just_now() {
            let provider = self.clone();
            tokio::spawn(async move { provider.refresh().await });
        }
        let Some(keys) = keys else {
            return Err(NotVerified::NoKeys(format!(
                "the keys of the OpenID provider {} cannot be fetched: {}; try again, or use another credential meanwhile",
                self.config.issuer,
                self.state().problem
            )));
        };
        match verify(&keys) {
            // It may have new ones.
            Err(Rejected::UnknownKey) => {
                self.refresh().await;
                verify(&self.usable().unwrap_or(keys)).map_err(NotVerified::Rejected)
            }
            outcome => outcome.map_err(NotVerified::Rejected),
        }
    }

    /// The keys, unless there are none or they are too old.
    fn usable(&self) -> Option<Arc<KeySet>> {
        self.age()
            .is_some_and(|age| age < OLDEST)
            .then(|| self.state().keys.clone())
    }

    fn age(&self) -> Option<Duration> {
        let fetched = self.state().fetched?;
        Some(self.clock.monotonic().saturating_sub(fetched))
    }

    fn tried_just_now(&self) -> bool {
        let now = self.clock.monotonic();
        self.state()
            .tried
            .is_some_and(|tried| now.saturating_sub(tried) < GAP)
    }

    /// Fetches the keys, unless that was tried just now. One fetch at a time; who comes meanwhile waits for it.
    pub(super) async fn refresh(&self) {
        let _fetching = self.fetching.lock().await;
        if self.tried_just_now() {
            return;
        }
        let now = self.clock.monotonic();
        self.state().tried = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                info!(issuer = %self.config.issuer, keys = keys.len(), "the keys of an OpenID provider were fetched");
                let mut state = self.state();
                state.keys = Arc::new(keys);
                state.fetched = Some(now);
                state.problem.clear();
            }
            Err(error) => {
                warn!(issuer = %self.config.issuer, %error, "the keys of an OpenID provider cannot be fetched; those that are known stay");
                self.state().problem = error.to_string();
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let url = Discovery::url(&self.config.issuer);
        let discovery = Discovery::parse(&self.fetcher.get(&url).await?, &self.config.issuer)?;
        let keys = KeySet::parse(&self.fetcher.get(&discovery.jwks_uri).await?)?;
        if keys.is_empty() {
            return Err(FetchError::NoKeys);
        }
        Ok(keys)
    }
}
