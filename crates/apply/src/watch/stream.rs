//! One watch: a complete look, then every change, for ever. A break is followed by going on where it broke, or by another look.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_runtime::{
    bell::Listener,
    clock::Clock,
    retry::{Backoff, Policy},
};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use kube::core::Status;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::request::{Caller, RequestError};

/// Objects of one page.
const PAGE: u32 = 250;
/// The server ends a watch after that long, so that a dead one is noticed.
const WATCH_SECONDS: u64 = 290;

/// A kind that could not be looked at for so long is lost sight of.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// What is watched, and who takes it in.
pub(crate) trait Target: Send + Sync + 'static {
    /// One object.
    type Item: DeserializeOwned + Send;
    /// What tells one object from another.
    type Key: Ord + Send;

    /// The path of the collection.
    fn collection(&self) -> String;
    /// More of the query, each part starting with `&`.
    fn query(&self) -> String;
    /// Whether only metadata is of interest.
    fn metadata_only(&self) -> bool;
    /// The version of an object.
    fn version(item: &Self::Item) -> u64;
    /// An object is there, or changed. Says which, when it is of interest.
    fn there(&self, item: &Self::Item) -> Option<Self::Key>;
    /// An object ended.
    fn ended(&self, item: &Self::Item);
    /// Nothing happened up to that version.
    fn advanced(&self, version: u64);
    /// A complete look as of that version showed these and nothing else.
    fn looked(&self, version: u64, present: BTreeSet<Self::Key>);
    /// It could not be looked at for a while: what was shown is old.
    fn lost(&self) {}
    /// For the log.
    fn name(&self) -> &'static str;
}

#[derive(Deserialize)]
#[serde(bound = "I: DeserializeOwned")]
struct Page<I> {
    metadata: PageMetadata,
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    items: Vec<I>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    more: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// How a watch ended.
enum Ended {
    /// Go on from this version.
    At {
        /// Where it had come.
        version: String,
        /// Whether it showed anything.
        moved: bool,
    },
    /// The past is gone: look again.
    Expired,
}

/// Watches until dropped.
pub(crate) async fn run<T: Target>(target: T, caller: Caller, clock: Arc<dyn Clock>, mut epoch: Listener) {
    let watch = Watch {
        target,
        caller,
        looked: AtomicBool::new(false),
    };
    let mut failing_since = None;
    let mut backoff = Backoff::new(&Policy::new(Duration::from_millis(200), Duration::from_secs(20)));
    let mut from = None;
    loop {
        epoch.catch_up();
        let deadline = Duration::from_secs(WATCH_SECONDS + 20);
        let outcome = tokio::select! {
            biased;
            outcome = watch.once(from.take()) => outcome,
            // Contact was lost and is back: this stream may be dead without knowing it. So may one past its time.
            () = epoch.hear() => Ok(Ended::Expired),
            () = clock.sleep(deadline) => Ok(Ended::Expired),
        };
        let looked = watch.looked.swap(false, Ordering::Relaxed);
        if looked || outcome.is_ok() {
            failing_since = None;
        }
        match outcome {
            Ok(Ended::At { version, moved }) => {
                from = Some(version);
                if moved {
                    backoff.reset();
                } else {
                    // A server that ends watches at once must not be asked in a hot loop.
                    clock.sleep(backoff.next_delay()).await;
                }
            }
            Ok(Ended::Expired) => clock.sleep(backoff.next_delay()).await,
            Err(error) => {
                let now = clock.monotonic();
                if now.saturating_sub(*failing_since.get_or_insert(now)) >= LOST_AFTER {
                    watch.target.lost();
                }
                let delay = backoff.next_delay_after(error.retry_after().unwrap_or_default());
                // The first failures are ordinary while a server restarts.
                if backoff.waits() == 4 {
                    tracing::warn!(of = watch.target.name(), %error, "watch does not work; trying on");
                } else {
                    tracing::debug!(of = watch.target.name(), %error, "watch broke");
                }
                clock.sleep(delay).await;
            }
        }
    }
}

struct Watch<T> {
    target: T,
    caller: Caller,
    /// A complete look went well since this was last asked.
    looked: AtomicBool,
}

impl<T: Target> Watch<T> {
    async fn once(&self, from: Option<String>) -> Result<Ended, RequestError> {
        let from = match from {
            Some(version) => version,
            None => self.look().await?,
        };
        self.follow(from).await
    }

    /// A complete look; returns its version.
    async fn look(&self) -> Result<String, RequestError> {
        let mut present = BTreeSet::new();
        let mut more = String::new();
        loop {
            let path = format!(
                "{}?limit={PAGE}{}&continue={more}",
                self.target.collection(),
                self.target.query()
            );
            let page: Page<T::Item> = self.caller.page(path, self.target.metadata_only()).await?;
            present.extend(page.items.iter().filter_map(|item| self.target.there(item)));
            if page.metadata.more.is_empty() {
                let version = page.metadata.resource_version;
                self.target.looked(version.parse().unwrap_or(0), present);
                self.looked.store(true, Ordering::Relaxed);
                return Ok(version);
            }
            more = page.metadata.more;
        }
    }

    async fn follow(&self, from: String) -> Result<Ended, RequestError> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={from}{}",
            self.target.collection(),
            self.target.query()
        );
        let stream = match self.caller.watch(path, self.target.metadata_only()).await {
            Ok(body) => body.into_data_stream().map_err(std::io::Error::other),
            Err(error) if error.is_expired() => return Ok(Ended::Expired),
            Err(error) => return Err(error),
        };
        let mut reached = from;
        let mut moved = false;
        let stream = std::pin::pin!(stream.into_async_read());
        let mut lines = stream.lines();
        while let Some(line) = lines.next().await {
            // A stream that breaks is continued from where it had come.
            let Ok(line) = line else { break };
            self.caller.heard();
            let line: Line<'_> = serde_json::from_str(&line).map_err(malformed)?;
            if line.r#type == "ERROR" {
                let status: Status = serde_json::from_str(line.object.get()).map_err(malformed)?;
                let error = RequestError::Refused(status.boxed());
                return if error.is_expired() {
                    Ok(Ended::Expired)
                } else {
                    Err(error)
                };
            }
            let item: T::Item = serde_json::from_str(line.object.get()).map_err(malformed)?;
            match line.r#type {
                "BOOKMARK" => self.target.advanced(T::version(&item)),
                "DELETED" => self.target.ended(&item),
                _ => drop(self.target.there(&item)),
            }
            reached = T::version(&item).to_string();
            moved = true;
        }
        Ok(Ended::At {
            version: reached,
            moved,
        })
    }
}

fn malformed(error: serde_json::Error) -> RequestError {
    RequestError::Malformed(error.to_string())
}
