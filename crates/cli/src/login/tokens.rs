//! Somebody's tokens: beside the context file, for their owner alone (0600), renewed when they are about to end.
//!
//! Providers give a refresh token once: who renews holds a lock, so that commands beside each other do not spend it twice.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use berth_identity::oidc::{self, Discovery};
use berth_runtime::clock::{Clock as _, SystemClock};
use berth_wire::context::SignIn;
use serde::{Deserialize, Serialize};

use super::http::Http;
use crate::exit::{Exit, Failure};

/// A token that ends sooner is renewed first, in seconds.
const MARGIN: i64 = 30;

/// The tokens of a sign-in. No `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tokens {
    issuer: String,
    client_id: String,
    /// What the hub is shown.
    pub(crate) id_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Unix seconds.
    expires_at: i64,
}

/// What a token endpoint answers (RFC 6749, 5.1; OpenID Connect Core, 3.1.3.3).
#[derive(Deserialize)]
pub(super) struct Answer {
    id_token: Option<String>,
    refresh_token: Option<String>,
}

/// Keeps one context's tokens.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    sign_in: SignIn,
}

impl Tokens {
    /// Reads what a token endpoint answered. It came from the provider itself, over TLS, so that the claims may be believed without
    /// looking at the signature (OpenID Connect Core, 3.1.3.7); the hub looks at it.
    pub(super) fn of(
        answer: Answer,
        sign_in: &SignIn,
        nonce: Option<&str>,
        http: &Http,
    ) -> Result<Self, Failure> {
        let id_token = answer
            .id_token
            .ok_or_else(|| http.failed("it gave no ID token; the scopes of auth.oidc must have openid"))?;
        let claims =
            oidc::claims_unverified(&id_token).ok_or_else(|| http.failed("its ID token is malformed"))?;
        let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
        if text("iss") != Some(&sign_in.issuer) {
            return Err(http.failed("its ID token is of another issuer"));
        }
        if nonce.is_some() && text("nonce") != nonce {
            return Err(http.failed("its ID token is of another sign-in (nonce); sign in again"));
        }
        let expires_at = claims
            .get("exp")
            .and_then(serde_json::Value::as_i64)
            .ok_or_else(|| http.failed("its ID token does not say when it ends"))?;
        Ok(Self {
            issuer: sign_in.issuer.clone(),
            client_id: sign_in.client_id.clone(),
            id_token,
            refresh_token: answer.refresh_token,
            expires_at,
        })
    }

    fn good_for(&self) -> i64 {
        self.expires_at
            .saturating_sub(SystemClock::new().now().as_second())
    }
}

impl Keeper {
    /// Of the context at that path.
    pub(crate) fn new(context: &Path, sign_in: SignIn) -> Self {
        Self {
            path: context.with_extension("tokens.json"),
            sign_in,
        }
    }

    /// Tokens that are good for the next call: those that are known, those of the file, or new ones.
    ///
    /// # Errors
    /// Nobody has signed in, or the sign-in has ended.
    pub(crate) async fn good(&self, known: Option<Tokens>) -> Result<Tokens, Failure> {
        if let Some(known) = known.filter(|known| known.good_for() > MARGIN) {
            return Ok(known);
        }
        let tokens = self.load()?;
        if tokens.good_for() > MARGIN {
            return Ok(tokens);
        }
        let _lock = self.lock()?;
        // Another command may have renewed them meanwhile.
        let tokens = self.load()?;
        if tokens.good_for() > MARGIN {
            return Ok(tokens);
        }
        match self.renew(&tokens).await {
            Ok(renewed) => Ok(renewed),
            // While the provider is away, what is left of the old one serves.
            Err(failure) if failure.exit == Exit::Unavailable && tokens.good_for() > 0 => Ok(tokens),
            Err(failure) => Err(failure),
        }
    }

    async fn renew(&self, tokens: &Tokens) -> Result<Tokens, Failure> {
        let Some(refresh_token) = &tokens.refresh_token else {
            return Err(self.ended("its ID token has expired and the provider gave no refresh token"));
        };
        let http = Http::new(&self.sign_in.issuer, &self.sign_in.ca_pem)?;
        let discovery = discover(&http, &self.sign_in.issuer).await?;
        let endpoint = discovery
            .token_endpoint
            .ok_or_else(|| http.failed("it has no token endpoint"))?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.as_str()),
            ("client_id", self.sign_in.client_id.as_str()),
        ];
        match http.post::<Answer>(&endpoint, &fields).await? {
            Ok(answer) => {
                let mut renewed = Tokens::of(answer, &self.sign_in, None, &http)?;
                // A provider that gives no new one lets the old one be used again (RFC 6749, 6).
                if renewed.refresh_token.is_none() {
                    renewed.refresh_token.clone_from(&tokens.refresh_token);
                }
                self.store(&renewed)?;
                Ok(renewed)
            }
            Err(refusal) if refusal.error == "invalid_grant" => {
                Err(self.ended("the provider does not renew it any more"))
            }
            Err(refusal) => Err(http.refused(&refusal, "sign in again with berth login")),
        }
    }

    fn ended(&self, why: &str) -> Failure {
        Failure::new(
            Exit::Failure,
            format!(
                "the sign-in at {} has ended: {why}; sign in again with berth login",
                self.sign_in.issuer
            ),
        )
    }

    fn load(&self) -> Result<Tokens, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure::new(
                    Exit::Failure,
                    "nobody has signed in; sign in with berth login",
                ));
            }
            Err(error) => return Err(self.unusable(&error)),
        };
        // The parser's words would show what is there.
        let tokens: Tokens = serde_json::from_str(&text).map_err(|_| {
            Failure::new(
                Exit::Failure,
                format!(
                    "{} cannot be read; sign in again with berth login",
                    self.path.display()
                ),
            )
        })?;
        if tokens.issuer != self.sign_in.issuer || tokens.client_id != self.sign_in.client_id {
            return Err(self.ended("the context names another provider since"));
        }
        Ok(tokens)
    }

    /// Writes the tokens, whole or not at all.
    pub(super) fn store(&self, tokens: &Tokens) -> Result<(), Failure> {
        let text = serde_json::to_string(tokens).map_err(|error| self.unusable(&error.into()))?;
        write_private(&self.path, &text).map_err(|error| self.unusable(&error))
    }

    /// Forgets the tokens; what there was to give back to the provider.
    pub(super) fn forget(&self) -> Result<Option<String>, Failure> {
        let refresh_token = self.load().ok().and_then(|tokens| tokens.refresh_token);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(&error)),
            _ => Ok(refresh_token),
        }
    }

    fn lock(&self) -> Result<File, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.with_extension("lock"))
            .map_err(|error| self.unusable(&error))?;
        file.lock().map_err(|error| self.unusable(&error))?;
        Ok(file)
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        Failure::new(
            Exit::Failure,
            format!("keep the sign-in in {}: {error}", self.path.display()),
        )
    }
}

/// The configuration of `issuer`.
pub(super) async fn discover(http: &Http, issuer: &str) -> Result<Discovery, Failure> {
    let document = http.get(&Discovery::url(issuer)).await?;
    Discovery::parse(&document, issuer).map_err(|error| http.failed(&error.to_string()))
}

/// Writes a file for its owner alone, through a neighbour.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let neighbour = path.with_extension("new");
    match fs::remove_file(&neighbour) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&neighbour)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&neighbour, path)
}
