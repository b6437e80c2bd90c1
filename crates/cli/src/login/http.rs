//! Speaking with an OpenID provider: small documents over https, redirected nowhere. Errors never hold what was sent.

use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode, header::CONTENT_TYPE, redirect::Policy};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

const LONGEST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(15);

/// A provider, over the network.
pub(super) struct Http {
    client: Client,
    issuer: String,
}

/// An error as OAuth has it (RFC 6749, 5.2).
#[derive(Debug, serde::Deserialize)]
pub(super) struct OauthError {
    /// Its name.
    pub error: String,
    /// For people.
    #[serde(default)]
    pub error_description: String,
}

impl Http {
    pub(super) fn new(issuer: &str, ca_pem: &str) -> Result<Self, Failure> {
        let wrong = |problem: String| {
            Failure::new(
                Exit::Failure,
                format!("speak TLS to the OpenID provider {issuer}: {problem}"),
            )
        };
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")));
        if issuer.starts_with("http://") {
            // Loopback alone, which no proxy reaches.
            builder = builder.no_proxy();
        }
        if !ca_pem.is_empty() {
            let certificates =
                Certificate::from_pem_bundle(ca_pem.as_bytes()).map_err(|error| wrong(error.to_string()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| wrong(innermost(&error)))?;
        Ok(Self {
            client,
            issuer: issuer.to_owned(),
        })
    }

    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let (status, document) = self.send(self.client.get(url)).await?;
        if status == StatusCode::OK {
            return Ok(document);
        }
        Err(self.failed(&format!(
            "{url} answers with status {status}; is the issuer right?"
        )))
    }

    /// Sends a form; an answer, or the provider's refusal.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<Result<T, OauthError>, Failure> {
        let (status, document) = self.form(url, fields).await?;
        if status == StatusCode::OK {
            // What cannot be read is not repeated: it may hold a token.
            return serde_json::from_slice(&document)
                .map(Ok)
                .map_err(|_| self.failed("its answer cannot be read"));
        }
        match serde_json::from_slice::<OauthError>(&document) {
            Ok(refusal) => Ok(Err(refusal)),
            Err(_) => Err(self.failed(&format!("{url} answers with status {status}"))),
        }
    }

    /// Sends a form whose answer says nothing.
    pub(super) async fn tell(&self, url: &str, fields: &[(&str, &str)]) -> Result<(), Failure> {
        let (status, _) = self.form(url, fields).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(self.failed(&format!("{url} answers with status {status}")))
    }

    async fn form(&self, url: &str, fields: &[(&str, &str)]) -> Result<(StatusCode, Vec<u8>), Failure> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Failure> {
        // Without the address: errors of the library show all of it.
        let away = |error: reqwest::Error| {
            let mut failure = self.failed(&format!(
                "it cannot be reached: {}",
                innermost(&error.without_url())
            ));
            failure.exit = Exit::Unavailable;
            failure
        };
        let mut response = request.send().await.map_err(away)?;
        let mut document = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if document.len() + chunk.len() > LONGEST {
                return Err(self.failed("its answer is longer than 1 MiB"));
            }
            document.extend_from_slice(&chunk);
        }
        Ok((response.status(), document.to_vec()))
    }

    pub(super) fn failed(&self, problem: &str) -> Failure {
        Failure::new(
            Exit::Failure,
            format!("OpenID provider {}: {problem}", self.issuer),
        )
    }

    /// What a refusal of the provider is to people.
    pub(super) fn refused(&self, refusal: &OauthError, next: &str) -> Failure {
        let tame = |text: &str| -> String { text.chars().take(300).flat_map(char::escape_debug).collect() };
        let more = if refusal.error_description.is_empty() {
            String::new()
        } else {
            format!(" ({})", tame(&refusal.error_description))
        };
        self.failed(&format!("{}{more}; {next}", tame(&refusal.error)))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
