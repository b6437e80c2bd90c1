//! Continuous backups of the store, written by the hub that leads.

use std::{sync::Arc, time::Duration};

use berth_model::FleetId;
use berth_runtime::{CancellationToken, Clock};
use berth_store::backup::{Access, BackupError, Backups, Location, Options, Place, Source, Status};
use tokio::sync::watch;

use crate::{config::Backup, home::Home};

/// Where backups go and how often; nothing is opened yet.
pub struct Backing {
    place: Arc<dyn Place>,
    options: Options,
    status: watch::Sender<Option<watch::Receiver<Status>>>,
}

impl Backing {
    /// As `config` has it; none when no backups are wanted.
    ///
    /// # Errors
    /// The place cannot be used, which is better known before a backup is needed.
    pub(crate) fn new(config: Option<&Backup>) -> Result<Option<Self>, BackupError> {
        let Some(config) = config else {
            return Ok(None);
        };
        let place = config.to.parse::<Location>()?.open(&access())?;
        let options = Options {
            interval: Duration::from_secs(config.interval_seconds),
            keep_chains: config.keep_chains,
            keep_for: Duration::from_secs(config.keep_days * 24 * 3600),
            ..Options::default()
        };
        Ok(Some(Self {
            place,
            options,
            status: watch::Sender::new(None),
        }))
    }

    /// How the backup stands while this hub writes it.
    pub(crate) fn status(&self) -> Option<Status> {
        self.status
            .borrow()
            .as_ref()
            .map(|status| status.borrow().clone())
    }

    /// Writes backups until `cancel`: one hub at a time may, so only while it leads.
    pub(crate) async fn write(
        &self,
        home: &Home,
        fleet: &FleetId,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) {
        let source = Source {
            store: home.store.clone(),
            fleet: Some(fleet.to_string()),
            // Where the store has no name of its own, the fleet's tells it from others.
            incarnation: match home.incarnation() {
                "" => fleet.to_string(),
                incarnation => incarnation.to_owned(),
            },
        };
        let backups = Backups::new(source, self.place.clone(), clock, self.options.clone());
        self.status.send_replace(Some(backups.status()));
        backups.run(cancel).await;
        self.status.send_replace(None);
    }
}

/// What the environment says of AWS, as every tool of AWS takes it.
fn access() -> Access {
    Access::from_settings(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}
