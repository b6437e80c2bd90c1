//! The certificates of the hub's listeners and whom they trust, kept as they should be: renewed at half their life, and changed when
//! the authority is rolled over or somebody writes another certificate from outside.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_control::{Sessions, sessions::Trusted};
use berth_identity::{
    CaPins, Credential, Trust, ca, certificate,
    tls::{ServerCertificate, clients::ClientTrust},
};
use berth_model::{FleetId, Timestamp};
use berth_runtime::Clock;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    config::OutsideCertificate,
    error::HubError,
    home::{self, Home},
};

/// How often files and times are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What is served with, and how to keep it.
pub struct Upkeep {
    home: Arc<Home>,
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    about: About,
    /// What the API's listener shows.
    pub api: ServerCertificate,
    /// What the agents' listener shows.
    pub agents: ServerCertificate,
    /// Whose clients both trust.
    pub trust: ClientTrust,
    state: Mutex<State>,
}

/// What stays as it is while the hub runs.
pub struct About {
    /// Where `admin.yaml` is.
    pub data_dir: PathBuf,
    /// Which fleet.
    pub fleet: FleetId,
    /// Where the API is reached.
    pub api_url: String,
    /// Names in the hub's certificate.
    pub names: Vec<String>,
    /// A certificate from outside for the API.
    pub outside: Option<OutsideCertificate>,
}

struct State {
    pins: CaPins,
    renew_at: Timestamp,
    /// Fingerprint of what was last read from outside, good or not.
    outside: String,
    context: PathBuf,
}

impl Upkeep {
    /// Everything as it should be now.
    ///
    /// # Errors
    /// The authority cannot sign, `admin.yaml` cannot be written, or the certificate from outside is none.
    pub fn new(
        home: Arc<Home>,
        sessions: Sessions,
        clock: Arc<dyn Clock>,
        about: About,
    ) -> Result<Self, HubError> {
        let trust = home.authority.trust();
        let credential = server_certificate(&home, &about.names, clock.now())?;
        let state = State {
            pins: trust.pins.clone(),
            renew_at: renew_at(&credential),
            outside: String::new(),
            context: PathBuf::new(),
        };
        let upkeep = Self {
            api: ServerCertificate::new(&credential)?,
            agents: ServerCertificate::new(&credential)?,
            trust: ClientTrust::new(&trust.pem)?,
            state: Mutex::new(state),
            home,
            sessions,
            clock,
            about,
        };
        upkeep.sessions.set_trust(told(&trust));
        upkeep.look_outside()?;
        upkeep.write_context()?;
        Ok(upkeep)
    }

    /// The admin's context.
    pub fn admin_context(&self) -> PathBuf {
        self.state().context.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the listeners, the agents and the admin's context follow the authority as it is now.
    ///
    /// # Errors
    /// The authority cannot sign, or `admin.yaml` cannot be written. What was served with before stays.
    pub fn refresh(&self) -> Result<(), HubError> {
        let now = self.clock.now();
        let trust = self.home.authority.trust();
        {
            let state = self.state();
            if state.pins == trust.pins && now < state.renew_at {
                return Ok(());
            }
        }
        let credential = server_certificate(&self.home, &self.about.names, now)?;
        // First trusted, then shown: whoever comes in between is let in.
        self.trust.replace(&trust.pem)?;
        self.api.replace(&credential)?;
        self.agents.replace(&credential)?;
        self.sessions.set_trust(told(&trust));
        let mut state = self.state();
        state.renew_at = renew_at(&credential);
        state.pins = trust.pins;
        drop(state);
        info!(pins = %self.home.authority.trust().pins, "the hub shows a new certificate");
        self.write_context()
    }

    /// Looks again for as long as it runs.
    pub async fn run(&self) {
        loop {
            self.clock.sleep(LOOK).await;
            for done in [self.refresh(), self.look_outside()] {
                if let Err(error) = done {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the hub's certificates cannot be renewed; what was shown before stays, and it is tried again"
                    );
                }
            }
        }
    }

    /// Reads the certificate from outside when its files have changed.
    fn look_outside(&self) -> Result<(), HubError> {
        let Some(outside) = &self.about.outside else {
            return Ok(());
        };
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| HubError::OutsideFile {
                path: path.clone(),
                source,
            })
        };
        let credential = Credential {
            certificate_pem: read(&outside.cert_file)?,
            key_pem: Zeroizing::new(read(&outside.key_file)?),
        };
        let pair = Zeroizing::new(format!("{}{}", credential.certificate_pem, *credential.key_pem));
        let seen = certificate::fingerprint(pair.as_bytes());
        if self.state().outside == seen {
            return Ok(());
        }
        let names = self
            .api
            .show_outside(&credential)
            .map_err(|source| HubError::Outside {
                path: outside.cert_file.clone(),
                source,
            })?;
        // Only what is good counts as seen: certificate and key are written one after the other.
        self.state().outside = seen;
        info!(
            names = names.join(","),
            "the API shows the certificate from outside"
        );
        Ok(())
    }

    fn write_context(&self) -> Result<(), HubError> {
        let About {
            data_dir,
            fleet,
            api_url,
            outside,
            ..
        } = &self.about;
        let roots = match outside.as_ref().and_then(|outside| outside.ca_file.as_ref()) {
            Some(path) => std::fs::read_to_string(path).map_err(|source| HubError::OutsideFile {
                path: path.clone(),
                source,
            })?,
            None => String::new(),
        };
        let path = home::admin_context(data_dir, &self.home, fleet, api_url, &roots, self.clock.now())?;
        self.state().context = path;
        Ok(())
    }
}

fn told(trust: &Trust) -> Trusted {
    Trusted {
        pem: trust.pem.clone(),
        pins: trust.pins.iter().map(ToString::to_string).collect(),
    }
}

fn server_certificate(home: &Home, names: &[String], now: Timestamp) -> Result<Credential, HubError> {
    Ok(home.authority.issue_server(names, now, ca::SERVER_LIFETIME)?)
}

fn renew_at(credential: &Credential) -> Timestamp {
    // It was issued a moment ago, so it can be read; else it is looked at again at once.
    certificate::validity(&credential.certificate_pem).map_or(Timestamp::MIN, |validity| validity.renew_at())
}
