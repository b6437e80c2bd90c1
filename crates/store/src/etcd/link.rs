//! The way to etcd: one member at a time, the next one when it is away. It knows nothing of keys.
//!
//! Requests share one connection to the member that last answered. A watch has a connection of its own: one that is read
//! slowly fills its connection's window, and would hold up everything else on it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use etcd_client::{Channel, Client, ConnectOptions, Error};
use tokio::{sync::Mutex, time::timeout};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{
    error::{away, is_away, is_no_connection, is_old_session, meaning},
    options::{EtcdOptions, InvalidEtcdOptions},
};
use crate::error::StoreError;

/// The largest answer taken: a page of the largest values, or as much of a watch as a generously set up etcd sends at once.
pub(super) const MAX_ANSWER: usize = 64 << 20;
/// etcd closes connections that are pinged more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(6);

/// The members, and who asks.
pub(super) struct Link {
    endpoints: Vec<Endpoint>,
    clients: Vec<Mutex<Option<Client>>>,
    /// Which member is asked.
    at: AtomicUsize,
    options: ConnectOptions,
    tls: bool,
    pub(super) request_timeout: Duration,
}

impl Link {
    /// Checks everything and connects nothing.
    pub(super) fn new(options: &EtcdOptions) -> Result<Self, InvalidEtcdOptions> {
        options.check()?;
        let endpoints = options
            .endpoints
            .iter()
            .map(|url| endpoint(url, options))
            .collect::<Result<Vec<_>, _>>()?;
        // A member that has lost the others says so instead of waiting for them; and sessions that ran out are renewed.
        let mut connect = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let (Some(user), Some(password)) = (&options.user, &options.password) {
            connect = connect.with_user(user, password);
        }
        Ok(Self {
            clients: endpoints.iter().map(|_| Mutex::new(None)).collect(),
            endpoints,
            at: AtomicUsize::new(0),
            options: connect,
            tls: options.ca_pem.is_some(),
            request_timeout: options.request_timeout,
        })
    }

    /// Asks one member once: for what must not be done twice. The outcome is unknown when it is [`StoreError::Unavailable`].
    pub(super) async fn once<T, F>(
        &self,
        operation: &'static str,
        ask: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.once_within(self.request_timeout, operation, ask).await
    }

    /// As [`Self::once`], waiting no longer than `limit`.
    pub(super) async fn once_within<T, F>(
        &self,
        limit: Duration,
        operation: &'static str,
        ask: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.attempt(operation, limit, &ask).await
    }

    /// Asks one member after the other until one answers: for what may be asked any number of times.
    pub(super) async fn ask<T, F>(
        &self,
        operation: &'static str,
        ask: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let members = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        let mut tries = 0;
        loop {
            let answer = self
                .attempt(operation, self.request_timeout / members, &ask)
                .await;
            tries += 1;
            if tries >= members || !matches!(answer, Err(StoreError::Unavailable { .. })) {
                return answer;
            }
        }
    }

    async fn attempt<T, F>(
        &self,
        operation: &'static str,
        limit: Duration,
        ask: &(impl Fn(Client) -> F + Send + Sync),
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let at = self.at.load(Ordering::Relaxed);
        let answer = timeout(limit, async {
            let answer = ask(self.client(at).await?).await;
            match answer {
                Err(error) if is_old_session(&error) => {
                    self.clients[at].lock().await.take();
                    ask(self.client(at).await?).await
                }
                answer => answer,
            }
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_away(&error) {
                    self.turn(at);
                }
                Err(self.explain(operation, error))
            }
            Err(_) => {
                self.turn(at);
                Err(away(operation, format!("no answer within {limit:?}")))
            }
        }
    }

    /// A connection of its own to the member that is asked now.
    pub(super) async fn alone(&self) -> Result<Client, StoreError> {
        let at = self.at.load(Ordering::Relaxed);
        match timeout(self.request_timeout, self.connect(at)).await {
            Ok(client) => client.map_err(|error| self.explain("connect", error)),
            Err(_) => {
                self.turn(at);
                Err(away(
                    "connect",
                    format!("no answer within {:?}", self.request_timeout),
                ))
            }
        }
    }

    fn explain(&self, operation: &'static str, error: Error) -> StoreError {
        let no_connection = is_no_connection(&error);
        match meaning(operation, error) {
            // A server that is shown no certificate, or a stranger's, closes the connection without saying why.
            StoreError::Unavailable { operation, problem } if no_connection && self.tls => away(
                operation,
                format!("{problem}; does etcd trust the client certificate?"),
            ),
            error => error,
        }
    }

    /// Asks another member from now on.
    pub(super) fn turn_away(&self) {
        self.turn(self.at.load(Ordering::Relaxed));
    }

    /// Leaves the member `from`, unless somebody else did already.
    fn turn(&self, from: usize) {
        let next = (from + 1) % self.endpoints.len();
        let _ = self
            .at
            .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn client(&self, at: usize) -> Result<Client, Error> {
        let mut client = self.clients[at].lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let new = self.connect(at).await?;
        *client = Some(new.clone());
        Ok(new)
    }

    /// With a user this signs in; without it nothing is sent.
    async fn connect(&self, at: usize) -> Result<Client, Error> {
        let channel = Channel::Tonic(self.endpoints[at].connect_lazy());
        Client::from_channel(channel, Some(self.options.clone())).await
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

fn endpoint(url: &str, options: &EtcdOptions) -> Result<Endpoint, InvalidEtcdOptions> {
    let wrong = |what: &str, error: tonic::transport::Error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        InvalidEtcdOptions::new(what, reason)
    };
    let mut endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| wrong(url, error))?
        .connect_timeout(options.request_timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY / 2)
        .tcp_nodelay(true);
    if url.starts_with("https://") {
        let Some(ca) = &options.ca_pem else {
            let problem = "needs the certificate of the authority that signs etcd's certificates";
            return Err(InvalidEtcdOptions::new("TLS", problem));
        };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let (Some(certificate), Some(key)) = (&options.cert_pem, &options.key_pem) {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|error| wrong("certificates", error))?;
    }
    Ok(endpoint)
}
