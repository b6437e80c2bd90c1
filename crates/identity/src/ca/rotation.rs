//! The authority that everybody holds, and its roll-over: a next key is made and trusted beside the present one, then signs
//! instead of it, and at last the old one is trusted no more.
//!
//! Where a roll-over stands is in the files: `next.crt` and `next.key` are the next one, `old.crt` is the one before. A process that
//! dies anywhere in between finds itself before or after the step.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use berth_model::{ClusterName, FleetId, Timestamp, Uid};
use berth_runtime::files::{self, Readable};

use super::{
    CaError, Credential, Issued,
    signer::{Files, Signer, file, read, remove, write},
};
use crate::{
    certificate,
    pin::{CaPin, CaPins},
};

/// The fleet's certificate authority.
pub struct Authority {
    dir: PathBuf,
    state: RwLock<Arc<State>>,
    /// One step of a roll-over at a time.
    step: Mutex<()>,
}

#[derive(Debug)]
struct State {
    signer: Signer,
    next: Option<Signer>,
    old: Option<Old>,
}

/// An authority that signs no more and is still trusted.
#[derive(Debug)]
struct Old {
    certificate_pem: String,
    pin: CaPin,
}

/// Where a roll-over stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is one authority.
    Single,
    /// The next one is trusted and does not sign yet.
    Announced {
        /// Its pin.
        next: CaPin,
    },
    /// The next one has become the one that signs; the old one is still trusted.
    Switched {
        /// The old one's pin.
        old: CaPin,
    },
}

