//! Who this agent is at the moment, for all who use it, and the only one who changes it: first in the cluster, then here.

use std::sync::Arc;

use berth_identity::{CaPins, Credential};
use tokio::sync::{Mutex, watch};

use super::{Identity, may_trust, secret::IdentitySecret};
use crate::error::Error;

/// The identity in use. Copies are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    identity: watch::Sender<Arc<Identity>>,
    secret: IdentitySecret,
    /// One change at a time, or one would undo the other.
    changing: Arc<Mutex<()>>,
}

impl Keeper {
    pub(crate) fn new(identity: Identity, secret: IdentitySecret) -> Self {
        Self {
            identity: watch::Sender::new(Arc::new(identity)),
            secret,
            changing: Arc::default(),
        }
    }

    pub(crate) fn current(&self) -> Arc<Identity> {
        self.identity.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Identity>> {
        self.identity.subscribe()
    }

    /// A new certificate for the same key, with whom to trust from now on, unless the hub has said since this was asked for as `asked`.
    pub(crate) async fn renewed(
        &self,
        asked: &Identity,
        certificate_pem: String,
        ca_pem: String,
    ) -> Result<(), Error> {
        self.change(|current| {
            let ca_pem = if current.ca_pem == asked.ca_pem {
                may_trust(&current.ca_pem, &ca_pem)?;
                ca_pem
            } else {
                current.ca_pem.clone()
            };
            Ok(Identity {
                credential: Credential {
                    certificate_pem,
                    key_pem: current.credential.key_pem.clone(),
                },
                ca_pem,
                ..current.clone()
            })
        })
        .await
    }

    /// Trusts these authorities and no others from the next connection on; gives their pins.
    pub(crate) async fn trust(&self, ca_pem: String) -> Result<CaPins, Error> {
        let pins = may_trust(&self.current().ca_pem, &ca_pem)?;
        self.change(|current| {
            may_trust(&current.ca_pem, &ca_pem)?;
            Ok(Identity {
                ca_pem,
                ..current.clone()
            })
        })
        .await?;
        Ok(pins)
    }

    /// Pins of the authorities that are trusted.
    pub(crate) fn pins(&self) -> Vec<String> {
        CaPins::of_pem(&self.current().ca_pem)
            .map(|pins| pins.iter().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    async fn change(&self, next: impl FnOnce(&Identity) -> Result<Identity, Error>) -> Result<(), Error> {
        let _one = self.changing.lock().await;
        let next = next(&self.current())?;
        self.secret.write(&next).await?;
        self.identity.send_replace(Arc::new(next));
        Ok(())
    }
}
