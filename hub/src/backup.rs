//! Continuous backups of the store, written by the hub that leads.

use std::{path::Path, sync::Arc, time::Duration};

use berth_identity::key_backup::{self, KeyBackupError, Recipient};
use berth_model::FleetId;
use berth_runtime::{CancellationToken, Clock};
use berth_store::backup::{Access, BackupError, Backups, Location, Options, Place, Source, Status};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{config::Backup, home::Home};

/// Where backups go and how often; nothing is opened yet.
pub struct Backing {
    place: Arc<dyn Place>,
    options: Options,
    recipient: Option<Recipient>,
    status: watch::Sender<Option<watch::Receiver<Status>>>,
}

/// Between two looks at whether the keys have changed, and after a failure.
const KEYS: Duration = Duration::from_secs(30);

/// Why backups cannot be made as configured.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// Their place.
    #[error("the place of backups (backup.to)")]
    Place(#[from] BackupError),
    /// To whom the keys are encrypted.
    #[error("backup.recipient")]
    Recipient(#[from] KeyBackupError),
}

impl Backing {
    /// As `config` has it; none when no backups are wanted.
    ///
    /// # Errors
    /// The place cannot be used, which is better known before a backup is needed.
    pub(crate) fn new(config: Option<&Backup>) -> Result<Option<Self>, BackingError> {
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
        let recipient = config.recipient.as_deref().map(str::parse).transpose()?;
        Ok(Some(Self {
            place,
            options,
            recipient,
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
        let backups = Backups::new(source, self.place.clone(), clock.clone(), self.options.clone());
        self.status.send_replace(Some(backups.status()));
        tokio::join!(
            backups.run(cancel.clone()),
            self.write_keys(home, &*clock, &cancel)
        );
        self.status.send_replace(None);
    }

    /// To whom the hub's keys are encrypted, when somebody is named.
    pub(crate) const fn recipient(&self) -> Option<&Recipient> {
        self.recipient.as_ref()
    }

    /// Puts the keys beside the backup, and again when they have changed.
    async fn write_keys(&self, home: &Home, clock: &dyn Clock, cancel: &CancellationToken) {
        let (Some(recipient), Some(dir)) = (&self.recipient, &home.keys) else {
            info!("backups hold no keys: nobody is named to encrypt them to (backup.recipient)");
            return;
        };
        let mut kept = None;
        loop {
            match self.keys_into_place(dir, recipient, &mut kept).await {
                Ok(()) => {}
                Err(error) => warn!(%error, "the keys are not in the backup; trying again"),
            }
            if cancel.run_until_cancelled(clock.sleep(KEYS)).await.is_none() {
                return;
            }
        }
    }

    async fn keys_into_place(
        &self,
        dir: &Path,
        recipient: &Recipient,
        kept: &mut Option<[u8; 32]>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = key_backup::digest(dir)?;
        if *kept == Some(now) {
            return Ok(());
        }
        let sealed = key_backup::seal(dir, recipient)?;
        self.place.put(key_backup::FILE, sealed.into()).await?;
        *kept = Some(now);
        info!(place = self.place.name(), "the keys are in the backup, encrypted");
        Ok(())
    }
}

/// What the environment says of AWS, as every tool of AWS takes it.
fn access() -> Access {
    Access::from_settings(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}