/// Whose certificates are trusted: the authority that signs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Their certificates, PEM.
    pub pem: String,
    /// Their pins, in the same order.
    pub pins: CaPins,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("pins", &self.trust().pins)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority kept in `dir` as `ca.crt` and `ca.key` (0600); made at `now` when neither is there.
    ///
    /// # Errors
    /// [`CaError`] when the files cannot be read or written or do not belong together. A key without its certificate (a crash
    /// between the two writes) is completed; a certificate without its key is refused.
    pub fn load_or_create(dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        files::make_dir(dir).map_err(file("create", dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            state: RwLock::new(Arc::new(State::load(dir, now)?)),
            step: Mutex::new(()),
        })
    }

    fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The pin of the one that signs.
    #[must_use]
    pub fn pin(&self) -> CaPin {
        self.state().signer.pin
    }

    /// What an agent is told of this authority before it joins: the pin of the one that signs, and of the next one, which may sign
    /// the hub's certificate by the time the agent comes.
    #[must_use]
    pub fn pins(&self) -> CaPins {
        let state = self.state();
        let next = state.next.iter().map(|next| next.pin);
        CaPins::new(state.signer.pin, next)
    }

    /// The certificate of the one that signs, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.state().signer.certificate_pem.clone()
    }

    /// Whose certificates are trusted now.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let state = self.state();
        let next = state.next.iter().map(|next| (&next.certificate_pem, next.pin));
        let old = state.old.iter().map(|old| (&old.certificate_pem, old.pin));
        let mut pem = state.signer.certificate_pem.clone();
        let mut others = Vec::new();
        for (certificate, pin) in next.chain(old) {
            pem.push_str(certificate);
            others.push(pin);
        }
        Trust {
            pem,
            pins: CaPins::new(state.signer.pin, others),
        }
    }

    /// Where a roll-over stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let state = self.state();
        match (&state.next, &state.old) {
            (Some(next), _) => Stage::Announced { next: next.pin },
            (None, Some(old)) => Stage::Switched { old: old.pin },
            (None, None) => Stage::Single,
        }
    }

    /// Which of the trusted ones issued a certificate (DER).
    #[must_use]
    pub fn issuer_of(&self, certificate: &[u8]) -> Option<CaPin> {
        certificate::all(&self.trust().pem)
            .ok()?
            .iter()
            .find(|authority| certificate::issued_by(certificate, authority))
            .and_then(|authority| CaPin::of_der(authority).ok())
    }

    /// Makes the next authority; it is trusted from now on.
    ///
    /// # Errors
    /// A roll-over is under way; or the files cannot be written.
    pub fn begin_rotation(&self, now: Timestamp) -> Result<(), CaError> {
        self.step(now, |dir, state| match (&state.next, &state.old) {
            (None, None) => Signer::load_or_create(&Files::new(dir, "next"), now).map(drop),
            (Some(_), _) => Err(CaError::Stage("the next authority is made already")),
            (None, Some(_)) => Err(CaError::Stage(
                "the authority before this one is still trusted; retire it first",
            )),
        })
    }

    /// Forgets the next authority, which has signed nothing.
    ///
    /// # Errors
    /// There is none; or the files cannot be removed.
    pub fn abort_rotation(&self, now: Timestamp) -> Result<(), CaError> {
        self.step(now, |dir, state| match &state.next {
            Some(_) => Files::new(dir, "next").remove(),
            None => Err(CaError::Stage(
                "no next authority waits; what signs already cannot be taken back",
            )),
        })
    }

    /// The next authority signs from now on, and the present one is the old one.
    ///
    /// # Errors
    /// There is no next one; or the files cannot be written.
    pub fn finish_rotation(&self, now: Timestamp) -> Result<(), CaError> {
        self.step(now, |dir, state| match &state.next {
            // With this file it is decided; what is left is done when the files are read again.
            Some(_) => write(
                &dir.join("old.crt"),
                &state.signer.certificate_pem,
                Readable::ByAll,
            ),
            None => Err(CaError::Stage("there is no next authority")),
        })
    }

    /// The old authority is trusted no more.
    ///
    /// # Errors
    /// There is none; or its file cannot be removed.
    pub fn retire_old(&self, now: Timestamp) -> Result<(), CaError> {
        self.step(now, |dir, state| match (&state.next, &state.old) {
            (None, Some(_)) => remove(&dir.join("old.crt")),
            _ => Err(CaError::Stage("there is no old authority")),
        })
    }

    /// Changes the files, and reads them again.
    fn step(
        &self,
        now: Timestamp,
        change: impl FnOnce(&Path, &State) -> Result<(), CaError>,
    ) -> Result<(), CaError> {
        let _one = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        change(&self.dir, &self.state())?;
        let next = Arc::new(State::load(&self.dir, now)?);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// A certificate for a server of the hub: it may serve and nothing else. The authority's certificate follows it, so that
    /// an agent which only knows the pin can check the chain.
    ///
    /// # Errors
    /// [`CaError::BadServerName`] names what is neither a DNS name nor an IP address.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credential, CaError> {
        self.state().signer.issue_server(names, now, lifetime)
    }

    /// A user's certificate and key.
    ///
    /// # Errors
    /// [`CaError::BadUser`] when `user` is no DNS label.
    pub fn issue_client(
        &self,
        fleet: &FleetId,
        user: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credential, CaError> {
        self.state().signer.issue_client(fleet, user, now, lifetime)
    }

    /// An agent's certificate for the public key in `csr_der` (PKCS#10), whose signature must be by that key (ECDSA P-256).
    ///
    /// # Errors
    /// [`CaError::BadRequest`] when the request is malformed, too long, of another algorithm or not signed by its own key.
    pub fn issue_agent(
        &self,
        fleet: &FleetId,
        (cluster, uid): (&ClusterName, &Uid),
        csr_der: &[u8],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, CaError> {
        let signer = &self.state().signer;
        signer.issue_agent(
            fleet,
            cluster,
            uid,
            csr_der,
            now,
            lifetime.min(super::AGENT_LIFETIME),
        )
    }
}

impl State {
    fn load(dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        let (present, next, old) = (
            Files::new(dir, "ca"),
            Files::new(dir, "next"),
            dir.join("old.crt"),
        );
        // A certificate without its key is what is left of one that was forgotten.
        if read(&next.key)?.is_none() {
            next.remove()?;
        } else if read(&old)?.is_some() {
            // The step to the next one was decided, and not finished.
            Signer::load_or_create(&next, now)?.write(&present)?;
            next.remove()?;
        }
        let waiting = match read(&next.key)? {
            Some(_) => Some(Signer::load_or_create(&next, now)?),
            None => None,
        };
        let old = match read(&old)? {
            Some(certificate_pem) => Some(Old {
                pin: CaPin::of_pem(&certificate_pem)?,
                certificate_pem,
            }),
            None => None,
        };
        Ok(Self {
            signer: Signer::load_or_create(&present, now)?,
            next: waiting,
            old,
        })
    }
}
