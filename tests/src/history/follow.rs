//! Clients that watch all tenants and write down what they are told.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use berth_proto::v1;
use prost::Message as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::record::{Event, Recorder};
use super::run::{Hubs, id_of};

/// Before a stream that ended is opened again.
const PAUSE: Duration = Duration::from_millis(20);

/// A client that watches.
pub(super) struct Watcher {
    pub(super) number: usize,
    pub(super) hubs: Hubs,
    pub(super) recorder: Arc<Recorder>,
    pub(super) random: StdRng,
    /// When there is nothing more to see.
    pub(super) quiet: CancellationToken,
}

impl Watcher {
    /// Watches all tenants; a stream that ends, and now and then one that does not, is opened again where it was.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut resume_token = String::new();
        while !self.quiet.is_cancelled() {
            let patience = self.random.random_range(1..200);
            if self.stream(&mut resume_token, patience).await.is_err() {
                self.hubs.next();
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn stream(&self, resume_token: &mut String, patience: usize) -> Result<(), Status> {
        let request = v1::WatchTenantsRequest {
            resume_token: resume_token.clone(),
            ..v1::WatchTenantsRequest::default()
        };
        let mut tenants = self.hubs.api().tenants();
        let mut events = tokio::select! {
            opened = tenants.watch_tenants(request) => opened?.into_inner(),
            () = self.quiet.cancelled() => return Ok(()),
        };
        let opened = Event::Opened {
            hub: self.hubs.at(),
            resuming: !resume_token.is_empty(),
        };
        self.recorder.event(self.number, opened);
        let mut heard = 0;
        // A snapshot is read whole: given up half-way it would begin anew each time.
        while heard < patience || resume_token.is_empty() {
            let message = tokio::select! {
                message = events.message() => message?,
                () = self.quiet.cancelled() => return Ok(()),
            };
            let Some(message) = message else {
                return Ok(());
            };
            heard += 1;
            // As the API says: while a snapshot is not complete there is nothing to resume from.
            let snapshot = message.resume_token.is_empty();
            resume_token.clone_from(&message.resume_token);
            if let Some(event) = message.event {
                self.recorder.event(self.number, self.event(event, snapshot));
            }
        }
        Ok(())
    }

    fn event(&self, event: v1::watch_tenants_response::Event, snapshot: bool) -> Event {
        use v1::watch_tenants_response::Event as E;
        match event {
            E::Upserted(tenant) => {
                let mut hasher = DefaultHasher::new();
                tenant.encode_to_vec().hash(&mut hasher);
                Event::Upserted {
                    seen: self.recorder.seen(&tenant),
                    tenant: id_of(&tenant),
                    whole: hasher.finish(),
                    snapshot,
                }
            }
            E::Deleted(name) => Event::Deleted {
                tenant: name.trim_start_matches("tenants/").to_owned(),
            },
            E::SnapshotEnd(_) => Event::SnapshotEnd,
        }
    }
}
